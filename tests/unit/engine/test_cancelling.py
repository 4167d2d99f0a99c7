"""Cancel and time-out through the engine: once per run, compensation runs, what was running is asked to stop."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from holdfast import (
    ActivityContext,
    CancelToken,
    RunStatus,
    WorkflowCanceledError,
    WorkflowContext,
    WorkflowFinishedError,
    WorkflowTimedOutError,
)
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import died, engine_on, eventually, nap, on_skipping_loop, parked, steps, types_of

NOTES: list[Any] = []


@pytest.fixture(autouse=True)
def empty_notes() -> None:
    NOTES.clear()


async def charge(context: ActivityContext) -> str:
    NOTES.append("charging")
    try:
        await asyncio.sleep(3_600)
    except asyncio.CancelledError:
        NOTES.append(f"told to stop: {context.cancelled}")
        raise
    return "charged"


async def refund(slow: float = 0) -> str:
    await asyncio.sleep(slow)
    NOTES.append("refunded")
    return "refunded"


async def order(ctx: WorkflowContext, slow: float = 0) -> str:
    try:
        return await ctx.execute_activity(charge)
    except CancelToken:
        await ctx.execute_activity(refund, slow)
        raise


OPTIONS: dict[str, Any] = {"workflows": [order, parked, nap, steps], "activities": [charge, refund]}


@on_skipping_loop
async def test_a_cancelled_run_compensates_and_is_canceled_with_the_reason() -> None:
    async with engine_on(**OPTIONS, dev_replay=True) as engine:
        handle = await engine.start(order, id="a")
        await eventually(lambda: NOTES)
        await handle.cancel(reason="changed my mind")

        with pytest.raises(WorkflowCanceledError, match="workflow 'a' was canceled: changed my mind") as caught:
            await handle.result()
        assert caught.value.failure.type == "CancelToken"
        assert NOTES == ["charging", "told to stop: True", "refunded"]
        assert await handle.status() is RunStatus.CANCELED
        assert "workflow_cancel_requested" in await types_of(engine, "a")


@on_skipping_loop
async def test_cancellation_retried_during_compensation_is_recorded_and_delivered_once() -> None:
    async with engine_on(**OPTIONS) as engine:
        handle = await engine.start(order, 60, id="a")
        await eventually(lambda: NOTES)
        for number in range(5):
            await handle.cancel(reason=f"number {number}")
            await asyncio.sleep(5)

        with pytest.raises(WorkflowCanceledError, match="number 0"):
            await handle.result()
        assert NOTES[-1] == "refunded"
        assert (await types_of(engine, "a")).count("workflow_cancel_requested") == 1


@pytest.mark.parametrize("when", ["before the token", "during compensation"])
@on_skipping_loop
async def test_a_cancelled_run_goes_on_with_its_compensation_after_a_crash(when: str) -> None:
    store = MemoryStore()
    first = engine_on(store, **OPTIONS)
    await first.open()
    await first.start(order, 60, id="a")
    await eventually(lambda: NOTES)
    if when == "during compensation":
        await first.cancel("a", reason="enough")
        await asyncio.sleep(5)
    await died(first)
    NOTES.clear()

    async with engine_on(store, **OPTIONS) as second:
        await second.cancel("a", reason="again")
        with pytest.raises(WorkflowCanceledError, match="enough" if when == "during compensation" else "again"):
            await second.handle("a").result()
        assert NOTES[-1] == "refunded"
        assert (await types_of(second, "a")).count("workflow_cancel_requested") == 1


@on_skipping_loop
async def test_the_result_of_a_call_that_was_given_up_is_dropped() -> None:
    finish = asyncio.Event()

    async def stubborn() -> str:
        NOTES.append("begun")
        while not finish.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await finish.wait()
        NOTES.append("finished all the same")
        return "late"

    async def run(ctx: WorkflowContext) -> str:
        try:
            return await ctx.execute_activity(stubborn)
        except CancelToken:
            await ctx.receive_signal("end")
            return "cleaned up"

    async with engine_on(workflows=[run], activities=[stubborn]) as engine:
        handle = await engine.start(run, id="a")
        await eventually(lambda: NOTES)
        await handle.cancel()
        finish.set()
        await eventually(lambda: len(NOTES) == 2)
        await handle.signal("end")

        assert await handle.result() == "cleaned up"
        assert "activity_completed" not in await types_of(engine, "a")


@on_skipping_loop
async def test_cancelling_what_has_ended_is_refused_and_what_has_not_begun_is_fine() -> None:
    async with engine_on(**OPTIONS) as engine:
        await engine.execute(steps, 0, id="done")
        with pytest.raises(WorkflowFinishedError, match="'done' has ended: it is completed"):
            await engine.cancel("done")
        starting = asyncio.create_task(engine.start(parked, id="a"))
        cancelling = asyncio.create_task(engine.cancel("a"))
        await asyncio.gather(starting, cancelling)

        with pytest.raises(WorkflowCanceledError):
            await engine.handle("a").result()


@pytest.mark.parametrize("first", ["cancel", "signal"])
@on_skipping_loop
async def test_arrival_order_decides_between_cancel_and_completion(first: str) -> None:
    async with engine_on(**OPTIONS) as engine:
        for number in range(20):
            handle = await engine.start(parked, number, id=f"r{number}")
            calls: list[Callable[[], Awaitable[None]]] = [handle.cancel, lambda handle=handle: handle.signal("end")]  # type: ignore[misc]
            both = [asyncio.ensure_future(call()) for call in (calls if first == "cancel" else reversed(calls))]
            await asyncio.gather(*both, return_exceptions=True)

            expected = RunStatus.CANCELED if first == "cancel" else RunStatus.COMPLETED
            assert await handle.status() is expected


@on_skipping_loop
async def test_a_run_that_is_out_of_time_compensates_and_is_timed_out() -> None:
    async with engine_on(**OPTIONS) as engine:
        loop = asyncio.get_running_loop()
        before = loop.time()
        with pytest.raises(WorkflowTimedOutError, match=r"workflow 'a' timed out: .* within its time-out") as caught:
            await engine.execute(order, 5, id="a", timeout=20)

        assert caught.value.failure.type == "TimeoutError"
        assert NOTES == ["charging", "told to stop: True", "refunded"]
        assert 24.9 < loop.time() - before < 26
        assert (await engine.describe("a")).status is RunStatus.TIMED_OUT


@on_skipping_loop
async def test_thirty_seconds_are_the_upper_bound_for_the_clean_up() -> None:
    async with engine_on(**OPTIONS) as engine:
        loop = asyncio.get_running_loop()
        before = loop.time()
        with pytest.raises(WorkflowTimedOutError, match="nor clean up in time"):
            await engine.execute(order, 600, id="a", timeout=20)

        assert 49.9 < loop.time() - before < 51
        assert "refunded" not in NOTES


@on_skipping_loop
async def test_a_run_that_completes_in_its_clean_up_is_completed() -> None:
    async def run(ctx: WorkflowContext) -> str:
        try:
            await ctx.receive_signal("never")
        except CancelToken:
            return f"partial result, {await ctx.execute_activity(refund)}"
        return ""

    async with engine_on(workflows=[run], activities=[refund]) as engine:
        assert await engine.execute(run, timeout=5) == "partial result, refunded"


@on_skipping_loop
async def test_a_time_out_is_kept_across_a_restart() -> None:
    store = MemoryStore()
    first = engine_on(store)
    await first.open()
    await first.start(parked, id="a", timeout=100)
    await asyncio.sleep(30)
    await died(first)
    await asyncio.sleep(40)

    async with engine_on(store) as second:
        loop = asyncio.get_running_loop()
        before = loop.time()
        with pytest.raises(WorkflowTimedOutError):
            await second.handle("a").result()
        assert 28 < loop.time() - before < 31


@on_skipping_loop
async def test_a_time_out_that_passed_while_nobody_was_there_is_delivered_at_the_start() -> None:
    store = MemoryStore()
    first = engine_on(store, **OPTIONS)
    await first.open()
    await first.start(order, id="a", timeout=10)
    await died(first)
    NOTES.clear()
    await asyncio.sleep(1_000)

    async with engine_on(store, **OPTIONS) as second:
        with pytest.raises(WorkflowTimedOutError):
            await second.handle("a").result()
        assert NOTES[-1] == "refunded"


@pytest.mark.parametrize("bad", [-1, float("nan"), "soon"])
@on_skipping_loop
async def test_a_time_out_that_is_none_is_refused(bad: Anything) -> None:
    async with engine_on() as engine:
        with pytest.raises((ValueError, TypeError), match="timeout must be"):
            await engine.start(nap, timeout=bad)


@on_skipping_loop
async def test_terminate_ends_a_run_without_its_clean_up() -> None:
    async with engine_on(**OPTIONS) as engine:
        handle = await engine.start(order, id="a")
        await eventually(lambda: NOTES)
        await handle.terminate(reason="out of order")

        with pytest.raises(Exception, match="workflow 'a' was terminated: out of order"):
            await handle.result()
        await asyncio.sleep(60)
        assert NOTES == ["charging", "told to stop: True"]
        with pytest.raises(WorkflowFinishedError):
            await handle.terminate()


@on_skipping_loop
async def test_terminate_racing_with_completion_leaves_one_final_state_recorded_once() -> None:
    async with engine_on() as engine:
        for number in range(200):
            handle = await engine.start(parked, number, id=f"r{number}")
            calls = [handle.signal("end"), handle.terminate(), handle.cancel(), handle.signal("end")]
            racing = [asyncio.ensure_future(call) for call in calls[number % 4 :] + calls[: number % 4]]
            await asyncio.gather(*racing, return_exceptions=True)
            status = await handle.status()
            ends = [kind for kind in await types_of(engine, f"r{number}") if kind in {
                "workflow_completed", "workflow_terminated", "workflow_canceled",
            }]  # fmt: skip

            assert not status.is_open
            assert ends == [f"workflow_{status.value}"]
