"""Carrying out what runs want of other runs: at least once, and known again where it was done before."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, NamedTuple, Protocol, assert_never

from holdfast.core.errors import (
    FencedError,
    HoldfastError,
    StoreError,
    StoreUnavailableError,
    WorkflowAlreadyStartedError,
    WorkflowFinishedError,
    WorkflowNotFoundError,
)
from holdfast.core.failure import FailureInfo
from holdfast.core.history import EventType, RunStatus
from holdfast.engine.messages.resume import init_record
from holdfast.engine.records.head import Head, Parent
from holdfast.engine.records.letters import Letter
from holdfast.engine.records.outbox import Outgoing, OutgoingKind
from holdfast.engine.runs.control import Cancel, Terminate
from holdfast.engine.runs.items import Signal
from holdfast.engine.runs.results import ChildClosed, Delivered
from holdfast.engine.runs.starting import Start, ThreadStart

if TYPE_CHECKING:
    from holdfast.core.history import Event
    from holdfast.engine.commits.reader import Reader
    from holdfast.engine.runs.items import Item
    from holdfast.engine.runs.run import Run
    from holdfast.engine.runs.world import World
    from holdfast.engine.work.dead_letters import DeadLetters

__all__ = ["Courier"]


class _Post(Protocol):
    closed_by: StoreError | FencedError | None

    def submit(self, workflow_id: str, item: Item) -> None: ...

    async def ask(self, workflow_id: str, item: Item) -> object: ...

    @property
    def dead_letters(self) -> DeadLetters: ...


class Courier:
    """Delivers the entries of outboxes, each in a task of its own."""

    def __init__(self, world: World, reader: Reader, post: _Post, resume_topic: str) -> None:
        """Deliver nothing yet.

        Args:
            world: The surroundings of runs.
            reader: Reads what is not in memory.
            post: Where the runs are.
            resume_topic: Under which threads that could not be started are kept as dead letters.
        """
        self._world = world
        self._reader = reader
        self._post = post
        self._resume_topic = resume_topic
        self._going: dict[str, asyncio.Task[None]] = {}

    @property
    def busy(self) -> bool:
        """Whether something is on its way."""
        return bool(self._going)

    def deliver(self, run: Run, entry: Outgoing, event: Event | None = None) -> None:
        """Take an entry on its way, unless it is on it.

        Args:
            run: Whose it is.
            entry: As it stands in the outbox.
            event: The command as it was recorded, where that is at hand.
        """
        message_id = entry.message_id(run.workflow_id)
        if message_id not in self._going:
            carried = self._carry(run.workflow_id, entry, message_id, _content(run, entry, event))
            self._going[message_id] = asyncio.get_running_loop().create_task(carried)

    async def _carry(self, workflow_id: str, entry: Outgoing, message_id: str, content: _Content | None) -> None:
        try:
            content = content or await self._stored_content(workflow_id, entry)
            receipt = await self._deliver(workflow_id, entry, message_id, content)
            self._post.submit(workflow_id, receipt)
        except (FencedError, asyncio.CancelledError):
            pass  # it stays in the outbox, and the next owner delivers it
        except Exception:
            fields = {"workflow_id": workflow_id, "run_id": entry.run_id, "target": entry.target}
            self._world.host.logger.exception(
                "%s of workflow %r could not be delivered", entry.kind, workflow_id, extra=fields
            )
        finally:
            del self._going[message_id]

    async def _deliver(self, workflow_id: str, entry: Outgoing, message_id: str, content: _Content) -> Delivered:
        match entry.kind:
            case OutgoingKind.START:
                return await self._start(workflow_id, entry, content)
            case OutgoingKind.SIGNAL:
                return await self._signal(entry, message_id, content)
            case OutgoingKind.CANCEL | OutgoingKind.TERMINATE:
                return await self._end_child(workflow_id, entry)
            case OutgoingKind.CLOSED:
                return await self._close(workflow_id, entry, message_id, content)
            case OutgoingKind.ENSURE:
                return await self._ensure(entry, message_id, content)
            case OutgoingKind.OUTPUT | OutgoingKind.RESULT:
                message = "an output leaves through the publisher"
                raise ValueError(message)
            case _:
                assert_never(entry.kind)

    async def _start(self, workflow_id: str, entry: Outgoing, content: _Content) -> Delivered:
        parent = Parent(workflow_id, entry.run_id, entry.command_id)
        try:
            definition = self._world.host.registry.workflow(content.name)
            definition.decode_input(content.value)
            run_id = self._world.new_id()
            start = Start(definition=definition, value=content.value, run_id=run_id, parent=parent, trace=content.trace)
            await self._post.ask(entry.target, start)
        except FencedError:
            raise
        except WorkflowAlreadyStartedError as error:
            failure = FailureInfo("WorkflowAlreadyStartedError", f"already started: {error}")
            return Delivered(entry=entry, outcome=EventType.CHILD_FAILED, failure=failure)
        except HoldfastError as error:
            return Delivered(entry=entry, outcome=EventType.CHILD_FAILED, failure=FailureInfo.of(error))
        return Delivered(entry=entry)

    async def _ensure(self, entry: Outgoing, message_id: str, content: _Content) -> Delivered:
        """Start a thread; one that cannot be started, by this code, is a dead letter that can be tried again."""
        try:
            definition = self._world.host.registry.workflow(content.name)
            definition.decode_input(content.value)
            start = ThreadStart(
                definition=definition,
                value=content.value,
                run_id=self._world.new_id(),
                on_conflict="use_existing",
                trace=content.trace,
                thread=content.thread,
                message_id=message_id,
            )
            await self._post.ask(entry.target, start)
        except (FencedError, StoreUnavailableError):
            raise
        except HoldfastError as error:
            if self._post.closed_by is not None:
                raise
            value = init_record(content.name, content.value)
            letter = Letter(
                topic=self._resume_topic,
                key=content.thread,
                value=value,
                id=message_id,
                at=self._world.clock.now(),
                reason="",
            )
            await self._post.dead_letters.bury(letter, str(error), None)
        return Delivered(entry=entry)

    async def _signal(self, entry: Outgoing, message_id: str, content: _Content) -> Delivered:
        try:
            signal = Signal(name=content.name, value=content.value, id=message_id, trace=content.trace)
            await self._post.ask(entry.target, signal)
        except (WorkflowNotFoundError, WorkflowFinishedError) as error:
            return Delivered(entry=entry, outcome=EventType.SIGNAL_UNDELIVERED, failure=FailureInfo.of(error))
        return Delivered(entry=entry, outcome=EventType.SIGNAL_DELIVERED)

    async def _end_child(self, workflow_id: str, entry: Outgoing) -> Delivered:
        reason = f"asked for by its parent {workflow_id!r}"
        kind = Cancel if entry.kind is OutgoingKind.CANCEL else Terminate
        with contextlib.suppress(WorkflowNotFoundError, WorkflowFinishedError):  # it has ended by itself
            await self._post.ask(entry.target, kind(reason=reason, parent=workflow_id))
        return Delivered(entry=entry)

    async def _close(self, workflow_id: str, entry: Outgoing, message_id: str, content: _Content) -> Delivered:
        """Tell a parent how its child ended."""
        if content.parent is not None:
            closed = ChildClosed(
                kind=EventType.CHILD_COMPLETED if content.completed else EventType.CHILD_FAILED,
                run_id=content.parent.run_id,
                command_id=content.parent.command_id,
                child=workflow_id,
                value=content.value,
                id=message_id,
            )
            await self._post.ask(content.parent.workflow_id, closed)
        return Delivered(entry=entry)

    async def _stored_content(self, workflow_id: str, entry: Outgoing) -> _Content:
        """Find what an entry carries once its run is not in memory any more."""
        stored = await self._reader.run(workflow_id, history=True)
        if stored is None or stored.head["run_id"] != entry.run_id:
            stored = await self._reader.past_run(entry.run_id, history=True)
        if stored is None:
            message = f"run {entry.run_id!r} of workflow {workflow_id!r} is not stored"
            raise WorkflowNotFoundError(message)
        kind = _COMMANDS.get(entry.kind)
        if kind is not None:
            event = next(event for event in stored.history if event.type is kind and event.id == entry.command_id)
            return _recorded(event, Head.decode(stored.head, stored.blobs).trace_text)
        return _end_of(Head.decode(stored.head, stored.blobs))

    async def stop(self) -> None:
        """Leave the rest to the next process."""
        tasks = list(self._going.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


class _Content(NamedTuple):
    """What an entry carries: a command's name and value, or how a run has ended."""

    name: str = ""
    value: bytes = b""
    completed: bool = False
    parent: Parent | None = None
    trace: str = ""
    thread: str = ""


_COMMANDS = {
    OutgoingKind.START: EventType.CHILD_STARTED,
    OutgoingKind.SIGNAL: EventType.SIGNAL_SENT,
    OutgoingKind.ENSURE: EventType.THREAD_ENSURED,
}


def _recorded(event: Event, trace: str) -> _Content:
    return _Content(event.name, event.value, trace=trace, thread=(event.details or {}).get("key", ""))


def _content(run: Run, entry: Outgoing, event: Event | None) -> _Content | None:
    """Find what an entry carries in memory; None where it has to be read."""
    if event is not None:
        return _recorded(event, run.head.trace_text)
    if entry.kind in _COMMANDS:
        waiting = run.instance.waiting.get(entry.command_id) if run.instance is not None else None
        same_run = waiting is not None and run.head.run_id == entry.run_id
        if waiting is None or not same_run:
            return None
        return _Content(waiting.command.name, waiting.command.value, trace=run.head.trace_text)
    if entry.kind is OutgoingKind.CLOSED and run.head.run_id == entry.run_id:
        return _end_of(run.head)
    return None if entry.kind is OutgoingKind.CLOSED else _Content()


def _end_of(head: Head) -> _Content:
    return _Content("", head.value, head.status is RunStatus.COMPLETED, head.parent)
