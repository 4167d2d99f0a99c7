"""What a workflow of the corpus needs to run: its code, its input, and what happens to it from outside and when."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from holdfast import Engine, HistoryEvent
from holdfast.core.definitions import workflow_name
from holdfast.core.history import Event
from holdfast.ports import StateStore
from tests.play import Anything, Code, json_bytes

Act = Callable[[Engine, str], Awaitable[Any]]
"""Something that somebody does to the run of a workflow id."""


class Deed(NamedTuple):
    """What happens to a run from outside.

    Attributes:
        at: How many seconds after its start.
    """

    at: float
    act: Act


@dataclass(frozen=True)
class Case:
    """A workflow of the corpus, and all that it takes to run it.

    Attributes:
        name: Also the workflow id of the run.
        deeds: What happens from outside, in order.
        timeout: That of the run.
        within: How many seconds to watch it, if it does not end before.
        helpers: The other workflows that it needs.
    """

    name: str
    workflow: Code
    input: Anything = None
    deeds: tuple[Deed, ...] = ()
    timeout: float | None = None
    within: float = 600
    helpers: tuple[Code, ...] = ()
    activities: tuple[Code, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def workflows(self) -> list[Code]:
        return [self.workflow, *self.helpers]


def case(workflow: Code, *deeds: Deed, **options: Anything) -> Case:
    """Make a case that is named like its workflow."""
    return Case(options.pop("name", workflow.__name__), workflow, deeds=deeds, **options)


def signal(at: float, name: str, payload: object = None, **options: Anything) -> Deed:
    return Deed(at, lambda engine, id: engine.signal(id, name, payload, **options))


def update(at: float, name: str, value: object = None) -> Deed:
    """Ask for an update, and go on before it is answered."""
    return Deed(at, lambda engine, id: engine.update(id, name, value, id=f"{name}-{value}-{at}"))


def answer(at: float, ref: str, value: object = None) -> Deed:
    return Deed(at, lambda engine, id: engine.resolve_ref(id, ref, value))


def refuse(at: float, ref: str, error: object) -> Deed:
    return Deed(at, lambda engine, id: engine.resolve_ref(id, ref, error=error))


def cancel(at: float, reason: str = "") -> Deed:
    return Deed(at, lambda engine, id: engine.cancel(id, reason=reason))


def pause(at: float) -> Deed:
    return Deed(at, lambda engine, id: engine.pause(id))


def resume(at: float) -> Deed:
    return Deed(at, lambda engine, id: engine.resume(id))


class Story(NamedTuple):
    """The history of one run, with what is needed to replay it.

    Attributes:
        history: As the engine shows it.
        events: The same, as the core takes it.
    """

    case: Case
    workflow_id: str
    run_id: str
    history: list[HistoryEvent]
    events: list[Event]

    @classmethod
    def of(cls, case: Case, history: list[HistoryEvent]) -> Story:
        who = history[0].details
        return cls(case, who["workflow_id"], who["run_id"], history, [as_event(entry) for entry in history])

    @property
    def code(self) -> Code:
        """The workflow function that it is a history of."""
        name = self.history[0].name
        return next(code for code in self.case.workflows if workflow_name(code) == name)


def as_event(entry: HistoryEvent) -> Event:
    """Read an event back from how it is shown."""
    at = round(entry.at.timestamp() * 1000)
    return Event(entry.type, at, entry.id, entry.name, json_bytes(entry.value), entry.details or None)


StoreMaker = Callable[[], StateStore]
