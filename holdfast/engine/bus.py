"""The publisher of an engine that was given none: records go to whoever in this process wants them."""

from __future__ import annotations

import asyncio
import inspect
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, Protocol

from holdfast.core.errors import PublishError
from holdfast.ports import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Handler", "LocalBus", "Receiver"]

_KEPT_BYTES: Final = 16 * 1024 * 1024

Handler = Callable[[Record], Awaitable[None] | None]
"""Takes a record; plain or async."""


class Receiver(Protocol):
    """Takes records of a topic in, as `Engine.deliver` does."""

    def __call__(self, topic: str, key: str | None, value: bytes, *, id: str) -> Awaitable[object]:
        """Take a record in; a second one of the same id changes nothing."""
        ...


class LocalBus:
    """A `Publisher` within the process: for tests, examples, and workflows that talk to each other.

    A record has gone through once every handler of its topic has returned. One that raises makes the engine publish
    that record again, to all of them: like consumers of a real broker they have to know a record by its id. A topic
    without handlers takes every record.
    """

    def __init__(self, *, keep: int = 1_000) -> None:
        """Begin without handlers.

        Args:
            keep: How many of the newest records to remember, as long as they are not over 16 MiB together.
        """
        self._keep = keep
        self._kept: deque[Record] = deque()
        self._kept_bytes = 0
        self._handlers: defaultdict[str, list[Handler]] = defaultdict(list)
        self._receivers: dict[str, Receiver] = {}

    @property
    def records(self) -> list[Record]:
        """The newest records that have gone through, the oldest first."""
        return list(self._kept)

    def subscribe(self, topic: str, handler: Handler) -> None:
        """Call a function with each record of a topic from now on. The next records wait until it has returned."""
        self._handlers[topic].append(handler)

    def forward(self, topics: Iterable[str], receiver: Receiver) -> None:
        """Hand the records of some topics to a receiver from now on, and no more to the one before it.

        An engine does so with its own `Engine.deliver`, for the topics that it maps to signals.
        """
        self._receivers.update(dict.fromkeys(topics, receiver))

    def hears(self, topic: str) -> bool:
        """Say whether anybody in this process wants the records of a topic."""
        return bool(self._handlers.get(topic)) or topic in self._receivers

    async def open(self) -> None:
        """Do nothing: it is there."""

    async def publish(self, records: Sequence[Record]) -> None:
        """Hand records to the handlers of their topics.

        Raises:
            PublishError: Handlers raised; it tells for which records.
        """
        raised = await asyncio.gather(*map(self._hand_over, records))
        failed = {record.id: why for record, why in zip(records, raised, strict=True) if why}
        for record in records:
            if record.id not in failed:
                self._remember(record)
        if failed:
            message = f"handlers raised for {len(failed)} of {len(records)} records"
            raise PublishError(message, failed=failed)

    async def _hand_over(self, record: Record) -> str:
        """Call whoever wants a record, and say what one of them raised."""
        try:
            for handler in list(self._handlers.get(record.topic, ())):
                answer = handler(record)
                if inspect.isawaitable(answer):
                    await answer
            receiver = self._receivers.get(record.topic)
            if receiver is not None:
                await receiver(record.topic, record.key, record.value, id=record.id)
        except Exception as error:  # noqa: BLE001 - a handler is anybody's code
            return f"a handler raised {type(error).__name__}: {error}".removesuffix(": ")
        return ""

    def _remember(self, record: Record) -> None:
        self._kept.append(record)
        self._kept_bytes += len(record.value)
        while self._kept and (len(self._kept) > self._keep or self._kept_bytes > _KEPT_BYTES):
            self._kept_bytes -= len(self._kept.popleft().value)

    async def close(self) -> None:
        """Do nothing: what it remembers stays."""
