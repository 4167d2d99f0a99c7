"""What workflow code asks of others: activities and their limits, child runs and how they are cancelled."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from holdfast import (
    ActivityError,
    ChildHandle,
    ChildWorkflowError,
    FailureInfo,
    PayloadError,
    RetryPolicy,
    WorkflowContext,
    activity,
)
from holdfast.core.activities import ActivityOptions
from holdfast.core.history import EventType
from holdfast.core.ids import child_run_id
from tests.play import Anything, Begin


@dataclass
class Receipt:
    total: int


@activity(name="charge-card", retry=RetryPolicy(max_attempts=5), timeout=30)
async def charge(amount: int) -> Receipt:
    return Receipt(amount)


def test_a_function_brings_its_name_its_options_and_the_type_of_its_result(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> int:
        receipt = await ctx.execute_activity(charge, 5)
        assert isinstance(receipt, Receipt)
        return receipt.total

    play = begin(run)
    command: Any = play.asked[0]
    assert (command.type, command.name, command.value) == (EventType.ACTIVITY_STARTED, "charge-card", b"5")
    assert command.options == ActivityOptions(RetryPolicy(max_attempts=5), timeout_ms=30_000)
    play.complete("charge-card", {"total": 5})

    assert play.result == 5


def test_a_name_goes_without_and_has_the_default_policy(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        return await ctx.execute_activity("anything", {"a": 1})

    play = begin(run)
    command: Any = play.asked[0]
    assert command.options == ActivityOptions(RetryPolicy())
    play.complete("anything", [1, None])

    assert play.result == [1, None]


def test_a_call_may_override_each_option(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        await ctx.execute_activity(
            charge,
            5,
            retry=RetryPolicy(max_attempts=1),
            timeout=timedelta(seconds=1),
            heartbeat_timeout=2,
            schedule_to_close=3,
        )

    command: Any = begin(run).asked[0]

    assert command.options == ActivityOptions(RetryPolicy(max_attempts=1), 1_000, 2_000, 3_000)


def test_a_result_type_wins_over_the_annotation(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[str]:
        first: Any = await ctx.execute_activity(charge, 5, result_type=dict[str, int])
        second = await ctx.execute_activity("charge", result_type=Receipt)
        return [type(first).__name__, type(second).__name__]

    play = begin(run)
    play.complete("charge-card", {"total": 5})
    play.complete("charge", {"total": 5})

    assert play.result == ["dict", "Receipt"]


def test_a_failure_tells_activity_id_attempt_and_cause(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[Any]:
        try:
            await ctx.execute_activity(charge, 5)
        except ActivityError as error:
            cause = error.cause.cause
            return [
                error.activity,
                error.activity_id,
                error.attempt,
                error.cause.type,
                cause and cause.type,
                str(error),
            ]
        return []

    error = TimeoutError("too slow")
    error.__cause__ = OSError("network")
    play = begin(run)
    play.fail("charge-card", error, attempt=5)

    assert play.result == ["charge-card", "1", 5, "TimeoutError", "OSError", "activity 'charge-card' failed: too slow"]


@pytest.mark.parametrize("value", [object(), "x" * 500, float("inf")])
def test_an_input_that_cannot_be_sent_is_an_error_at_the_call_and_nothing_is_asked_for(
    begin: Begin, value: object
) -> None:
    async def run(ctx: WorkflowContext) -> str:
        try:
            await ctx.execute_activity(charge, value)
        except PayloadError as error:
            return str(error)
        return ""

    play = begin(run, payload_limit=200)

    assert play.words == ["workflow_completed"]
    assert play.result.startswith("input of activity 'charge-card'")


def test_giving_a_call_up_asks_for_its_end_once(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        task = asyncio.create_task(ctx.execute_activity("a"))
        await ctx.receive_signal("stop")
        task.cancel()
        task.cancel()
        await asyncio.wait([task])
        return "on"

    play = begin(run)
    play.signal("stop")

    assert play.words == ["activity_cancelled a", "workflow_completed"]


def test_a_call_that_was_answered_in_the_same_turn_is_not_given_up(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        task = asyncio.create_task(ctx.execute_activity("a"))
        other = asyncio.create_task(ctx.wait_condition(lambda: bool(seen)))
        seen: list[int] = []
        done, _ = await asyncio.wait([task, other], return_when=asyncio.FIRST_COMPLETED)
        other.cancel()
        return str(next(iter(done)).result())

    play = begin(run)
    play.complete("a", "A")

    assert play.words == ["workflow_completed"]
    assert play.result == "A"


async def child(ctx: WorkflowContext, value: int) -> Receipt:
    return Receipt(value)


def test_a_child_is_asked_for_with_an_id_that_follows_from_its_place(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> int:
        receipt = await ctx.execute_child(child, 5)
        assert isinstance(receipt, Receipt)
        return receipt.total

    play = begin(run, workflows=[child])
    command = play.asked[0]
    assert (command.type, command.name, command.value) == (EventType.CHILD_STARTED, "child", b"5")
    assert command.details == {"workflow_id": child_run_id("wf", "run", "1"), "parent_close": "cancel"}
    play.child_completed("child", {"total": 5})

    assert play.result == 5


def test_a_child_may_have_an_id_and_a_policy_of_its_own(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        handle = ctx.start_child("elsewhere", {"a": 1}, id="child-1", parent_close="abandon")
        return f"{handle.id}: {await handle.result()}"

    play = begin(run)
    assert play.asked[0].details == {"workflow_id": "child-1", "parent_close": "abandon"}
    play.child_completed("elsewhere", "fine")

    assert play.result == "child-1: fine"


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"id": "a b"}, "InvalidIdError"),
        ({"parent_close": "kill"}, "ValueError"),
        ({"input": object()}, "PayloadError"),
    ],
)
def test_a_child_that_cannot_be_started_is_an_error_at_the_call(begin: Begin, options: Anything, kind: str) -> None:
    async def run(ctx: WorkflowContext) -> str:
        try:
            ctx.start_child(child, **{"input": 1, **options})
        except Exception as error:  # noqa: BLE001
            return type(error).__name__
        return ""

    play = begin(run, workflows=[child])

    assert (play.words, play.result) == (["workflow_completed"], kind)


def test_a_child_that_is_not_registered_here_is_the_engines_to_judge(begin: Begin) -> None:
    """Were it an error at the call, a replay where it is not registered would take another way."""

    async def run(ctx: WorkflowContext) -> None:
        ctx.start_child(child, 1)
        await ctx.execute_child("by name", 2)

    assert begin(run).words == ["child_started child", "child_started by name"]


def test_a_child_that_did_not_complete_says_how_it_ended(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[str]:
        try:
            await ctx.execute_child(child, 5, id="c")
        except ChildWorkflowError as error:
            return [error.workflow_id, error.cause.type, str(error)]
        return []

    play = begin(run, workflows=[child])
    play.child_failed("child", FailureInfo("WorkflowFailedError", "outer", None, FailureInfo("ValueError", "bad")))

    assert play.result == ["c", "WorkflowFailedError", "child workflow 'c' did not complete: bad"]


def test_giving_up_the_wait_for_a_handle_leaves_the_child_alone(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        handle = ctx.start_child(child, 5)
        try:
            await asyncio.wait_for(handle.result(), timeout=5)
        except TimeoutError:
            return (await handle.result()).total

    play = begin(run, workflows=[child])
    play.fire()
    assert play.words == []
    play.child_completed("child", {"total": 5})

    assert play.result == 5


def test_giving_up_an_executed_child_cancels_it(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        try:
            await asyncio.wait_for(ctx.execute_child(child, 5), timeout=5)
        except TimeoutError:
            return "late"
        return ""

    play = begin(run, workflows=[child])
    started = play.asked[-1]
    play.fire()

    assert play.words == ["child_cancel_requested", "workflow_completed"]
    assert play.asked[0].details == {"workflow_id": (started.details or {})["workflow_id"]}


def test_a_child_is_asked_to_cancel_once_and_not_after_its_end(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        handle = ctx.start_child(child, 5)
        handle.cancel()
        handle.cancel()
        try:
            await handle.result()
        except ChildWorkflowError as error:
            handle.cancel()
            return error.cause.type
        return ""

    play = begin(run, workflows=[child])
    assert play.words == ["child_started child", "child_cancel_requested"]
    play.child_failed("child", FailureInfo("CancelToken", "canceled"))

    assert (play.words, play.result) == (["workflow_completed"], "CancelToken")


def test_a_child_takes_signals(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        handle = ctx.start_child(child, 5, id="c")
        await handle.signal("hello", 1)
        return "sent"

    play = begin(run, workflows=[child])
    sent = play.asked[1]
    assert (sent.type, sent.name, sent.details) == (EventType.SIGNAL_SENT, "hello", {"workflow_id": "c"})
    play.apply(EventType.SIGNAL_DELIVERED, id=sent.id, value=b"null")

    assert play.result == "sent"


def test_a_handle_whose_child_failed_and_nobody_asked_is_no_error(
    begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    async def run(ctx: WorkflowContext) -> str:
        ctx.start_child(child, 5)
        await ctx.receive_signal("on")
        return "on"

    play = begin(run, workflows=[child])
    play.child_failed("child", FailureInfo("ValueError", "bad"))
    play.signal("on")
    play.close()

    assert play.result == "on"
    assert caplog.text == ""


def test_at_most_a_thousand_children_may_be_open(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        handles: list[ChildHandle] = []
        try:
            while True:
                handles.append(ctx.start_child(child, len(handles)))
        except PayloadError as error:
            return f"{len(handles)}: {error}"

    play = begin(run, workflows=[child])

    assert play.result.startswith("1000: 1,000 child runs and signals have no answer yet")
