"""A backend that cannot list its keys, for the tests of the store of whole workflow states."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from holdfast.core.errors import (
    UnsupportedOperationError,
)
from holdfast.ports import Capabilities, Conflict, Write, Written
from holdfast.stores import MemoryStore


class Unlisted(MemoryStore):
    """A backend that cannot list its keys, and counts its calls."""

    def __init__(self) -> None:
        super().__init__(max_batch=50)
        self.writes: list[str] = []

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, list_keys=False)

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        self.writes += [write.key for write in writes]
        return await super().write(writes)

    def keys(self, prefix: str) -> AsyncIterator[str]:
        raise UnsupportedOperationError(prefix)
