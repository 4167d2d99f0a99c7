"""Awaitables in the order they complete, the same on every replay."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from holdfast.core.mailbox import Mailbox

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Iterable

__all__ = ["CompletionOrder"]

T = TypeVar("T")


class CompletionOrder(Generic[T]):
    """An iterator, plain or async, over awaitables as they complete.

    ``asyncio.as_completed`` starts coroutines in the order of their addresses, which no replay repeats; this one
    starts them in the order given. The plain iterator gives awaitables of the results, the async one the futures
    that are done.
    """

    def __init__(self, awaitables: Iterable[Awaitable[T]]) -> None:
        """Start whatever is not running yet."""
        futures = list(dict.fromkeys(asyncio.ensure_future(awaitable) for awaitable in awaitables))
        self._done: Mailbox[asyncio.Future[T]] = Mailbox()
        self._left = len(futures)
        for future in futures:
            future.add_done_callback(self._done.put)

    async def _result(self) -> T:
        return (await self._done.take()).result()

    def __iter__(self) -> CompletionOrder[T]:
        """Iterate over awaitables, one for each that was given."""
        return self

    def __next__(self) -> Coroutine[Any, Any, T]:
        """Give something to await for the next result."""
        if not self._left:
            raise StopIteration
        self._left -= 1
        return self._result()

    def __aiter__(self) -> CompletionOrder[T]:
        """Iterate over futures that are done."""
        return self

    async def __anext__(self) -> asyncio.Future[T]:
        """Wait for the next future that is done."""
        if not self._left:
            raise StopAsyncIteration
        self._left -= 1
        return await self._done.take()
