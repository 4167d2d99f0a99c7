"""Runs on their way into memory: read from the store, brought to life, or quarantined."""

from __future__ import annotations

import asyncio
from itertools import takewhile
from typing import TYPE_CHECKING

from holdfast.core.errors import CorruptDocumentError, StoreError
from holdfast.core.history import RunStatus
from holdfast.engine.records.documents import missing_document, run_key
from holdfast.engine.records.head import Head
from holdfast.engine.runs.change import Slot
from holdfast.engine.runs.duties import next_wake
from holdfast.engine.runs.items import Recover
from holdfast.engine.runs.restore import restore
from holdfast.engine.runs.run import Run
from holdfast.engine.runs.starting import Purge
from holdfast.engine.runs.writing import entry_of
from holdfast.ports import ABSENT

if TYPE_CHECKING:
    from holdfast.core.failure import FailureInfo
    from holdfast.engine.commits.reader import Reader, StoredRun
    from holdfast.engine.runs.items import Item
    from holdfast.engine.runtime import Runtime

__all__ = ["Arrivals"]


class Arrivals:
    """Reads runs for the runtime, and hands them over.

    Attributes:
        loaded: How many runs were brought to life.
    """

    def __init__(self, runtime: Runtime, reader: Reader) -> None:
        """Read nothing yet."""
        self.loaded = 0
        self._runtime = runtime
        self._reader = reader
        self._loop = asyncio.get_running_loop()
        self._reads: set[asyncio.Task[None]] = set()
        self._refused: dict[str, FailureInfo] = {}

    @property
    def expected(self) -> bool:
        """Whether any run is being read."""
        return bool(self._reads)

    def read(self, run: Run) -> None:
        """Read a run; what comes for it meanwhile waits in its inbox."""
        run.slot = Slot.LOADING
        task = self._loop.create_task(self._read(run))
        self._reads.add(task)
        task.add_done_callback(self._reads.discard)

    async def _read(self, run: Run) -> None:
        try:
            stored = await self._reader.run(run.workflow_id)
        except CorruptDocumentError as error:
            self.corrupt(run, error)
        except StoreError as error:
            self._refuse_all(run, error)
        else:
            self._loop.call_soon(self.arrived, run, stored)

    def place(self, workflow_id: str) -> Run | None:
        """Make a place for a run that is about to be read with many others; None where it is in memory."""
        live = self._runtime.live
        if workflow_id in live:
            return None
        run = live[workflow_id] = Run(workflow_id, self._runtime.world)
        run.slot = Slot.LOADING
        return run

    def arrived(self, run: Run, stored: StoredRun | None) -> None:
        """Bring a run to life that has been read; called from the loop, never from a task."""
        runtime = self._runtime
        if runtime.live.get(run.workflow_id) is not run or runtime.closed_by is not None:
            return
        if stored is not None:
            try:
                restore(run, stored.head, stored.history, stored.blobs, stored.seen)
            except (KeyError, TypeError, ValueError) as error:
                message = f"run {run.workflow_id!r} is not in a form known here: {error!r}"
                self.corrupt(run, CorruptDocumentError(message))
                return
            run.expected = stored.version
            self.loaded += 1
            self._enter(run)
        elif self._is_lost(run.workflow_id):
            run.inbox = self._fit_for_nothing(run)
            if not run.inbox:
                self.corrupt(run, missing_document(run.key))
                return
        runtime.mark(run)

    def _is_lost(self, workflow_id: str) -> bool:
        """Say whether there has to be a head: the index knows of a run that nobody has purged."""
        known = self._runtime.index.get(workflow_id)
        return known is not None and known.status is not RunStatus.PURGED

    @staticmethod
    def _fit_for_nothing(run: Run) -> list[Item]:
        """Refuse what needs a run where its head is lost, and give what goes on from there: a start begins anew."""
        lost = list(takewhile(lambda item: not item.creates, run.inbox))
        for item in lost:
            item.refuse(missing_document(run.key))
        return run.inbox[len(lost) :]

    def _enter(self, run: Run) -> None:
        index = self._runtime.index
        run.indexed = index.get(run.workflow_id)
        if run.indexed is None:
            index.put(entry_of(run, 0, due=next_wake(run)))
        refusal = self._refused.get(run.workflow_id)
        if refusal is not None:
            run.stall_for(refusal)
        else:
            run.inbox.insert(0, Recover())
        index.show_as(run.workflow_id, RunStatus.STALLED if run.stall is not None else None)

    def stall_next(self, workflow_id: str, failure: FailureInfo) -> None:
        """Let a run be stalled when it arrives: the store has refused what it wanted to write."""
        self._refused[workflow_id] = failure

    def allow(self, workflow_id: str) -> None:
        """Let a run that was stalled so try again."""
        self._refused.pop(workflow_id, None)

    def corrupt(self, run: Run, error: CorruptDocumentError) -> None:
        """Quarantine a run whose documents are damaged; no other is touched."""
        runtime = self._runtime
        known = runtime.index.get(run.workflow_id)
        fields = {"workflow_id": run.workflow_id, "run_id": known.run_id if known is not None else ""}
        runtime.world.host.logger.error("workflow %r is corrupt: %s", run.workflow_id, error, extra=fields)
        runtime.index.show_as(run.workflow_id, RunStatus.CORRUPT)
        self._refuse_all(run, error)

    def _refuse_all(self, run: Run, error: StoreError) -> None:
        live = self._runtime.live
        if live.get(run.workflow_id) is run:
            del live[run.workflow_id]
        for item in run.inbox:
            item.refuse(error)

    async def overwrite_corrupt(self, workflow_id: str, error: CorruptDocumentError) -> None:
        """Put a tombstone in the place of a damaged or lost head; what that named besides cannot be found any more.

        Raises:
            CorruptDocumentError: What was given: nothing is known of the run besides.
        """
        runtime, key = self._runtime, run_key(workflow_id)
        damaged, known = (await self._reader.read([key])).get(key), runtime.index.get(workflow_id)
        if known is None:
            raise error
        run = runtime.live[workflow_id] = Run(workflow_id, runtime.world)
        run.expected = damaged.version if damaged is not None else ABSENT
        status = RunStatus.TERMINATED
        run.head = Head(workflow_id, known.run_id, known.workflow, "", known.created, 0, b"null", status=status)
        await runtime.ask(workflow_id, Purge())

    def stop(self) -> None:
        """Read no more."""
        for task in list(self._reads):
            task.cancel()
