"""Writes as operations of Dapr's state API, and what became of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from dapr.proto import api_v1, common_v1

from holdfast.ports import ABSENT, ANY, Document, Written

if TYPE_CHECKING:
    from holdfast.ports import Write

__all__ = ["can_hold", "counted", "etagged", "expectation_holds", "next_version", "operation", "unguarded"]

_CREATE_ONLY: Final = common_v1.StateOptions(concurrency=common_v1.StateOptions.CONCURRENCY_FIRST_WRITE)
_NO_COUNT: Final = "2147483647"
"""An ETag that no count of writes reaches: of a key that exists it is refused, one that is absent it creates."""
_COUNT: Final = re.compile(r"[1-9][0-9]{0,8}")


def operation(item: common_v1.StateItem, *, delete: bool) -> api_v1.TransactionalStateOperation:
    """Make an operation of a transaction."""
    return api_v1.TransactionalStateOperation(operationType="delete" if delete else "upsert", request=item)


def counted(write: Write) -> common_v1.StateItem:
    """Put a write in the terms of a component whose ETag is a count of writes (Redis).

    Within a transaction it takes no create-only option, and a key that was ever saved with it could not be saved
    without an ETag again; so creating, too, is asked for by an ETag.
    """
    key, value, expected = write
    etag = _etag(None if expected is ANY else _NO_COUNT if expected is ABSENT or not _is_count(expected) else expected)
    return common_v1.StateItem(key=key, value=value or b"", etag=etag)


def etagged(write: Write) -> common_v1.StateItem:
    """Put a write in the terms of a component whose ETags are random (SQL, in-memory).

    Deletions go without the ETag: of a key that is absent already it would be refused.
    """
    key, value, expected = write
    if expected is ABSENT:
        return common_v1.StateItem(key=key, value=value or b"", options=None if value is None else _CREATE_ONLY)
    etag = _etag(expected if isinstance(expected, str) and value is not None else None)
    return common_v1.StateItem(key=key, value=value or b"", etag=etag)


def unguarded(write: Write) -> common_v1.StateItem:
    """Put a write in the terms of a component that guards nothing."""
    return common_v1.StateItem(key=write.key, value=write.value or b"")


def can_hold(write: Write, *, counts: bool) -> bool:
    """Say whether what a write expects can be the case at all; an ETag that cannot would pass for none, or create.

    Args:
        write: What is to be written.
        counts: Versions are counts of writes.
    """
    if write.value is None or not isinstance(write.expected, str):
        return True
    return _is_count(write.expected) if counts else bool(write.expected)


def next_version(write: Write) -> Written:
    """Say which version a write that took effect has, where versions are counts of writes; empty if unknown."""
    if write.expected is ABSENT:
        return Written("1")
    return Written(
        str(int(write.expected) + 1) if isinstance(write.expected, str) and _is_count(write.expected) else ""
    )


def expectation_holds(write: Write, document: Document | None) -> bool:
    """Say whether a write that was refused could go through with what is stored now."""
    if write.expected is ANY:
        return True
    if document is None:
        return write.expected is ABSENT or write.value is None
    return document.version == write.expected


def _is_count(version: str) -> bool:
    return _COUNT.fullmatch(version) is not None


def _etag(version: str | None) -> common_v1.Etag | None:
    return None if version is None else common_v1.Etag(value=version)
