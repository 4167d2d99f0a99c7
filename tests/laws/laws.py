"""The replay laws, each as a function that raises where a history breaks it.

Each takes a story: the history of one run, and the code that is to fit it. They speak of activations: an input and
the commands that the code issued while it was applied, which stand in the history right behind it.
"""

from __future__ import annotations

import functools
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest

from holdfast import NondeterminismError
from holdfast.core.history import COMMANDS, INPUTS, OUTCOMES, Command, Event, EventType
from holdfast.core.host import Host, RunInfo
from holdfast.core.instance import Instance
from holdfast.core.registry import Registry
from holdfast.core.replay import DEFERRED, replay_history
from tests.laws.case import Story
from tests.play import MIB, Code

OPENS = {EventType.ACTIVITY_STARTED, EventType.TIMER_STARTED, EventType.CHILD_STARTED, EventType.SIGNAL_SENT}
UNANSWERED = {EventType.ATTRIBUTES_SET, EventType.OUTPUT_SENT, EventType.OUTPUT_REFUSED}
CALLS_OFF = {EventType.ACTIVITY_CANCELLED, EventType.TIMER_CANCELLED}
ANSWERS = {
    EventType.ACTIVITY_COMPLETED: EventType.ACTIVITY_STARTED,
    EventType.ACTIVITY_FAILED: EventType.ACTIVITY_STARTED,
    EventType.TIMER_FIRED: EventType.TIMER_STARTED,
    EventType.CHILD_COMPLETED: EventType.CHILD_STARTED,
    EventType.CHILD_FAILED: EventType.CHILD_STARTED,
    EventType.SIGNAL_DELIVERED: EventType.SIGNAL_SENT,
    EventType.SIGNAL_UNDELIVERED: EventType.SIGNAL_SENT,
}

Activation = tuple[str, list[Any]]
"""An input in words, and the commands it led to, with all that they say."""


class Watched(Instance):
    """An instance that remembers what it was given and what it asked for."""

    def __init__(self, story: Story) -> None:
        host = host_of(tuple(story.case.workflows), story.case.activities)
        who = RunInfo(story.workflow_id, story.run_id, story.history[0].details["seed"])
        super().__init__(host.registry.workflow(story.code), who, host)
        self.log: list[Activation] = []

    def activate(self, event: Event) -> list[Command]:
        commands = super().activate(event)
        self.log.append((event.words(), [said(command) for command in commands]))
        return commands


@functools.cache
def host_of(workflows: tuple[Code, ...], activities: tuple[Code, ...]) -> Host:
    return Host(Registry.of(workflows, activities), MIB, random.Random, logging.getLogger("tests.laws"))


def said(event: Event) -> Any:  # noqa: ANN401 - a value to compare
    """Give all that a command says, or the event that records it; the input of the next run stands in its history."""
    known = event.value and event.type is not EventType.WORKFLOW_CONTINUED_AS_NEW
    value = orjson.loads(event.value) if known else None
    return (event.type.value, event.at, event.id, event.name, value, event.details or {})


@dataclass(frozen=True)
class Replayed:
    """What a replay has come to.

    Attributes:
        log: All activations.
        outcome: The command that ended the run.
        open: The ids of what it still waits for.
        left: What else can be seen of it.
    """

    log: list[Activation]
    outcome: Any
    open: set[str]
    left: Any

    @classmethod
    def of(cls, run: Watched) -> Replayed:
        outcome = None if run.outcome is None else said(run.outcome)
        mail = {name: list(mailbox) for name, mailbox in run.mailboxes.items() if list(mailbox)}
        timers = {timer.id: timer.due_ms for timer in run.timers.values()}
        left = (timers, mail, run.attributes, sorted(run.waits_for()), run.cancel_requested, run.timed_out)
        return cls(run.log, outcome, {*run.waiting, *run.timers}, left)


@contextmanager
def instance(story: Story) -> Iterator[Watched]:
    run = Watched(story)
    try:
        yield run
    finally:
        run.close()


def replay(story: Story, *pieces: Sequence[Event]) -> Replayed:
    """Replay a history on a fresh instance, in one delivery or in several."""
    with instance(story) as run:
        for piece in pieces:
            replay_history(run, piece)
        return Replayed.of(run)


def boundaries(events: Sequence[Event]) -> list[int]:
    """Say where the history stood between two activations: what can be stored of a run ends at one of these."""
    ends = [n for n in range(1, len(events)) if events[n].type not in COMMANDS]
    return [*ends, len(events)]


def activations(events: Sequence[Event]) -> list[tuple[Event | None, list[Any]]]:
    """Take a history apart into what was applied (None for a mere note) and the commands recorded behind it."""
    found: list[tuple[Event | None, list[Any]]] = []
    for position, event in enumerate(events):
        if event.type in COMMANDS:
            found[-1][1].append(said(event))
        else:
            found.append((applied_at(events, position), []))
    return found


def applied_at(events: Sequence[Event], position: int) -> Event | None:
    """Say what was applied to the run where this entry stands, a command being none."""
    event = events[position]
    if event.type is EventType.EVENT_APPLIED:
        seq: int = (event.details or {})["seq"]
        return replace(events[seq - 1], at=event.at)
    is_put_off = bool(event.details and event.details.get(DEFERRED))
    return event if event.type in INPUTS and not is_put_off else None


