"""Writes as operations of Dapr's state API, and what became of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from dapr.proto import common_v1

from holdfast.ports import ABSENT, ANY, Write, Written

if TYPE_CHECKING:
    from holdfast.ports import Document

__all__ = ["Fill", "can_hold", "counted", "etagged", "expectation_holds", "next_version", "unguarded"]

_CREATE_ONLY: Final = common_v1.StateOptions.CONCURRENCY_FIRST_WRITE
_NO_COUNT: Final = "2147483647"
"""An ETag that no count of writes reaches: of a key that exists it is refused, one that is absent it creates."""

Fill = Callable[[common_v1.StateItem, Write], None]
"""Puts a write into an item of a request, in place: messages that are made and copied take thrice as long."""


def counted(item: common_v1.StateItem, write: Write) -> None:
    """Put a write in the terms of a component whose ETag is a count of writes (Redis).

    Within a transaction it takes no create-only option, and a key that was ever saved with it could not be saved
    without an ETag again; so creating, too, is asked for by an ETag.
    """
    expected = write.expected
    unguarded(item, write)
    if expected is not ANY:
        item.etag.value = expected if isinstance(expected, str) and _is_count(expected) else _NO_COUNT


def etagged(item: common_v1.StateItem, write: Write) -> None:
    """Put a write in the terms of a component whose ETags are random (SQL, in-memory).

    Deletions go without the ETag: of a key that is absent already it would be refused.
    """
    expected = write.expected
    unguarded(item, write)
    if expected is ANY or write.value is None:
        return
    if isinstance(expected, str):
        item.etag.value = expected
    else:
        item.options.concurrency = _CREATE_ONLY


def unguarded(item: common_v1.StateItem, write: Write) -> None:
    """Put a write in the terms of a component that guards nothing."""
    item.key = write.key
    if write.value is not None:
        item.value = write.value


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
    digits = len(version) if version.isascii() and version.isdecimal() and version[0] != "0" else 0
    return 0 < digits < len(_NO_COUNT) or (digits == len(_NO_COUNT) and version < _NO_COUNT)
