"""What the conformance checks are made of: how they get a store, and how they say what is wrong with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Protocol
from uuid import uuid4

from holdfast.ports import ANY, Write, Written

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from holdfast.ports import Capabilities, Conflict, Document, Expectation, StateStore

__all__ = [
    "GARBAGE_VERSION",
    "Check",
    "CheckNotApplicableError",
    "StoreFactory",
    "current_version",
    "fresh_keys",
    "largest_value",
    "need",
    "opened",
    "read_one",
    "require",
    "text_value",
    "write_one",
]

GARBAGE_VERSION: Final = "no-such-version"
"""A version that no store hands out."""


class StoreFactory(Protocol):
    """How the checks get the store that they check. Inherit from it: only `create` has to be written."""

    def create(self) -> StateStore:
        """Make a store that is not open yet. It need not be empty: every check makes up keys of its own."""
        ...

    def again(self, store: StateStore) -> StateStore | None:  # noqa: ARG002 - a default to override
        """Make another handle, not open yet, on the data of a store.

        Asked for while that store is open, unless its capabilities say ``exclusive``; then only once it is closed.

        Returns:
            None where that cannot be done; then reopening is not checked.
        """
        return None

    def outage(self, store: StateStore) -> AbstractAsyncContextManager[None] | None:  # noqa: ARG002 - as above
        """Take the backend of an open store away for as long as the context lasts; at least writes must fail.

        Returns:
            None where that cannot be done; then outages are not checked.
        """
        return None


Check = Callable[[StoreFactory], Awaitable[None]]
"""Raises AssertionError with a sentence that says what the store did wrong."""


class CheckNotApplicableError(Exception):
    """A check has nothing to check: the store does not claim to be able to, or the factory cannot bring it about."""


def need(condition: object, reason: str) -> None:
    """End a check without a verdict unless a condition holds."""
    if not condition:
        raise CheckNotApplicableError(reason)


def require(condition: object, sentence: str) -> None:
    """Fail a check, in a sentence, unless a condition holds."""
    if not condition:
        raise AssertionError(sentence)


@asynccontextmanager
async def opened(*stores: StateStore) -> AsyncIterator[None]:
    """Open stores, and close all of them whatever happens."""
    try:
        for store in stores:
            await store.open()
        yield
    finally:
        for store in stores:
            await store.close()


def fresh_keys(count: int = 1) -> list[str]:
    """Make up keys that no other check, and no earlier one, has used."""
    return [f"check:{uuid4().hex}:{number}" for number in range(count)]


async def write_one(
    store: StateStore, key: str, value: bytes | None, expected: str | Expectation
) -> Written | Conflict:
    """Write a batch of one."""
    results = await store.write([Write(key, value, expected)])
    require(len(results) == 1, f"one write was answered with {len(results)} results")
    return results[0]


async def read_one(store: StateStore, key: str) -> Document | None:
    """Read one key; None if it does not exist."""
    return (await store.read([key])).get(key)


def text_value(size: int) -> bytes:
    """Make a JSON string of so many bytes."""
    return b'"' + b"x" * (size - 2) + b'"'


def largest_value(limits: Capabilities, key: str) -> int:
    """Say how many bytes the largest value may have that is written alone."""
    return min(limits.max_value_bytes, limits.max_batch_bytes - len(key))


def current_version(store: StateStore, result: Written | Conflict) -> str | Expectation:
    """Expect the version that a write was answered with, where the store guards by it."""
    if store.capabilities.guard == "key" and isinstance(result, Written):
        return result.version
    return ANY