def happened(events: Sequence[Event], start: int = 0) -> list[Event]:
    """Give commands and inputs in the order in which they counted, from a place in the history on."""
    found = (event if event.type in COMMANDS else applied_at(events, n) for n, event in enumerate(events))
    return [event for event in list(found)[start:] if event is not None]


# The laws.


def twice_is_the_same(story: Story) -> None:
    """Replaying a history twice gives the same commands, values and outcome, and those are the recorded ones."""
    first, second = replay(story, story.events), replay(story, story.events)
    assert first == second
    recorded = [commands for applied, commands in activations(story.events) if applied is not None]
    assert [commands for _, commands in first.log] == recorded
    ended = story.events[-1].type
    if ended in OUTCOMES and ended in COMMANDS:
        assert first.outcome == said(story.events[-1])
    elif ended not in OUTCOMES:
        assert first.outcome is None


def no_prefix_contradicts(story: Story) -> None:
    """Every prefix leads to the commands recorded up to there, and waits for just what the rest of it answers."""
    whole = replay(story, story.events)
    for end in boundaries(story.events):
        prefix = story.events[:end]
        part = replay(story, prefix)
        assert part.log == whole.log[: len(part.log)], f"after {end} events"
        assert len(part.log) == sum(applied is not None for applied, _ in activations(prefix))
        rest = happened(story.events, end)
        answered = {event.id for event in rest if event.type in ANSWERS}
        begun = {event.id for event in rest if event.type in OPENS}
        assert answered - begun <= part.open, f"after {end} events: what is answered next was not asked for"
        if part.outcome is None:
            assert part.open == open_after(prefix), f"after {end} events"


def no_command_twice(story: Story) -> None:
    """No id is given to two commands; each is answered or called off once, after it was asked for; one outcome."""
    asked = Counter(event.id for event in story.events if event.type in OPENS or event.type in UNANSWERED)
    assert max(asked.values(), default=1) == 1, f"asked for twice: {asked.most_common(1)}"
    assert "" not in asked
    patches = Counter(event.name for event in story.events if event.type is EventType.PATCH_MARKED)
    replies = (EventType.UPDATE_COMPLETED, EventType.UPDATE_FAILED)
    updates = Counter(event.id for event in story.events if event.type in replies)
    assert max([*patches.values(), *updates.values()], default=1) == 1
    open_after(story.events)
    outcomes = [position for position, event in enumerate(story.events) if event.type in OUTCOMES]
    assert outcomes in ([], [len(story.events) - 1])


def open_after(events: Sequence[Event]) -> set[str]:
    """Say what waits for an answer at the end of a history."""
    waiting: dict[str, EventType] = {}
    for event in happened(events):
        if event.type in OPENS:
            waiting[event.id] = event.type
        elif event.type in ANSWERS:
            assert waiting.pop(event.id, None) is ANSWERS[event.type], f"{event.words()} answers nothing"
        elif event.type in CALLS_OFF:
            assert waiting.pop(event.id, None) is not None, f"{event.words()} calls nothing off"
    return set(waiting)


def split_anywhere(story: Story) -> None:
    """A history delivered in two parts, or event by event, gives what it gives in one."""
    whole = replay(story, story.events)
    ends = boundaries(story.events)
    pieces = [story.events[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    if any(event.type is EventType.EVENT_APPLIED for event in story.events):
        return  # such an event names another one by its place, and has none in a part
    assert replay(story, *pieces) == whole
    for end in ends:
        assert replay(story, story.events[:end], story.events[end:]) == whole, f"split after {end} events"


def eviction_changes_nothing(story: Story) -> None:
    """A run that leaves memory anywhere, comes back by replay and goes on live writes the history it would have."""
    for end in boundaries(story.events):
        with instance(story) as run:
            replay_history(run, story.events[:end])
            went = [*activations(story.events[:end])]
            for applied, _ in activations(story.events)[len(went) :]:
                commands = run.activate(applied) if applied is not None else []
                assert run.fault is None, run.fault
                went.append((applied, [said(command) for command in commands]))
        assert went == activations(story.events), f"left memory after {end} events"


def cut_within_an_activation_is_told(story: Story) -> None:
    """A history that lacks commands of its last activation never passes for a whole one.

    One that lacks a patch marker is another whole history: that of the code before the change.
    """
    ends = boundaries(story.events)
    for end in range(1, len(story.events)):
        lost = story.events[end : next(boundary for boundary in ends if boundary >= end)]
        if lost and all(event.type is not EventType.PATCH_MARKED for event in lost):
            with pytest.raises(NondeterminismError) as caught:
                replay(story, story.events[:end])
            assert caught.value.found


LAWS: dict[str, Callable[[Story], None]] = {
    "twice is the same": twice_is_the_same,
    "no prefix contradicts": no_prefix_contradicts,
    "no command twice": no_command_twice,
    "split anywhere": split_anywhere,
    "eviction changes nothing": eviction_changes_nothing,
    "a cut is told": cut_within_an_activation_is_told,
}
