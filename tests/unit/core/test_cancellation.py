"""Cancellation is Python's own: delivered once, to what is awaited; what the code does about it decides how it ends."""

import asyncio
import contextlib

import pytest

from holdfast import ActivityError, CancelToken, WorkflowContext
from holdfast.core.history import RunStatus
from tests.play import Anything, Begin


async def charge_and_refund(ctx: WorkflowContext) -> str:
    try:
        await ctx.execute_activity("charge")
    except CancelToken:
        await ctx.execute_activity("refund")
        raise
    return "charged"


def test_cancel_token_is_asyncios_own() -> None:
    assert CancelToken is asyncio.CancelledError


def test_the_call_being_awaited_is_given_up_at_once(begin: Begin) -> None:
    play = begin(charge_and_refund)
    play.cancel("changed my mind")

    assert play.words == ["activity_cancelled charge", "activity_started refund"]
    assert not play.ended


def test_a_run_is_canceled_if_the_token_escapes(begin: Begin) -> None:
    play = begin(charge_and_refund)
    play.cancel("changed my mind")
    play.complete("refund")

    assert play.status is RunStatus.CANCELED
    assert play.result == {"type": "CancelToken", "message": "changed my mind"}


def test_a_run_that_returns_all_the_same_is_completed(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        with contextlib.suppress(CancelToken):
            await ctx.execute_activity("charge")
        return "kept"

    play = begin(run)
    play.cancel()

    assert play.status is RunStatus.COMPLETED
    assert play.result == "kept"


def test_a_run_that_raises_something_else_in_its_clean_up_has_failed(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        try:
            await ctx.execute_activity("charge")
        finally:
            raise ValueError("no refund")

    play = begin(run)
    play.cancel()

    assert play.status is RunStatus.FAILED
    assert play.failure.type == "ValueError"


def test_cancellation_retried_during_compensation_changes_nothing(begin: Begin) -> None:
    play = begin(charge_and_refund)
    play.cancel("once")

    for _ in range(3):
        assert play.cancel("again") == []
    play.complete("refund")

    assert play.status is RunStatus.CANCELED
    assert play.failure.message == "once"
    play.replayed()


def test_a_time_out_during_compensation_does_not_interrupt_it(begin: Begin) -> None:
    play = begin(charge_and_refund)
    play.cancel("once")

    assert play.time_out() == []
    play.complete("refund")

    assert play.status is RunStatus.CANCELED


def test_a_time_out_delivers_the_token_and_ends_as_timed_out(begin: Begin) -> None:
    play = begin(charge_and_refund)
    play.time_out()
    assert play.words == ["activity_cancelled charge", "activity_started refund"]
    play.complete("refund")

    assert play.status is RunStatus.TIMED_OUT
    assert play.failure.type == "TimeoutError"


def test_a_cancel_after_the_time_out_is_no_second_one(begin: Begin) -> None:
    play = begin(charge_and_refund)
    play.time_out()

    assert play.cancel() == []
    play.complete("refund")

    assert play.status is RunStatus.TIMED_OUT


def test_a_run_cancelled_before_its_first_wait_is_over_has_begun(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        await asyncio.Event().wait()

    play = begin(run)
    play.cancel()

    assert play.status is RunStatus.CANCELED
    assert play.failure.message == "canceled"


@pytest.mark.parametrize("first", ["cancel", "completion"])
def test_arrival_order_decides_between_cancel_and_completion(begin: Begin, first: str) -> None:
    play = begin(charge_and_refund)
    if first == "cancel":
        play.cancel()
        play.complete("refund")
        assert play.status is RunStatus.CANCELED
    else:
        play.complete("charge")
        assert play.status is RunStatus.COMPLETED


def test_a_result_that_comes_after_the_call_was_given_up_is_dropped(begin: Begin) -> None:
    play = begin(charge_and_refund)
    charge = play.find("charge", play.asked[0].type)
    play.cancel()

    assert play.apply(type(charge.type)("activity_completed"), id=charge.id, name="charge", value=b"1") == []
    play.complete("refund")

    assert play.status is RunStatus.CANCELED


def test_every_branch_is_cancelled_and_unwound_in_order(begin: Begin) -> None:
    unwound: list[str] = []

    async def branch(ctx: WorkflowContext, name: str) -> None:
        try:
            await ctx.execute_activity(name)
        finally:
            await ctx.execute_activity(f"undo-{name}")
            unwound.append(name)

    async def run(ctx: WorkflowContext) -> None:
        async with asyncio.TaskGroup() as group:
            for name in "abc":
                group.create_task(branch(ctx, name))

    play = begin(run)
    play.cancel()
    assert [word for word in play.words if "started" in word] == [f"activity_started undo-{name}" for name in "abc"]

    for name in "cab":
        assert not play.ended
        play.complete(f"undo-{name}")

    assert unwound == ["c", "a", "b"]
    assert play.status is RunStatus.CANCELED


def test_a_nested_scope_may_be_cancelled_alone(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        inner = asyncio.create_task(charge_and_refund(ctx))
        await ctx.receive_signal("stop")
        inner.cancel()
        with contextlib.suppress(CancelToken):
            await inner
        return "on"

    play = begin(run)
    play.signal("stop")
    assert play.words == ["activity_cancelled charge", "activity_started refund"]
    play.complete("refund")

    assert play.result == "on"


def test_a_shielded_clean_up_outlives_the_cancellation(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        saving = asyncio.create_task(save(ctx))
        try:
            await asyncio.shield(saving)
        except CancelToken:
            return f"saved {await saving}"
        return "never"

    async def save(ctx: WorkflowContext) -> Anything:
        return await ctx.execute_activity("save")

    play = begin(run)
    assert play.cancel() == []
    play.complete("save", 5)

    assert play.result == "saved 5"


@pytest.mark.parametrize("waits", ["sleep", "signal", "condition", "child"])
def test_whatever_is_awaited_raises_the_token(begin: Begin, waits: str) -> None:
    async def other(ctx: WorkflowContext) -> None:
        """Be a child."""

    async def run(ctx: WorkflowContext) -> str:
        try:
            match waits:
                case "sleep":
                    await ctx.sleep(60)
                case "signal":
                    await ctx.receive_signal("x", timeout=60)
                case "condition":
                    await ctx.wait_condition(lambda: False, timeout=60)
                case _:
                    await ctx.execute_child(other)
        except CancelToken as token:
            return f"cancelled: {token}"
        return "never"

    play = begin(run, workflows=[other])
    play.cancel("enough")

    assert play.result == "cancelled: enough"
    undone = "child_cancel_requested" if waits == "child" else "timer_cancelled"
    assert play.words == [undone, "workflow_completed"]


def test_an_activity_that_fails_as_it_is_cancelled_counts_as_cancelled(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        try:
            await ctx.execute_activity("a")
        except CancelToken:
            try:
                return str(await ctx.execute_activity("b"))
            except ActivityError as error:
                return str(error)
        return "never"

    play = begin(run)
    play.cancel()
    play.fail("b", ValueError("bad"))

    assert play.result == "activity 'b' failed: bad"


def test_a_token_that_the_code_raises_itself_ends_the_run_as_canceled(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        raise CancelToken

    assert begin(run).status is RunStatus.CANCELED
