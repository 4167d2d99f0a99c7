"""Replay holds what the code asks for against what was recorded: kind, name and id; the difference is named."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from holdfast import NondeterminismError, WorkflowContext
from holdfast.core.history import Event, EventType
from tests.play import Anything, Begin, Play


async def recorded_one(ctx: WorkflowContext) -> str:
    await ctx.execute_activity("charge")
    await ctx.sleep(60)
    await ctx.execute_activity("ship")
    return "done"


def history_of(begin: Begin) -> list[Event]:
    play = begin(recorded_one)
    play.complete("charge")
    play.fire()
    play.complete("ship")
    assert play.result == "done"
    return play.history


def replayed(workflow: Anything, history: list[Event]) -> Anything:
    with Play(workflow) as play:
        return play.replayed(history)


def test_the_same_code_fits_every_prefix(begin: Begin) -> None:
    history = history_of(begin)
    ends = [n for n in range(1, len(history) + 1) if n == len(history) or history[n].type not in set(COMMAND_TYPES)]

    for end in ends:
        replayed(recorded_one, history[:end])

    assert len(ends) == 4


COMMAND_TYPES = [EventType.ACTIVITY_STARTED, EventType.TIMER_STARTED, EventType.WORKFLOW_COMPLETED]


async def renamed(ctx: WorkflowContext) -> None:
    await ctx.execute_activity("bill")


async def other_kind(ctx: WorkflowContext) -> None:
    await ctx.sleep(5)


async def one_more(ctx: WorkflowContext) -> None:
    ctx.set_attributes(a=1)
    await ctx.execute_activity("charge")


async def none(ctx: WorkflowContext) -> None:
    await asyncio.Event().wait()


async def swapped(ctx: WorkflowContext) -> None:
    await ctx.execute_activity("charge")
    await ctx.execute_activity("ship")


async def ends_early(ctx: WorkflowContext) -> str:
    await ctx.execute_activity("charge")
    return "done"


@pytest.mark.parametrize(
    ("workflow", "expected", "found"),
    [
        (renamed, "activity_started 'charge' (id 1)", "activity_started 'bill' (id 1)"),
        (other_kind, "activity_started 'charge' (id 1)", "timer_started (id 1)"),
        (one_more, "activity_started 'charge' (id 1)", "attributes_set (id 1)"),
        (none, "activity_started 'charge' (id 1)", "nothing"),
        (swapped, "timer_started (id 2)", "activity_started 'ship' (id 2)"),
        (ends_early, "timer_started (id 2)", "workflow_completed"),
    ],
)
def test_other_code_is_told_what_was_expected_and_what_found(
    begin: Begin, workflow: Anything, expected: str, found: str
) -> None:
    with pytest.raises(NondeterminismError) as caught:
        replayed(workflow, history_of(begin))

    assert (caught.value.expected, caught.value.found) == (expected, found)
    assert str(caught.value).startswith("the code does not fit the history: after event ")
    assert f"expected {expected}, found {found}" in str(caught.value)


def test_inputs_and_values_may_change_for_only_the_shape_is_compared(begin: Begin) -> None:
    async def with_more(ctx: WorkflowContext) -> str:
        await ctx.execute_activity("charge", {"currency": "EUR"})
        await ctx.sleep(90)
        await ctx.execute_activity("ship")
        return "done differently"

    replayed(with_more, history_of(begin))


def test_commands_of_one_event_may_come_in_another_order(begin: Begin) -> None:
    """Versions of Python interleave tasks unlike within one event; that is no difference."""

    async def run(ctx: WorkflowContext) -> None:
        await asyncio.gather(ctx.execute_activity("a"), ctx.execute_activity("b"))

    play = begin(run)
    first, one, two = play.history

    play.replayed([first, two, one])
    with pytest.raises(NondeterminismError):
        play.replayed([first, one, one])


def test_a_fault_during_replay_is_a_difference_too(begin: Begin) -> None:
    async def spins(ctx: WorkflowContext) -> None:
        await ctx.execute_activity("charge")
        while True:  # noqa: ASYNC110 - the trap itself
            await asyncio.sleep(0)

    with pytest.raises(NondeterminismError, match="did not yield"):
        replayed(spins, history_of(begin))


def test_an_answer_to_nothing_is_dropped(begin: Begin) -> None:
    play = begin(recorded_one)

    for kind in (
        EventType.ACTIVITY_COMPLETED,
        EventType.CHILD_COMPLETED,
        EventType.SIGNAL_DELIVERED,
        EventType.TIMER_FIRED,
    ):
        assert play.apply(kind, id="99", value=b"1") == []
    play.complete("charge")

    assert play.words == ["timer_started"]


def test_an_answer_that_comes_twice_counts_once(begin: Begin) -> None:
    play = begin(recorded_one)
    play.complete("charge")
    fired_id = play.asked[0].id

    assert play.apply(EventType.ACTIVITY_COMPLETED, id="1", value=b"2") == []
    play.fire()
    assert play.apply(EventType.TIMER_FIRED, id=fired_id) == []

    assert not play.ended


def test_a_deferred_input_is_applied_where_the_history_says(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[Any]:
        return [await ctx.receive_signal("x"), ctx.now().timestamp(), await ctx.execute_activity("a")]

    play = begin(run)
    deferred = Event(EventType.SIGNAL_RECEIVED, play.now + 1, name="x", value=b"5", details={"deferred": True})
    paused = [
        *play.history,
        Event(EventType.WORKFLOW_PAUSED, play.now + 1),
        deferred,
        Event(EventType.WORKFLOW_RESUMED, play.now + 9_000),
    ]
    assert play.replayed(paused).waiting == {}

    applied = Event(EventType.EVENT_APPLIED, play.now + 9_000, details={"seq": 3})
    instance = play.replayed([*paused, applied, Event(EventType.ACTIVITY_STARTED, play.now + 9_000, "1", "a", b"null")])

    assert list(instance.waiting) == ["1"]
    assert instance.loop.now_ms == play.now + 9_000


def test_a_decoding_that_changed_gives_the_error_to_who_waits(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        try:
            return str(await ctx.execute_activity("a", result_type=int))
        except Exception as error:  # noqa: BLE001
            return str(error)

    play = begin(run)
    play.complete("a", "many")

    assert play.result.startswith("result of activity 'a': Input should be a valid integer")


def test_the_run_keeps_its_time_when_an_event_is_late(begin: Begin) -> None:
    play = begin(recorded_one)
    events = [replace(event, at=event.at) for event in play.history]

    assert play.replayed(events).loop.now_ms == play.now


async def broken(_ctx: WorkflowContext) -> None:
    message = "field 'city' is gone"
    raise LookupError(message)


def test_code_that_raises_where_the_history_goes_on_is_named_by_what_it_raised(begin: Begin) -> None:
    with pytest.raises(
        NondeterminismError, match=r"found workflow_failed.*: LookupError: field 'city' is gone"
    ) as caught:
        replayed(broken, history_of(begin))

    assert caught.value.expected == "activity_started 'charge' (id 1)"
