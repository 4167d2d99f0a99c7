"""Following a run's events from a thread: with a beat where nothing happens, and an end where the service drains."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from app.errors import NotReadyError
from holdfast import HoldfastError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from app.service import Service
    from holdfast import Engine, HistoryEvent

__all__ = ["HEARTBEAT_SECONDS", "follow"]

HEARTBEAT_SECONDS: Final = 15.0

_log = logging.getLogger("holdfast.service")


class _Steps:
    """An iterator on the engine's loop, taken step by step, each with a limit on its time."""

    def __init__(self, events: AsyncIterator[HistoryEvent]) -> None:
        """Take over an iterator."""
        self._events = events
        self._next: asyncio.Task[HistoryEvent | None] | None = None

    async def step(self, seconds: float) -> tuple[HistoryEvent | None, bool]:
        """Wait for the next event.

        Returns:
            The event, or None where none came in time, or where there are no more; and whether there may be more.
        """
        if self._next is None:
            self._next = asyncio.ensure_future(_next(self._events))
        done, _ = await asyncio.wait({self._next}, timeout=seconds)
        if not done:
            return None, True
        task, self._next = self._next, None
        event = task.result()
        return event, event is not None

    async def close(self) -> None:
        """Let go of the iterator."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.wait({self._next})
        await self._events.aclose()  # type: ignore[attr-defined]  # the engine's iterators are generators


async def _next(events: AsyncIterator[HistoryEvent]) -> HistoryEvent | None:
    return await anext(events, None)


def follow(
    service: Service, workflow_id: str, after: int, *, beat_seconds: float = HEARTBEAT_SECONDS
) -> Iterator[HistoryEvent | None]:
    """Give the events of a run as they become durable, until it ends or the service drains.

    Args:
        service: Where it runs.
        workflow_id: The run.
        after: The number of the last event that is known already.
        beat_seconds: After how long without an event to give None.
    """

    async def begin(engine: Engine) -> _Steps:
        return _Steps(engine.watch(workflow_id, after=after))

    steps: _Steps | None = None
    try:
        steps = service.call(begin)
        yield from _taken(service, steps, beat_seconds)
    except NotReadyError:
        return
    except HoldfastError as error:  # it was purged, or is damaged: too late to answer with a problem
        _log.warning("the stream of %r ends: %s", workflow_id, error, extra={"workflow_id": workflow_id})
    finally:
        if steps is not None:
            service.let_go(steps.close())


def _taken(service: Service, steps: _Steps, beat_seconds: float) -> Iterator[HistoryEvent | None]:
    more = True
    while more:
        event, more = service.call(lambda _: steps.step(beat_seconds), waits=beat_seconds)
        if event is not None or more:
            yield event
