"""A law that cannot fail proves nothing: code that is not deterministic breaks them, and so do doctored histories."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from holdfast import NondeterminismError, WorkflowContext
from holdfast.core.history import Event
from tests.laws.activities import ACTIVITIES, double, echo
from tests.laws.case import Story, case, signal
from tests.laws.corpus import recorded
from tests.laws.laws import LAWS
from tests.laws.recording import record
from tests.play import Code

BROKEN = (AssertionError, NondeterminismError)
calls = itertools.count()
seen: list[str] = []


async def looks_outside(ctx: WorkflowContext) -> None:
    """Which activity comes next depends on how often code of this process has run."""
    await ctx.execute_activity(echo, 1)
    await ctx.execute_activity(echo if next(calls) % 2 == 0 else double, 2)
    await ctx.execute_activity(echo, 3)


async def keeps_state_outside(ctx: WorkflowContext) -> None:
    """Does less the second time that it runs in this process."""
    await ctx.receive_signal("n")
    if ctx.workflow_id not in seen:
        seen.append(ctx.workflow_id)
        await ctx.execute_activity(echo, 1)
    await ctx.receive_signal("n")


async def asks_whether_it_replays(ctx: WorkflowContext) -> None:
    await ctx.execute_activity(echo, 1)
    if not ctx.is_replaying:
        await ctx.sleep(1)
    await ctx.execute_activity(echo, 2)


async def sends_other_values(ctx: WorkflowContext) -> None:
    """Kind, name and id of its commands are always the same, what it sends is not."""
    await ctx.execute_activity(echo, next(calls))
    await ctx.receive_signal("n")


async def does_more_when_it_goes_on_live(ctx: WorkflowContext) -> None:
    replayed = ctx.is_replaying
    await ctx.receive_signal("n")
    if replayed and not ctx.is_replaying:
        await ctx.execute_activity(echo, "more")
    await ctx.receive_signal("n")


def history_of(workflow: Code) -> Story:
    calls_from_zero()
    (story,) = record(case(workflow, signal(1, "n"), signal(2, "n"), activities=ACTIVITIES, within=30))
    return story


def calls_from_zero() -> None:
    global calls  # noqa: PLW0603 - state outside of the run is the very fault
    calls = itertools.count()
    seen.clear()


@pytest.mark.parametrize("workflow", [looks_outside, keeps_state_outside, asks_whether_it_replays])
def test_a_prefix_of_a_nondeterministic_run_contradicts_the_rest(workflow: Code) -> None:
    story = history_of(workflow)

    with pytest.raises(BROKEN):
        LAWS["no prefix contradicts"](story)


@pytest.mark.parametrize("workflow", [looks_outside, sends_other_values])
def test_what_differs_from_replay_to_replay_is_not_the_same_twice(workflow: Code) -> None:
    story = history_of(workflow)

    with pytest.raises(BROKEN):
        LAWS["twice is the same"](story)


@pytest.mark.parametrize("workflow", [looks_outside, sends_other_values])
def test_what_differs_from_replay_to_replay_is_not_the_same_in_parts(workflow: Code) -> None:
    story = history_of(workflow)

    with pytest.raises(BROKEN):
        LAWS["split anywhere"](story)


@pytest.mark.parametrize("workflow", [does_more_when_it_goes_on_live, asks_whether_it_replays])
def test_eviction_changes_a_run_that_knows_of_its_replay(workflow: Code) -> None:
    story = history_of(workflow)

    with pytest.raises(BROKEN):
        LAWS["eviction changes nothing"](story)


def ask_twice(events: list[Event]) -> list[Event]:
    opened = next(n for n, event in enumerate(events) if event.type == "activity_started")
    return [*events[: opened + 1], *events[opened:]]


def answer_twice(events: list[Event]) -> list[Event]:
    answered = next(n for n, event in enumerate(events) if event.type == "activity_completed")
    return [*events[: answered + 1], *events[answered:]]


def end_twice(events: list[Event]) -> list[Event]:
    return [*events, events[-1]]


def give_two_one_id(events: list[Event]) -> list[Event]:
    other = next(event.id for event in reversed(events) if event.type == "activity_started")
    return [replace(event, id=other) if event.type == "activity_started" else event for event in events]


@pytest.mark.parametrize("doctor", [ask_twice, answer_twice, end_twice, give_two_one_id])
def test_a_doctored_history_has_a_command_twice(doctor: Callable[[list[Event]], list[Event]]) -> None:
    (story,) = recorded("branches", 0)

    with pytest.raises(AssertionError):
        LAWS["no command twice"](story._replace(events=doctor(story.events)))


def swap(events: list[Event], kind: str) -> list[Event]:
    """Let the ids of the first two events of a kind change places."""
    first, second = [n for n, event in enumerate(events) if event.type == kind][:2]
    swapped = list(events)
    swapped[first] = replace(events[first], id=events[second].id)
    swapped[second] = replace(events[second], id=events[first].id)
    return swapped


@pytest.mark.parametrize("law", ["twice is the same", "no prefix contradicts", "eviction changes nothing"])
def test_a_history_with_two_answers_swapped_breaks_the_law(law: str) -> None:
    story = recorded("branches", 0)[0]
    answered = swap(story.events, "activity_completed")

    with pytest.raises(BROKEN):
        LAWS[law](story._replace(events=answered))


def test_a_cut_that_nobody_notices_breaks_the_law() -> None:
    async def quiet(ctx: WorkflowContext) -> Any:  # noqa: ANN401
        if not quiet_now:
            await ctx.execute_activity(echo, 1)
        return await ctx.receive_signal("never")

    quiet_now: list[bool] = []
    story = history_of(quiet)
    quiet_now.append(True)

    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        LAWS["a cut is told"](story)
