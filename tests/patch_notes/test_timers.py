"""Cases about timers: those whose signal came first, those set again and again, slow ones, and those of nobody."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import Any

import pytest

from holdfast import ChildWorkflowError, Hooks, RetryPolicy, RunStatus, WorkflowContext, WorkflowNotFoundError
from holdfast.testing import TestEnvironment
from tests.patch_notes.homes import Home, Watched, is_at_rest, life
from tests.unit.engine.kit import echo, nap

DAY = 24 * 3600.0


async def counts_of(environment: TestEnvironment, workflow_id: str) -> Counter[str]:
    return Counter(event.type.value for event in await environment.engine.history(workflow_id))


async def impatient(ctx: WorkflowContext) -> str:
    """Wait a day for a signal, then as long as it takes for another."""
    first = await ctx.receive_signal("first", timeout=DAY)
    return f"{first}, {await ctx.receive_signal('second')}"


@pytest.mark.parametrize("restarted", [False, True], ids=["live", "restarted"])
async def test_06_a_timer_is_gone_once_its_signal_came_first(home: Home, *, restarted: bool) -> None:
    async with life(home.store(), dies=True, workflows=[impatient]) as before:
        await before.start(impatient, id="a")
        await before.settled()
        assert before.clock.next_due() is not None
        if not restarted:
            await before.engine.signal("a", "first", 1)

    store = Watched(home.store())
    async with life(store, workflows=[impatient]) as after:
        if restarted:
            await after.engine.signal("a", "first", 1)
            await after.skip(DAY)  # what was to be woken for the timer finds that it is gone
        assert after.clock.next_due() is None
        assert await is_at_rest(after, store)
        assert await counts_of(after, "a") == {
            "workflow_started": 1,
            "timer_started": 1,
            "signal_received": 1,
            "timer_cancelled": 1,
        }
        await after.engine.signal("a", "second", 2)
        assert await after.handle("a").result() == "1, 2"


async def ticks(ctx: WorkflowContext, patience: float) -> int:
    """Count signals until none comes for a while."""
    count = 0
    while True:
        try:
            await ctx.receive_signal("tick", timeout=patience)
        except TimeoutError:
            return count
        count += 1


async def test_19_awaiting_the_same_signal_again_and_again_keeps_one_timer(home: Home) -> None:
    total = 150
    async with life(home.store(), dies=True, workflows=[ticks]) as before:
        await before.start(ticks, DAY, id="a")
        for number in range(total):
            await before.engine.signal("a", "tick", id=f"tick-{number}")
        run = before.engine._parts.runtime.live["a"]  # noqa: SLF001 - what must not grow
        assert run.instance is not None
        assert len(run.instance.timers) == 1
        assert len(before.engine._parts.runtime.alarm._heap) == 1  # noqa: SLF001

    async with life(home.store(), workflows=[ticks]) as after:
        counts = await counts_of(after, "a")
        assert (counts["timer_started"], counts["timer_cancelled"], counts["timer_fired"]) == (total + 1, total, 0)
        started = after.now()
        assert await after.handle("a").result() == total
        assert (await counts_of(after, "a"))["timer_fired"] == 1
        assert DAY - 3600 < (after.now() - started).total_seconds() < DAY + 1


async def wakes(ctx: WorkflowContext, what: str) -> str:
    """Sleep, then do something that may take for ever."""
    await ctx.sleep(3_600)
    return str(await ctx.execute_activity(what, what))


async def test_22_what_one_timer_sets_off_delays_no_other_however_long_it_takes(home: Home) -> None:
    go_on, go_on_thread = asyncio.Event(), threading.Event()
    told: list[str] = []

    async def waits(value: str) -> str:
        await go_on.wait()
        return value

    def blocks(value: str) -> str:
        go_on_thread.wait(60)
        return value

    async def hook(workflow_id: str, _payload: object) -> None:
        told.append(workflow_id)
        await go_on.wait()

    options: dict[str, Any] = {"activities": [waits, blocks, echo], "hooks": Hooks(on_activity_start=hook)}
    async with life(home.store(), workflows=[wakes], **options) as environment:
        slow = [await environment.start(wakes, what, id=what) for what in ("waits", "blocks")]
        others = [await environment.start(wakes, "echo") for _ in range(100)]
        skipping = asyncio.create_task(environment.skip(3_600))

        results = [await environment.engine.handle(other.id).result(timeout=60) for other in others]

        assert results == ["echo"] * 100
        assert [await handle.status() for handle in slow] == [RunStatus.RUNNING] * 2
        assert len(told) == 1  # one hook is called at a time, and holds up no more than the other hooks
        go_on.set()
        go_on_thread.set()
        await skipping
        assert [await handle.result() for handle in slow] == ["waits", "blocks"]


async def fails() -> None:
    raise OSError("down")


async def retries(ctx: WorkflowContext) -> None:
    await ctx.execute_activity(fails, retry=RetryPolicy(max_attempts=None, initial_interval=DAY, max_interval=DAY))


async def leaves_a_child(ctx: WorkflowContext) -> None:
    ctx.start_child(nap, DAY, id="child", parent_close="abandon")
    await ctx.receive_signal("never")


async def calls_out(ctx: WorkflowContext) -> str:
    """Send a signal to a run that is gone, after a while, and have a child of an id that is taken."""
    await ctx.sleep(DAY)
    ctx.signal("nap", "n", 1)
    try:
        await ctx.execute_child(nap, 1, id="taken")
    except ChildWorkflowError as error:
        return error.cause.type
    return "done"


async def test_25_nothing_is_tried_again_for_runs_that_are_gone(home: Home) -> None:
    options: dict[str, Any] = {"workflows": [nap, retries, leaves_a_child, calls_out], "activities": [fails]}
    store = Watched(home.store())
    async with life(store, dies=True, **options) as before:
        await before.start(nap, 2 * DAY, id="taken")
        others = [
            await before.start(workflow, *value, id=workflow.__name__)
            for workflow, value in ((nap, [DAY]), (retries, []), (leaves_a_child, []), (calls_out, []))
        ]
        await before.settled()
        for gone in others[:3]:
            await gone.terminate()
            await before.engine.purge(gone.id)
        await before.skip(1.5 * DAY)
        assert await others[3].result() == "WorkflowAlreadyStartedError"
        assert await before.handle("child").status() is RunStatus.COMPLETED
        await before.skip(DAY)
        assert await before.handle("taken").status() is RunStatus.COMPLETED
        assert before.clock.next_due() is None
        assert await is_at_rest(before, store)

    again = Watched(home.store())
    async with life(again, **options) as after:
        assert after.clock.next_due() is None
        assert await is_at_rest(after, again)
        assert after.engine._parts.runtime.live == {}  # noqa: SLF001 - nothing was read: nothing has work left
        for gone in others[:3]:
            with pytest.raises(WorkflowNotFoundError):
                await after.engine.describe(gone.id)
