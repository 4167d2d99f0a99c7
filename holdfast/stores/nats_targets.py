"""Which revision of its key a write aims at: by what it expects, and by what is there."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal

from holdfast.ports import ABSENT, ANY, Expectation

if TYPE_CHECKING:
    from holdfast.ports import Write
    from holdfast.stores.nats_reads import Revision

__all__ = ["Target", "Unsure", "first_target", "is_unsure", "target_of"]

_VERSION: Final = re.compile(r"[1-9][0-9]{0,18}")


class Unsure(Enum):
    """What a write may aim at that is no revision."""

    GONE = "gone"
    """There is nothing left to delete."""
    UNKNOWN = "unknown"
    """Reading has to tell."""


Target = int | Literal[Expectation.ANY, Unsure.GONE, Unsure.UNKNOWN]
"""The newest revision that the key should have, 0 where it should have none; or what there is to say instead."""


def first_target(write: Write) -> Target:
    """Say what a write aims at, before anything was read."""
    expected = write.expected
    if expected is ANY:
        return ANY
    if expected is ABSENT:
        return 0 if write.value is not None else Unsure.UNKNOWN
    return int(expected) if _VERSION.fullmatch(expected) else Unsure.UNKNOWN


def is_unsure(write: Write) -> bool:
    """Say whether a write may hold although its first target was refused, or was none.

    A key that was deleted is not absent to the server as long as a marker stands in its place, and a key that is
    absent has no revision that a deletion could name.
    """
    if write.expected is ANY:
        return False
    return write.value is None or first_target(write) in {0, Unsure.UNKNOWN}


def target_of(write: Write, found: Revision | None) -> Target | None:
    """Say what an unsure write aims at, by the newest revision of its key; None if what it expects is not there."""
    exists = found is not None and found.value is not None
    if write.value is None:
        if not exists:
            return Unsure.GONE
        return found.number if found is not None and str(found.number) == write.expected else None
    if exists or write.expected is not ABSENT:
        return None
    return 0 if found is None else found.number
