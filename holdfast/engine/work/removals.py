"""Taking outputs that have left out of the outboxes of their runs: durable soon, and with as few commits as can be."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from holdfast.core.errors import FencedError, StoreError
from holdfast.engine.runs.results import Published

if TYPE_CHECKING:
    from holdfast.engine.records.outbox import Outgoing
    from holdfast.engine.runs.items import Item

__all__ = ["Post", "Removals"]

_LINGER_SECONDS: Final = 0.5
"""How long a removal waits for a commit of its run that it can go with, before it gets one of its own."""


class Post(Protocol):
    """Takes what comes for runs."""

    def submit(self, workflow_id: str, item: Item) -> None:
        """Put something into a run's inbox; the run is read if it is not in memory."""
        ...


class Removals:
    """Outputs that have left, and may still stand in the outbox of their run as it is stored.

    A run is told at once, and its next commit stores it. A moment later whoever has had no commit gets one. What a
    crash takes with it in between is published again under the same id.
    """

    def __init__(self, post: Post) -> None:
        """Begin with none."""
        self._post = post
        self._loop = asyncio.get_running_loop()
        self._gone: dict[str, dict[tuple[str, int], Outgoing]] = {}
        self._storing: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._halted = False

    def add(self, workflow_id: str, entry: Outgoing) -> None:
        """Take an output out of the outbox of its run."""
        self._gone.setdefault(workflow_id, {})[entry.run_id, entry.number] = entry
        self._tell(workflow_id, [entry], write=False)
        if self._timer is None and not self._halted:
            self._timer = self._loop.call_later(_LINGER_SECONDS, self._look)

    def holds(self, workflow_id: str, entry: Outgoing) -> bool:
        """Whether an output has left; if so its run, which has come back from the store, is told again."""
        known = (entry.run_id, entry.number) in self._gone.get(workflow_id, ())
        if known:
            self._tell(workflow_id, [entry], write=False)
        return known

    def _look(self) -> None:
        """Let everything be stored that has not been by now."""
        self._timer = None
        self.store()
        if self._gone and not self._halted:
            self._timer = self._loop.call_later(_LINGER_SECONDS, self._look)

    def store(self) -> None:
        """Let everything be stored; where that was asked for and not done, the store is away, or the run on its way."""
        for workflow_id in self._gone.keys() - self._storing:
            entries = self._gone[workflow_id]
            self._storing.add(workflow_id)
            self._tell(workflow_id, list(entries.values()), write=True)

    def _tell(self, workflow_id: str, entries: list[Outgoing], *, write: bool) -> None:
        answer: asyncio.Future[bool] = self._loop.create_future()
        answer.add_done_callback(partial(self._told, workflow_id, entries, write))
        try:
            self._post.submit(workflow_id, Published(entries=entries, write=write, answer=answer))
        except (FencedError, StoreError):
            answer.cancel()  # nothing is stored any more: the next owner publishes them again

    def _told(self, workflow_id: str, entries: list[Outgoing], write: bool, answer: asyncio.Future[bool]) -> None:  # noqa: FBT001 - a callback
        """Forget outputs that are stored as gone, and those whose run will not be stored."""
        if write:
            self._storing.discard(workflow_id)
        if answer.cancelled() or (answer.exception() is None and not answer.result()):
            return
        if answer.exception() is not None and not write:
            return
        gone = self._gone.get(workflow_id, {})
        for entry in entries:
            gone.pop((entry.run_id, entry.number), None)
        if not gone:
            self._gone.pop(workflow_id, None)

    def halt(self) -> None:
        """Tell nobody anything any more."""
        self._halted = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
