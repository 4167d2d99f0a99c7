"""Time in workflow code: asyncio's sleeps, time-outs and delayed calls are durable timers."""

import asyncio
from datetime import UTC, datetime

import pytest

from holdfast import WorkflowContext
from holdfast.core.history import EventType
from tests.play import START_MS, Begin
from tests.unit.core.primitives import completed, step


def test_sleep_is_a_durable_timer(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> float:
        begun = asyncio.get_running_loop().time()
        await asyncio.sleep(90)
        return asyncio.get_running_loop().time() - begun

    play = begin(run)
    assert play.words == ["timer_started"]
    assert play.asked[0].details == {"due": play.now + 90_000}

    play.fire()
    completed(play, 90.0)


def test_sleep_of_nothing_costs_no_timer(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> int:
        await asyncio.sleep(0)
        return 1

    play = begin(run)

    assert play.words == ["workflow_completed"]


def test_wait_gives_up_at_its_time_out(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[int]:
        task = asyncio.create_task(step(ctx, "a"))
        done, pending = await asyncio.wait([task], timeout=5)
        late, _ = await asyncio.wait([task], timeout=5)
        return [len(done), len(pending), len(late)]

    play = begin(run)
    play.fire()
    play.complete("a")

    assert play.words == ["timer_cancelled", "workflow_completed"]
    completed(play, [0, 1, 1])


@pytest.mark.parametrize("in_time", [True, False])
def test_wait_for_bounds_a_call(begin: Begin, *, in_time: bool) -> None:
    async def run(ctx: WorkflowContext) -> str:
        try:
            return str(await asyncio.wait_for(step(ctx, "a"), timeout=5))
        except TimeoutError:
            return "late"

    play = begin(run)
    if in_time:
        play.complete("a", "A")
        assert play.words == ["timer_cancelled", "workflow_completed"]
        completed(play, "A")
    else:
        play.fire()
        assert play.words == ["activity_cancelled a", "workflow_completed"]
        completed(play, "late")


@pytest.mark.parametrize("in_time", [True, False])
def test_a_time_out_bounds_a_block(begin: Begin, *, in_time: bool) -> None:
    async def run(ctx: WorkflowContext) -> str:
        try:
            async with asyncio.timeout(5) as limit:
                await step(ctx, "a")
                limit.reschedule(asyncio.get_running_loop().time() + 60)
                return str(await step(ctx, "b"))
        except TimeoutError:
            return f"late: {limit.expired()}"

    play = begin(run)
    play.complete("a")
    assert play.words == ["timer_cancelled", "timer_started", "activity_started b"]

    if in_time:
        play.complete("b", "B")
        completed(play, "B")
    else:
        play.fire()
        assert play.now == START_MS + 2 + 60_000
        completed(play, "late: True")


def test_delayed_calls_are_durable_and_can_be_called_off(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[str]:
        loop = asyncio.get_running_loop()
        rung: list[str] = []
        loop.call_later(10, rung.append, "first")
        second = loop.call_at(loop.time() + 5, rung.append, "second")
        await asyncio.sleep(7)
        assert second.when() < loop.time()
        loop.call_later(1, rung.append, "never").cancel()
        await asyncio.sleep(7)
        return rung

    play = begin(run)
    assert play.words == ["timer_started"] * 3
    while not play.ended:
        play.fire()

    completed(play, ["second", "first"])


def test_the_loops_time_is_the_time_of_the_event(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[float]:
        seen = [asyncio.get_running_loop().time(), ctx.now().timestamp()]
        await ctx.execute_activity("a")
        return [*seen, asyncio.get_running_loop().time(), ctx.now().timestamp()]

    play = begin(run)
    begun = play.now
    play.apply(EventType.ACTIVITY_COMPLETED, id="1", value=b"null", after_ms=5_000)

    completed(play, [begun / 1000] * 2 + [begun / 1000 + 5] * 2)


def test_now_is_an_aware_instant(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        return ctx.now().isoformat()

    play = begin(run)

    completed(play, datetime.fromtimestamp((START_MS + 1) / 1000, UTC).isoformat())
