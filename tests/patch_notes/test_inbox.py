"""Cases about what comes for a run: bursts of signals, completions many times over, a store that comes and goes."""

from __future__ import annotations

import asyncio
import copy
import itertools
import logging
from collections import Counter
from typing import Any

import pytest

from holdfast import ActivityContext, WorkflowContext
from holdfast.engine.runs.items import Item
from holdfast.engine.runs.results import ActivityDone, ChildClosed, Delivered
from holdfast.engine.runtime import Runtime
from tests.patch_notes.homes import Home, Watched, is_at_rest, life
from tests.unit.engine.kit import echo, eventually, steps

TOTAL = 600
OUTAGES = ["ok", "applied", "ok", "ok", "lost"] * 2


async def gathers(ctx: WorkflowContext, taken: list[int]) -> list[int]:
    """Take signals, which gather while an activity runs, and begin anew after each twenty."""
    await ctx.execute_activity(echo, len(taken))
    for _ in range(20):
        taken.append(await ctx.receive_signal("n", type=int))
        if len(taken) == TOTAL:
            return taken
    return ctx.continue_as_new(taken)


@pytest.mark.parametrize("plan", [[], OUTAGES], ids=["steady", "shaky"])
async def test_08_no_signal_of_a_burst_is_lost_or_doubled_by_continue_as_new(home: Home, plan: list[str]) -> None:
    first, second = range(TOTAL // 2), range(TOTAL // 2, TOTAL)
    for part, numbers in enumerate((first, second)):
        store = Watched(home.store())
        async with life(store, dies=True, workflows=[gathers], activities=[echo], dev_replay=False) as environment:
            engine = environment.engine
            await engine.start(gathers, [], id="a", on_conflict="use_existing")
            store.plan = iter(plan)
            sent = [engine.signal("a", "n", number, id=f"s{number}") for number in numbers]
            again = [
                engine.signal("a", "n", number, id=f"s{number}") for number in itertools.chain(first[::9], numbers)
            ]
            await asyncio.gather(*sent, *again)
            if part:
                assert sorted(await environment.handle("a").result()) == list(range(TOTAL))


async def parent(ctx: WorkflowContext) -> list[Any]:
    """Call activities and children, one after the other and side by side, and signal another run."""
    first = await ctx.execute_activity(echo, 1)
    both = await asyncio.gather(ctx.execute_activity(echo, 2), ctx.execute_activity(echo, 3))
    children = await asyncio.gather(*(ctx.execute_child(steps, 2, id=f"child-{number}") for number in range(5)))
    return [first, both, children, await ctx.execute_activity(echo, 4)]


async def test_11_completions_that_come_many_times_count_once_and_nothing_spins(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    submit = Runtime.submit
    doubled: Counter[str] = Counter()

    def submit_often(runtime: Runtime, workflow_id: str, item: Item) -> None:
        submit(runtime, workflow_id, item)
        if isinstance(item, ActivityDone | ChildClosed | Delivered):
            doubled[type(item).__name__] += 1
            for _ in range(5):
                another = copy.copy(item)
                another.answer = None
                submit(runtime, workflow_id, another)

    monkeypatch.setattr(Runtime, "submit", submit_often)
    store = Watched(home.store())
    async with life(store, workflows=[parent, steps], activities=[echo], dev_replay=False) as environment:
        engine = environment.engine
        assert await environment.execute(parent, id="a") == [1, [2, 3], [[0, 1]] * 5, 4]
        assert await is_at_rest(environment, store)
        counts = Counter(event.type.value for event in await engine.history("a"))
        assert (counts["activity_completed"], counts["child_completed"]) == (4, 5)
        for number in range(5):
            history = Counter(event.type.value for event in await engine.history(f"child-{number}"))
            assert history["activity_completed"] == 2
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert doubled == {"ActivityDone": 14, "ChildClosed": 5, "Delivered": 10}


async def test_12_an_activity_runs_once_while_its_store_comes_and_goes_and_its_run_leaves_memory(home: Home) -> None:
    begun: Counter[str] = Counter()
    go_on = asyncio.Event()

    async def body(context: ActivityContext) -> int:
        begun[context.workflow_id] += 1
        await go_on.wait()
        return context.attempt

    async def works(ctx: WorkflowContext) -> list[Any]:
        return [await ctx.execute_activity(body), await ctx.receive_signal("n"), await ctx.receive_signal("n")]

    store = Watched(home.store())
    options: dict[str, Any] = {"workflows": [works], "activities": [body], "max_cached_runs": 0}
    async with life(store, **options) as environment:
        engine = environment.engine
        handles = [await environment.start(works, id=f"r{number}") for number in range(20)]
        await eventually(lambda: len(begun) == 20)
        for turn in range(2):
            store.plan = iter(OUTAGES)
            telling = [engine.signal(handle.id, "n", turn, id=f"s{turn}") for handle in handles]
            await asyncio.gather(asyncio.to_thread(home.interrupt), *telling)
        go_on.set()

        assert [await handle.result() for handle in handles] == [[1, 0, 1]] * 20
        assert set(begun.values()) == {1}
