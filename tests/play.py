"""A run played by hand: events in, commands out, no engine and no clock. The pure tests and the laws share it."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, Self

import orjson

from holdfast.core.failure import FailureInfo
from holdfast.core.history import OUTCOMES, Command, Event, EventType, RunStatus
from holdfast.core.host import Host, RunInfo
from holdfast.core.instance import Instance
from holdfast.core.outcome import encode_failure
from holdfast.core.registry import Registry
from holdfast.core.replay import replay_history

Code = Callable[..., Any]
"""A workflow or an activity."""

Anything = Any
"""Whatever a test may pass: a value, a workflow, an exception."""

START_MS = 1_700_000_000_000
MIB = 1024 * 1024

_OPENED_BY = {
    EventType.ACTIVITY_STARTED,
    EventType.TIMER_STARTED,
    EventType.CHILD_STARTED,
    EventType.SIGNAL_SENT,
}
_CLOSED_BY = {
    EventType.ACTIVITY_CANCELLED,
    EventType.ACTIVITY_COMPLETED,
    EventType.ACTIVITY_FAILED,
    EventType.TIMER_CANCELLED,
    EventType.TIMER_FIRED,
    EventType.CHILD_COMPLETED,
    EventType.CHILD_FAILED,
    EventType.SIGNAL_DELIVERED,
    EventType.SIGNAL_UNDELIVERED,
}


def json_bytes(value: object) -> bytes:
    return orjson.dumps(value)


class Play:
    """One run as a state machine, with its history so far and what it has asked for and not been answered.

    Attributes:
        history: All events, as an engine would record them.
        asked: The commands of the last activation.
        open: Commands without an answer, by id.
        now: The time of the last event, in milliseconds.
    """

    def __init__(  # noqa: PLR0913 - what an instance is made of
        self,
        workflow: Callable[..., Any],
        input: object = None,
        *,
        activities: Iterable[Callable[..., Any]] = (),
        workflows: Iterable[Callable[..., Any]] = (),
        seed: int = 7,
        payload_limit: int = MIB,
        logger: str = "tests.play",
    ) -> None:
        self.workflow = workflow
        self.input = json_bytes(input)
        self.registry = Registry.of([workflow, *workflows], activities)
        self.host = Host(self.registry, payload_limit, random.Random, logging.getLogger(logger))
        self.info = RunInfo("wf", "run", seed)
        self.run = self._fresh()
        self.history: list[Event] = []
        self.asked: list[Command] = []
        self.open: dict[str, Command] = {}
        self.now = START_MS
        self._spare: list[Instance] = []

    def _fresh(self) -> Instance:
        return Instance(self.registry.workflow(self.workflow), self.info, self.host)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        self.run.close()
        for instance in self._spare:
            instance.close()

    # What happens to it.

    def apply(  # noqa: PLR0913 - the fields of an event
        self,
        kind: EventType,
        *,
        id: str = "",
        name: str = "",
        value: bytes = b"",
        details: dict[str, Any] | None = None,
        after_ms: int = 1,
    ) -> list[Command]:
        self.now += after_ms
        event = Event(kind, self.now, id, name, value, details)
        self.asked = self.run.activate(event)
        if self.run.fault is None:
            self.history += [event, *(recorded(command) for command in self.asked)]
            self._keep_track(event)
        return self.asked

    def _keep_track(self, event: Event) -> None:
        if event.type in _CLOSED_BY:
            self.open.pop(event.id, None)
        for command in self.asked:
            if command.type in _OPENED_BY:
                self.open[command.id] = command
            elif command.type in _CLOSED_BY:
                self.open.pop(command.id, None)

    def start(self) -> Self:
        self.apply(EventType.WORKFLOW_STARTED, name=self.run.definition.name, value=self.input)
        return self

    def complete(self, which: str, result: object = None) -> list[Command]:
        command = self.find(which, EventType.ACTIVITY_STARTED)
        return self.apply(EventType.ACTIVITY_COMPLETED, id=command.id, name=command.name, value=json_bytes(result))

    def fail(self, which: str, error: BaseException | None = None, *, attempt: int = 1) -> list[Command]:
        command = self.find(which, EventType.ACTIVITY_STARTED)
        failure = FailureInfo.of(error or ValueError("no"))
        return self.apply(
            EventType.ACTIVITY_FAILED,
            id=command.id,
            name=command.name,
            value=encode_failure(failure),
            details={"attempt": attempt},
        )

    def fire(self) -> list[Command]:
        """Let the timer come due that is due first."""
        due, timer_id = min((timer.due_ms, timer.id) for timer in self.run.timers.values())
        return self.apply(EventType.TIMER_FIRED, id=timer_id, after_ms=max(1, due - self.now))

    def signal(self, name: str, payload: object = None) -> list[Command]:
        return self.apply(EventType.SIGNAL_RECEIVED, name=name, value=json_bytes(payload))

    def resolve(self, ref: str, value: object = None) -> list[Command]:
        return self.apply(EventType.REF_RESOLVED, name=ref, value=json_bytes(value))

    def reject(self, ref: str, error: object = None) -> list[Command]:
        return self.apply(EventType.REF_REJECTED, name=ref, value=json_bytes(error))

    def cancel(self, reason: str = "") -> list[Command]:
        return self.apply(EventType.CANCEL_REQUESTED, details={"reason": reason} if reason else None)

    def time_out(self) -> list[Command]:
        return self.apply(EventType.TIME_OUT_REACHED)

    def update(self, name: str, value: object = None, *, id: str = "u") -> list[Command]:
        self.run.validate_update(name, json_bytes(value))
        return self.apply(EventType.UPDATE_ACCEPTED, id=id, name=name, value=json_bytes(value))

    def child_completed(self, which: str, result: object = None) -> list[Command]:
        command = self.find(which, EventType.CHILD_STARTED)
        return self.apply(EventType.CHILD_COMPLETED, id=command.id, value=json_bytes(result), details=command.details)

    def child_failed(self, which: str, failure: FailureInfo) -> list[Command]:
        command = self.find(which, EventType.CHILD_STARTED)
        return self.apply(EventType.CHILD_FAILED, id=command.id, value=encode_failure(failure), details=command.details)

    def query(self, name: str, value: object = None) -> Anything:
        return self.run.query(name, json_bytes(value))

    # What can be seen of it.

    def find(self, which: str, kind: EventType) -> Command:
        """Find an open command by its id or name, the oldest first."""
        if which in self.open:
            return self.open[which]
        return next(command for command in self.open.values() if command.name == which and command.type is kind)

    @property
    def words(self) -> list[str]:
        """The commands of the last activation, as kinds and names."""
        return [f"{command.type} {command.name}".strip() for command in self.asked]

    @property
    def outputs(self) -> list[Anything]:
        """The values of the outputs of the last activation."""
        return [orjson.loads(command.value) for command in self.asked if command.type is EventType.OUTPUT_SENT]

    @property
    def ended(self) -> bool:
        return self.run.outcome is not None

    @property
    def status(self) -> RunStatus:
        return OUTCOMES[self.run.outcome.type] if self.run.outcome is not None else RunStatus.RUNNING

    @property
    def result(self) -> Anything:
        """What the run returned, or the failure that it ended in, as JSON."""
        assert self.run.outcome is not None, f"still running; open: {[c.words() for c in self.open.values()]}"
        return orjson.loads(self.run.outcome.value)

    @property
    def failure(self) -> FailureInfo:
        return FailureInfo.from_json(self.result)

    # Replaying it.

    def replayed(self, events: Sequence[Event] | None = None) -> Instance:
        """Replay a history, this run's own by default, on a fresh instance; raises where the code does not fit."""
        fresh = self._fresh()
        self._spare.append(fresh)
        replay_history(fresh, self.history if events is None else events)
        return fresh

    def on_code(self, workflow: Callable[..., Any]) -> Play:
        """Give this run as it goes on under other code; raises where that does not fit."""
        after = Play(workflow)
        after.info, after.run, after.history = self.info, after.replayed(self.history), list(self.history)
        after.open, after.now = dict(self.open), self.now
        return after

    def reload(self) -> Self:
        """Leave memory and come back by replay, as after a restart."""
        fresh = self._fresh()
        replay_history(fresh, self.history)
        self.run.close()
        self.run = fresh
        return self


class Begin(Protocol):
    """Starts a run that is taken out of memory when its test ends."""

    def __call__(self, workflow: Callable[..., Any], input: object = None, **options: Anything) -> Play: ...


@contextmanager
def nothing_escapes() -> Iterator[None]:
    """Turn what would end the process into an ordinary failure of the test."""
    try:
        yield
    except Exception:
        raise
    except BaseException as error:  # noqa: BLE001 - that is what it is for
        message = f"{error!r} escaped"
        raise AssertionError(message) from None


def recorded(command: Command) -> Event:
    """Give the event that an engine records for a command."""
    return Event(command.type, command.at, command.id, command.name, command.value, command.details)
