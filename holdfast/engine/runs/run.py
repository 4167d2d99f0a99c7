"""One run in memory: its instance, its history, and everything that its next commit has to write.

Nothing in here is carried out: what a run asks for is collected as effects, which the runtime performs once the
change is durable. Nothing in here waits: whatever comes from outside is an item (see `items.py`) applied to it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from holdfast.core.codec import decode_json
from holdfast.core.failure import FailureInfo
from holdfast.core.history import OPEN, OUTCOMES, Command, Event, EventType, RunStatus
from holdfast.core.instance import Instance
from holdfast.core.replay import DEFERRED
from holdfast.engine.records.documents import run_key
from holdfast.engine.records.head import Head, Parent, Request, no_run
from holdfast.engine.records.journal import Journal
from holdfast.engine.records.outbox import Outgoing, OutgoingKind
from holdfast.engine.records.seen import NOTHING_SEEN, Seen
from holdfast.engine.runs.carry import CARRY_OUT
from holdfast.engine.runs.change import Slot
from holdfast.engine.runs.effects import Admit, Began, Dispatch, Effect, Tell, effect_of
from holdfast.engine.runs.ending import end_run
from holdfast.engine.runs.succession import archive
from holdfast.engine.runs.track import TRACK
from holdfast.engine.runs.verify import replay_difference
from holdfast.ports import ABSENT, Write

if TYPE_CHECKING:
    from holdfast.core.definitions import WorkflowDefinition
    from holdfast.core.trace import Trace
    from holdfast.engine.commits.index import IndexEntry
    from holdfast.engine.records.pending import PendingActivity
    from holdfast.engine.runs.items import Item
    from holdfast.engine.runs.world import World
    from holdfast.ports import Expectation

__all__ = ["Run"]

_RUNNING = RunStatus.RUNNING  # looking a member up is slow, and this one is needed at each step
_NOTHING_MORE: dict[str, Any] = {}
_VERIFIED_EACH_TIME = 500
"""A history with no more events is replayed after each activation in development; a longer one as it grows."""

_HANDED_OVER = frozenset(  # open updates go over by themselves
    {EventType.SIGNAL_RECEIVED, EventType.REF_RESOLVED, EventType.REF_REJECTED, EventType.CANCEL_REQUESTED}
)


class Run:
    """The newest run of a workflow id.

    Attributes:
        key: Where the head is kept.
        head: What is stored of it besides its history; that of `no_run` where the id has none.
        journal: Its history.
        instance: Its code in memory; None while it is stalled or has ended.
        stall: Why it cannot go on; None while it can.
        pending: Activities that it waits for.
        pending_told: There is, or was, more to tell of one of them than that its first attempt is on.
        has_deadlines: One of them has, or had, a limit for all its attempts together.
        outbox: Effects on other runs, and outputs, that are not known to be durable where they belong.
        removed_at: With which revision of the head outputs were last taken out of the outbox; -1 for never.
        seen: The ids of what it was told.
        deferred: Inputs that are recorded but not applied, with their numbers.
        children: Open children, and what becomes of them when it ends.
        open_updates: Updates that were accepted and have no reply.
        replies: The replies of updates, by the caller's id.
        cancel_requested: It was told to cancel, or to end for its time-out.
        timed_out: It was told to end for its time-out.
        expected: The version of the head in the store.
        indexed: What the index was last told of it.
        inbox: What has come for it and is not applied.
        applied: What was applied since the last commit, with the answers that its callers get after it.
        effects: What is to be done after the commit.
        early: Documents that are to be written with or before the head, and never again.
        outgoing: How many effects on other runs it has asked for.
        begun: It has begun since the last commit.
        changed: There is something to commit.
        slot: What the runtime is doing with it.
        verify_from: With how many events its code is replayed the next time, in development.
        wake: When it has to be woken, as the alarm knows it; 0 for never.
    """

    __slots__ = (
        "applied", "begun", "cancel_requested", "changed", "children", "deferred", "early", "effects",
        "expected", "has_deadlines", "head", "inbox", "indexed", "instance", "journal", "key", "open_updates",
        "outbox", "outgoing", "pending", "pending_told", "removed_at", "replies", "seen", "slot", "stall", "timed_out",
        "verify_from", "wake", "workflow_id", "world",
    )  # fmt: skip

    def __init__(self, workflow_id: str, world: World) -> None:
        """Make a place for the runs of an id, without one."""
        self.workflow_id = workflow_id
        self.world = world
        self.key = run_key(workflow_id)
        self.head = no_run(workflow_id)
        self.journal = Journal("")
        self.instance: Instance | None = None
        self.stall: FailureInfo | None = None
        self.pending: dict[str, PendingActivity] = {}
        self.pending_told = False
        self.has_deadlines = False
        self.outbox: dict[tuple[str, int], Outgoing] = {}
        self.removed_at = -1
        self.seen = NOTHING_SEEN
        self.deferred: list[tuple[int, Event]] = []
        self.children: dict[str, str] = {}
        self.open_updates: dict[str, Event] = {}
        self.replies: dict[str, Event] = {}
        self.cancel_requested = False
        self.timed_out = False
        self.expected: str | Expectation = ABSENT
        self.indexed: IndexEntry | None = None
        self.inbox: list[Item] = []
        self.applied: list[tuple[Item, object]] = []
        self.effects: list[Effect] = []
        self.changed = False
        self.slot = Slot.IDLE
        self.wake = 0
        self.verify_from = 0
        self.begun = False
        self.early: list[Write] = []
        self.outgoing = 0

    # Where it stands.

    @property
    def exists(self) -> bool:
        """Whether the id has a run, open or finished."""
        return self.head.status is not RunStatus.PURGED

    @property
    def is_open(self) -> bool:
        """Whether that run can still go on."""
        return self.head.status in OPEN

    @property
    def status(self) -> RunStatus:
        """The run's status, a stall included."""
        return RunStatus.STALLED if self.stall is not None and self.is_open else self.head.status

    @property
    def has_work(self) -> bool:
        """Whether the run has to be in memory for something to go on."""
        if self.head.status is _RUNNING:
            return bool(self.pending or self.outbox or self.deferred)
        if self.outbox:
            return True
        return self.head.status is RunStatus.PURGED and self.names_documents

    @property
    def names_documents(self) -> bool:
        """Whether there are documents besides the head."""
        return bool(self.journal.pages or self.journal.blobs or self.head.previous or self.seen.in_use)

    def instant(self, now: int) -> int:
        """Give the time of an event: now, but never before the last one."""
        return max(now, self.journal.last_at)

    # Beginning and ending.

    def begin(  # noqa: PLR0913 - a start is all of these
        self,
        definition: WorkflowDefinition,
        raw: bytes,
        now: int,
        *,
        run_id: str,
        parent: Parent | None = None,
        deadline: int = 0,
        requests: tuple[Request, ...] = (),
        attributes: dict[str, Any] | None = None,
        trace: Trace | None = None,
        thread: str = "",
    ) -> None:
        """Start a run under the id; one that is there has ended, and becomes a past run in the same commit."""
        previous = ""
        now = self.instant(now)
        if self.exists:
            previous = self.head.run_id
            archive(self, now)
        self.head = Head(
            self.workflow_id,
            run_id,
            definition.name,
            definition.version,
            now,
            self.world.new_seed(),
            raw,
            parent=parent,
            previous=previous,
            requests=requests,
            deadline=deadline,
            attributes=dict(attributes or {}),
            children=dict(self.children),
            trace=trace,
            thread=thread,
        )
        self.journal = Journal(run_id, keep=self.world.verify)
        self.forget()
        self.admit()
        self.new_instance(definition)
        self.effects.append(Began(definition.name))
        if self.world.hooked:
            self.tell("on_workflow_start", decode_json(raw))
        details = {"attributes": attributes} if attributes else None
        started = Event(EventType.WORKFLOW_STARTED, now, name=definition.name, value=raw, details=details)
        if self.begun:
            self._defer(started)  # a run that keeps continuing as new gets one turn a commit, as others do
        else:
            self.begun = True
            self._apply(started)

    def take_in(self, instance: Instance) -> None:
        """Let a replayed instance be the run's code; the limits of its open activities are those of the code now."""
        self.instance = instance
        instance.outbox = self.outbox
        for command_id, waiting in instance.waiting.items():
            if command_id in self.pending:
                self.pending[command_id].options = options = waiting.command.options
                self.has_deadlines = self.has_deadlines or options.schedule_to_close_ms is not None

    def forget(self) -> None:
        """Drop what belongs to one run only, before the next one of the id begins."""
        self.deferred, self.open_updates, self.replies = [], {}, {}
        self.stall, self.cancel_requested, self.timed_out, self.outgoing = None, False, False, 0
        self.verify_from = 0

    def new_instance(self, definition: WorkflowDefinition) -> Instance:
        """Put fresh code of the run into memory."""
        self.instance = instance = Instance(definition, self.head.info, self.world.host)
        instance.outbox = self.outbox
        return instance

    def leave_memory(self) -> None:
        """Take the run's code apart."""
        if self.instance is not None:
            self.instance.close()
            self.instance = None

    def stall_for(self, reason: FailureInfo) -> None:
        """Park the run visibly: its code cannot go on, and nothing of it is lost."""
        self.stall = reason
        self.world.host.logger.error(
            "workflow %r is stalled: %s", self.workflow_id, reason.message, extra=self.head.log_fields
        )
        self.leave_memory()

    # What happens to it.

    def happen(  # noqa: PLR0913, PLR0917 - the fields of an event
        self,
        kind: EventType,
        now: int,
        id: str = "",
        name: str = "",
        value: bytes = b"",
        details: dict[str, Any] | None = None,
    ) -> None:
        """Apply an input, or record it as deferred while the run is paused or stalled."""
        event = Event(kind, max(now, self.journal.last_at), id, name, value, details)
        if self.instance is None or self.deferred or self.head.status is not _RUNNING:
            self._defer(event)
        else:
            self._apply(event)

    def _apply(self, event: Event) -> None:
        commands = self._activate(event)
        if commands is None:
            self._defer(event)
            return
        self.record(event)
        for command in commands:
            self._record_command(command)

    @property
    def can_catch_up(self) -> bool:
        """Whether there are deferred inputs, and nothing that keeps them from being applied."""
        return bool(self.deferred) and self.instance is not None and self.head.status is RunStatus.RUNNING

    def catch_up(self, now: int) -> None:
        """Apply what came while the run could not go on, in the order it came."""
        run_id = self.head.run_id
        while self.can_catch_up:
            seq, event = self.deferred[0]
            event = replace(event, at=self.instant(now))
            commands = self._activate(event)
            if commands is None:
                return
            if self.instance is not None and self.instance.refs is not None:
                self.world.dropped_answers += self.instance.refs.take_dropped()
            later = self.deferred[1:]
            self.deferred = later
            self.record(Event(EventType.EVENT_APPLIED, event.at, details={"seq": seq}))
            for command in commands:
                self._record_command(command)
            if self.head.run_id != run_id:
                self._hand_over([event for _, event in later])
                return

    def _hand_over(self, events: list[Event]) -> None:
        """Give what came for a run that has continued as new to the run that follows it."""
        for event in events:
            if event.type in _HANDED_OVER and self.is_open:
                self.happen(event.type, event.at, event.id, event.name, event.value, event.details)

    def _activate(self, event: Event) -> list[Command] | None:
        """Let the code go on; None where it cannot, and the run is stalled with the event not applied."""
        instance = self.instance
        assert instance is not None  # noqa: S101 - callers have checked
        commands = instance.activate(event)
        if instance.fault is not None:
            self.stall_for(FailureInfo("StalledError", instance.fault))
            return None
        if self.world.verify and self.journal.events >= self.verify_from:
            self.verify_from = self.journal.events + (self.journal.events - _VERIFIED_EACH_TIME) // 10
            difference = replay_difference(instance, self.journal.kept or [], event, commands)
            if difference is not None:
                self.stall_for(difference)
                return None
        return commands

    def record(self, event: Event) -> int:
        """Write an event into the history, and keep track of what it means."""
        self.changed = True
        track = TRACK.get(event.type)
        if track is not None:
            track(self, event)
        return self.journal.append(event)

    def _record_command(self, command: Command) -> None:
        self.record(command)
        carry_out = CARRY_OUT.get(command.type)
        if carry_out is not None:
            carry_out(self, command)
        elif command.type in OUTCOMES:
            end_run(self, command.type, command.at, command.value)

    def _defer(self, event: Event) -> None:
        details = {**(event.details or {}), DEFERRED: True}
        self.deferred.append((self.record(replace(event, details=details)), event))

    # What it wants done.

    def dispatch(self, pending: PendingActivity) -> None:
        """Run the attempt that is on, or leave it visibly waiting where nobody here knows the activity."""
        host = self.world.host
        definition = host.registry.activity(pending.name)
        if definition is not None:
            self.effects.append(Dispatch(pending, definition))
            if pending.parked:
                pending.parked, self.changed = False, True
        elif not pending.parked:
            host.logger.warning(
                "workflow %r waits: activity %r is not registered here",
                self.workflow_id,
                pending.name,
                extra={**self.head.log_fields, "activity": pending.name, "attempt": pending.attempt},
            )
            pending.parked = self.pending_told = self.changed = True

    def remember(self, message_id: str, now: int) -> None:
        """Know a message again if it comes twice."""
        if self.seen is NOTHING_SEEN:
            self.seen = Seen()
        self.seen.add(message_id, now, self.head.run_id)

    def follow(self, source: str, number: int) -> None:
        """Note that the numbered messages of a source have been applied up to one, and let the next ones in."""
        if self.seen is NOTHING_SEEN:
            self.seen = Seen()
        self.seen.advance(source, number)
        self.admit()

    def admit(self) -> None:
        """Let messages in, after the commit, that were held for this run or behind what it has just been told."""
        if self.workflow_id in self.world.awaited:
            self.effects.append(Admit())

    def send(self, kind: OutgoingKind, target: str, command_id: str, event: Event | None = None) -> None:
        """Put an effect on another run, or an output with what was recorded of it, into the outbox."""
        self.outgoing += 1
        entry = Outgoing(self.head.run_id, self.outgoing, kind, target, command_id)
        self.outbox[entry.run_id, entry.number] = entry
        self.effects.append(effect_of(entry, event, self.head.trace_text))
        self.changed = True

    def delivered(self, entry: Outgoing) -> None:
        """Take an effect out of the outbox: it is durable where it belongs."""
        if self.outbox.pop((entry.run_id, entry.number), None) is not None:
            self.changed = True

    def tell(self, hook: str, payload: Any) -> None:  # noqa: ANN401 - any value
        """Let the hooks know, after the commit."""
        self.effects.append(Tell(hook, payload))
