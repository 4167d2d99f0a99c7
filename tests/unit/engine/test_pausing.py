"""Pause and resume: a paused run takes what comes, does nothing, and goes on where it was."""

import asyncio
from typing import Any

import pytest

from holdfast import RunStatus, WorkflowCanceledError, WorkflowContext, WorkflowFinishedError, WorkflowTimedOutError
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import collect, died, engine_on, on_skipping_loop, parked, types_of

RAN: list[Any] = []


@pytest.fixture(autouse=True)
def empty() -> None:
    RAN.clear()


async def act(value: Anything = None) -> Anything:
    RAN.append(value)
    return value


async def slow(value: Anything = None) -> Anything:
    await asyncio.sleep(10)
    RAN.append(value)
    return value


@on_skipping_loop
async def test_a_paused_run_does_nothing_until_it_is_resumed() -> None:
    async def run(ctx: WorkflowContext) -> list[Any]:
        return [await ctx.receive_signal("n"), await ctx.execute_activity(act, 1), await ctx.receive_signal("n")]

    async with engine_on(workflows=[run], activities=[act], dev_replay=True) as engine:
        handle = await engine.start(run, id="a")
        await engine.pause("a", reason="look into it")
        await engine.signal("a", "n", 1)
        await engine.signal("a", "n", 2)
        await asyncio.sleep(60)
        assert RAN == []
        shown = await engine.describe("a")
        assert shown.status is RunStatus.PAUSED
        assert "a resume" in shown.waiting_for

        await engine.resume("a", reason="all is well")
        assert await handle.result() == [1, 1, 2]
        events = {event.type.value: event.details for event in await engine.history("a")}
        assert events["workflow_paused"] == {"reason": "look into it"}
        assert events["workflow_resumed"] == {"reason": "all is well"}


@on_skipping_loop
async def test_a_running_attempt_finishes_while_its_run_is_paused_and_no_timer_or_retry_starts() -> None:
    tries: list[int] = []

    async def fails(value: Anything = None) -> None:
        tries.append(1)
        await asyncio.sleep(5)
        raise OSError("down")

    async def run(ctx: WorkflowContext) -> list[Any]:
        both = asyncio.gather(
            ctx.execute_activity(slow, 7), ctx.execute_activity(fails), ctx.sleep(20), return_exceptions=True
        )
        return [str(one) for one in await both]

    async with engine_on(workflows=[run], activities=[slow, fails]) as engine:
        handle = await engine.start(run, id="a")
        await asyncio.sleep(1)
        await engine.pause("a")
        await asyncio.sleep(600)
        assert RAN == [7]
        assert tries == [1]
        assert "timer_fired" not in await types_of(engine, "a")

        await engine.resume("a")
        assert (await handle.result())[0] == "7"
        assert tries == [1, 1, 1]


@on_skipping_loop
async def test_terminate_works_on_a_paused_run_and_cancel_applies_on_resume() -> None:
    async with engine_on() as engine:
        for name in ("ended", "cancelled"):
            await engine.start(parked, id=name)
            await engine.pause(name)
        await engine.terminate("ended")
        await engine.cancel("cancelled", reason="enough")
        await asyncio.sleep(60)
        assert await engine.query("ended", "status") == "terminated"
        assert await engine.query("cancelled", "status") == "paused"

        await engine.resume("cancelled")
        with pytest.raises(WorkflowCanceledError, match="enough"):
            await engine.handle("cancelled").result()


@on_skipping_loop
async def test_a_time_out_does_not_end_a_paused_run_but_is_delivered_when_it_goes_on() -> None:
    async with engine_on() as engine:
        handle = await engine.start(parked, id="a", timeout=10)
        await engine.pause("a")
        await asyncio.sleep(600)
        assert await engine.query("a", "status") == "paused"
        await engine.resume("a")

        with pytest.raises(WorkflowTimedOutError):
            await handle.result()


@on_skipping_loop
async def test_pausing_or_resuming_twice_changes_nothing() -> None:
    async with engine_on() as engine:
        await engine.start(parked, id="a")
        await engine.resume("a")
        for _ in range(3):
            await engine.pause("a")
        for _ in range(3):
            await engine.resume("a")

        assert (await types_of(engine, "a"))[1:] == ["workflow_paused", "workflow_resumed"]
        await engine.signal("a", "end")
        for call in (engine.pause, engine.resume):
            with pytest.raises(WorkflowFinishedError):
                await call("a")


@pytest.mark.parametrize("clean", [True, False])
@on_skipping_loop
async def test_a_paused_run_stays_paused_over_a_restart_and_goes_on_where_it_was(*, clean: bool) -> None:
    async def run(ctx: WorkflowContext) -> list[Any]:
        first = await ctx.execute_activity(slow, 1)
        return [first, await ctx.receive_signal("n")]

    store = MemoryStore()
    first = engine_on(store, workflows=[run], activities=[slow])
    await first.open()
    await first.start(run, id="a")
    await asyncio.sleep(1)
    await first.pause("a")
    await first.signal("a", "n", 5)
    await (first.close() if clean else died(first))

    async with engine_on(store, workflows=[run], activities=[slow]) as second:
        await asyncio.sleep(60)
        assert await second.query("a", "status") == "paused"
        await second.resume("a")
        assert await second.handle("a").result() == [1, 5]


@on_skipping_loop
async def test_what_came_during_a_pause_and_was_applied_after_it_is_not_applied_again_by_a_restart() -> None:
    store = MemoryStore()
    async with engine_on(store) as first:
        await first.start(collect, 4, id="a")
        await first.pause("a")
        for number in (1, 2):
            await first.signal("a", "n", number)
        await first.resume("a")
        await first.pause("a")
        await first.signal("a", "n", 3)

    async with engine_on(store) as second:
        assert await second.query("a", "taken") == [1, 2]
        await second.resume("a")
        await second.signal("a", "n", 4)
        assert await second.handle("a").result() == [1, 2, 3, 4]
