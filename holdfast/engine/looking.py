"""Looking at runs from outside: how they ended, how they stand, what has happened to them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from holdfast.core.codec import Decoder, decode_json
from holdfast.core.errors import CorruptDocumentError, QueryError, WorkflowNotFoundError
from holdfast.core.failure import FailureInfo
from holdfast.core.history import EventType, RunStatus
from holdfast.engine.records.documents import missing_document, past_key, run_key
from holdfast.engine.records.head import Head
from holdfast.engine.runs.effects import Ended
from holdfast.engine.runs.items import Look
from holdfast.engine.views import HistoryEvent, RunDescription, describe_run, instant, waiting_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast.core.history import Event
    from holdfast.core.registry import Registry
    from holdfast.engine.commits.index import Index
    from holdfast.engine.commits.reader import Reader, StoredRun
    from holdfast.engine.runs.run import Run
    from holdfast.engine.runtime import Runtime

__all__ = ["Looking"]

_REPLIES = frozenset({EventType.UPDATE_COMPLETED, EventType.UPDATE_FAILED})


class Looking:
    """Answers questions about runs: from memory where they are live, else from the store. It changes nothing."""

    def __init__(self, runtime: Runtime, index: Index, reader: Reader, registry: Registry) -> None:
        """Look through the parts of an engine."""
        self._runtime = runtime
        self._index = index
        self._reader = reader
        self._registry = registry

    async def stored(self, workflow_id: str, run_id: str | None, *, history: bool) -> StoredRun:
        """Read a run as it is stored: the newest of its id, or a certain one.

        Raises:
            WorkflowNotFoundError: There is none.
        """
        found = await self._reader.run(workflow_id, history=history)
        if found is None or found.head["status"] == RunStatus.PURGED:
            raise self._no_head(workflow_id)
        if run_id is not None and found.head["run_id"] != run_id:
            found = await self._reader.past_run(run_id, history=history)
            if found is None or found.head["id"] != workflow_id:
                raise _not_found(workflow_id, run_id)
        return found

    def _no_head(self, workflow_id: str) -> WorkflowNotFoundError | CorruptDocumentError:
        """Say why there is nothing to look at: there is no run, or its head has been lost."""
        entry = self._index.get(workflow_id)
        is_lost = entry is not None and entry.status is not RunStatus.PURGED
        return missing_document(run_key(workflow_id)) if is_lost else _not_found(workflow_id, None)

    async def outcome(self, workflow_id: str, run_id: str) -> Ended:
        """Wait for a run to end, and say how."""
        while True:
            entry = self._index.get(workflow_id)
            if entry is not None and entry.run_id == run_id and entry.status.is_open:
                key = (workflow_id, run_id)
                future = self._runtime.outcomes.add(key)
                try:
                    return await future
                finally:
                    self._runtime.outcomes.leave(key, future)
            stored = await self.stored(workflow_id, run_id, history=False)
            head = Head.decode(stored.head, stored.blobs)
            if not head.status.is_open:
                return Ended(head.run_id, head.workflow, head.version, head.status, head.value, head.next_run)

    async def reply(self, workflow_id: str, update_id: str) -> Event | None:
        """Find the recorded reply of an update, in the newest run of an id and those before it; None where none is."""
        stored: StoredRun | None = await self.stored(workflow_id, None, history=True)
        while stored is not None:
            for event in reversed(stored.history):
                if event.id == update_id and event.type in _REPLIES:
                    return event
            previous = stored.head.get("previous")
            stored = await self._reader.past_run(previous, history=True) if previous else None
        return None

    def result_decoder(self, ended: Ended) -> Decoder:
        """Give the decoder of a run's result: its workflow's, where that is registered here."""
        definition = self._registry.find(ended.workflow, ended.version)
        return definition.decode_result if definition is not None else decode_json

    async def describe(self, workflow_id: str, run_id: str | None) -> RunDescription:
        """Show a run: the newest of its id, or a certain one.

        Raises:
            WorkflowNotFoundError: There is none.
        """

        def view(run: Run) -> RunDescription | None:
            if run_id is not None and run.head.run_id != run_id:
                return None
            return describe_run(run.head, run.status, waiting_for(run), run)

        try:
            found: RunDescription | None = await self._runtime.ask(workflow_id, Look(view=view))
        except CorruptDocumentError as error:
            return self._describe_corrupt(workflow_id, error)
        if found is not None:
            return found
        stored = await self.stored(workflow_id, run_id, history=False)
        head = Head.decode(stored.head, stored.blobs)
        return describe_run(head, head.status)

    def query_corrupt(self, workflow_id: str, name: str, error: CorruptDocumentError) -> object:
        """Answer a built-in query of a run whose documents are damaged.

        Raises:
            QueryError: The query is not a built-in one.
        """
        seen = self._describe_corrupt(workflow_id, error)
        answers = {"status": seen.status.value, "result": None, "stack": seen.waiting_for}
        if name not in answers:
            message = f"workflow {workflow_id!r} is {seen.status}: only 'status', 'result' and 'stack' answer"
            raise QueryError(message)
        return answers[name]

    def _describe_corrupt(self, workflow_id: str, error: CorruptDocumentError) -> RunDescription:
        """Show what the index knows of a run whose documents are damaged."""
        entry = self._index.get(workflow_id)
        if entry is None:
            raise error
        return RunDescription(
            workflow_id,
            entry.run_id,
            entry.workflow,
            "",
            RunStatus.CORRUPT,
            None,
            None,
            FailureInfo.of(error),
            dict(entry.attributes or {}),
            instant(entry.created),
            instant(entry.finished or entry.created),
            None,
            ["a repair of its documents, or a purge"],
            [],
        )

    async def watch(self, workflow_id: str, after: int) -> AsyncIterator[HistoryEvent]:
        """Give the events of a run past the nth as they become durable, until it ends."""
        moved = asyncio.Event()
        watchers = self._runtime.watchers[workflow_id]
        watchers.add(moved)
        try:
            run_id = None
            while True:
                moved.clear()
                head, events = await self._events_after(workflow_id, run_id, after)
                for event in events:
                    after += 1
                    yield HistoryEvent.of(after, event)
                run_id = head["run_id"]
                if not RunStatus(head["status"]).is_open or self._runtime.closed_by is not None:
                    return
                await moved.wait()
        finally:
            watchers.discard(moved)
            if not watchers:
                self._runtime.watchers.pop(workflow_id, None)

    async def _events_after(
        self, workflow_id: str, run_id: str | None, after: int
    ) -> tuple[dict[str, Any], list[Event]]:
        found = await self._reader.events_after(run_key(workflow_id), after)
        if found is not None and run_id is not None and found[0]["run_id"] != run_id:
            found = await self._reader.events_after(past_key(run_id), after)
        if found is None or found[0]["status"] == RunStatus.PURGED:
            raise self._no_head(workflow_id)
        return found


def _not_found(workflow_id: str, run_id: str | None) -> WorkflowNotFoundError:
    if run_id is None:
        return WorkflowNotFoundError(f"there is no workflow {workflow_id!r}")
    return WorkflowNotFoundError(f"workflow {workflow_id!r} has no run {run_id!r}")
