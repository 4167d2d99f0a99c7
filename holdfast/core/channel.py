"""The signals of one name as a stream, and waiting for them no longer than one likes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.core.durations import Duration, milliseconds

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from holdfast.core.codec import Decoder
    from holdfast.core.instance import Instance

__all__ = ["SignalChannel", "within"]

T = TypeVar("T")


class SignalChannel:
    """The signals of one name, as an async iterator that never ends."""

    __slots__ = ("_decode", "_name", "_run")

    def __init__(self, run: Instance, name: str, decode: Decoder) -> None:
        """Read the signals of a name."""
        self._run = run
        self._name = name
        self._decode = decode

    async def receive(self, *, timeout: Duration | None = None) -> Any:
        """Take the oldest signal, waiting for one if there is none.

        Raises:
            TimeoutError: None came in time.
        """
        taken = self._run.mailbox(self._name).take()
        what = f"signal {self._name!r} did not come"
        return self._decode(await (taken if timeout is None else within(timeout, taken, what)))

    def __aiter__(self) -> SignalChannel:
        """Iterate over signals as they come."""
        return self

    async def __anext__(self) -> Any:
        """Take the next signal."""
        return await self.receive()


async def within(timeout: Duration, awaitable: Awaitable[T], what: str) -> T:
    """Await something for so long.

    Raises:
        TimeoutError: It was not there in time; ``what`` says what.
    """
    seconds = milliseconds(timeout, "timeout") / 1000
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await awaitable
    except TimeoutError:
        if not limit.expired():
            raise
        message = f"{what} within {seconds:g} s"
        raise TimeoutError(message) from None
