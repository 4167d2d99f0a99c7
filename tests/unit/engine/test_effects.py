"""What runs do to each other: signals, starts and ends, each once, whatever the store or the process does."""

import asyncio
import itertools
from typing import Any, Literal

import pytest

from holdfast import WorkflowContext, WorkflowNotFoundError
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import collect, died, engine_on, eventually, on_skipping_loop, steps, types_of
from tests.unit.engine.stores import Unsure


@on_skipping_loop
async def test_a_signal_between_runs_arrives_once_and_its_sender_may_know() -> None:
    async def sender(ctx: WorkflowContext) -> str:
        await ctx.signal("other", "n", 1)
        await ctx.signal("other", "n", 2)
        try:
            await ctx.signal("nobody", "n", 3)
        except WorkflowNotFoundError as error:
            return str(error)
        return ""

    async with engine_on(workflows=[sender, collect]) as engine:
        await engine.start(collect, 2, id="other")

        assert await engine.execute(sender, id="a") == "there is no workflow 'nobody'"
        assert await engine.handle("other").result() == [1, 2]


@on_skipping_loop
async def test_a_run_may_signal_itself() -> None:
    async def talks(ctx: WorkflowContext) -> Anything:
        ctx.signal(ctx.workflow_id, "echo", 5)
        return await ctx.receive_signal("echo")

    async with engine_on(workflows=[talks]) as engine:
        assert await engine.execute(talks) == 5


async def family(ctx: WorkflowContext) -> list[Any]:
    for number in range(3):
        ctx.signal("other", "n", number)
    results = await asyncio.gather(*(ctx.execute_child(steps, number, id=f"c{number}") for number in range(3)))
    return list(results)


@pytest.mark.parametrize("plan", [["lost"], ["applied", "ok"], ["applied", "ok", "lost", "ok"]])
@on_skipping_loop
async def test_each_effect_on_another_run_happens_once_however_shaky_the_store(plan: list[str]) -> None:
    store = Unsure()
    async with engine_on(store, workflows=[family, steps, collect]) as engine:
        await engine.start(collect, 3, id="other")
        store.plan = itertools.chain.from_iterable(itertools.repeat([*plan, "ok"]))
        assert await engine.execute(family, id="a") == [[], [0], [0, 1]]
        await engine.settled()

        assert await engine.handle("other").result() == [0, 1, 2]
        assert (await types_of(engine, "c1")).count("workflow_started") == 1
        assert (await engine.list(workflow="steps")).items[3:] == []


@on_skipping_loop
async def test_each_effect_on_another_run_happens_once_wherever_the_process_dies() -> None:
    """Let the process die after the nth write, for each n; the next one finishes what was begun."""
    for cut in range(1, 30):
        store = MemoryStore()
        cutting = Unsure()
        cutting.inner = store
        first = engine_on(cutting, workflows=[family, steps, collect])
        await first.open()
        await first.start(collect, 3, id="other")
        before = len(cutting.batches)
        await first.start(family, id="a")
        cutting.plan = itertools.chain(["ok"] * cut, itertools.repeat("lost"))
        await eventually(lambda: len(cutting.batches) >= before + cut or first.is_settled)  # noqa: B023 - used at once
        await died(first)

        async with engine_on(store, workflows=[family, steps, collect]) as second:
            assert await second.handle("a").result() == [[], [0], [0, 1]]
            assert await second.handle("other").result() == [0, 1, 2]
            await second.settled()
            listed = [item.workflow_id for item in (await second.list()).items]
            assert sorted(listed) == ["a", "c0", "c1", "c2", "other"]


@on_skipping_loop
async def test_a_finished_run_with_effects_under_way_still_has_work() -> None:
    async def parting(ctx: WorkflowContext) -> str:
        ctx.signal("other", "n", "goodbye")
        return "gone"

    store = Unsure()
    first = engine_on(store, workflows=[parting, collect])
    await first.open()
    await first.start(collect, 1, id="other")
    store.plan = itertools.chain(["ok"], itertools.repeat("lost"))
    await first.start(parting, id="a")
    await asyncio.sleep(1)
    await died(first)
    store.plan = iter(())

    async with engine_on(store, workflows=[parting, collect]) as second:
        assert await second.handle("other").result() == ["goodbye"]


@on_skipping_loop
async def test_the_end_of_a_child_reaches_its_parent_though_the_process_died_before_it_could_be_told() -> None:
    async def parent(ctx: WorkflowContext) -> Anything:
        return await ctx.execute_child(collect, 1, id="child")

    store = Unsure()
    first = engine_on(store, workflows=[parent, collect])
    await first.open()
    await first.start(parent, id="a")
    await first.settled()
    store.plan = itertools.chain(["ok"], itertools.repeat("lost"))
    await first.signal("child", "n", "news")
    await asyncio.sleep(1)
    await died(first)
    store.plan = iter(())

    async with engine_on(store, workflows=[parent, collect]) as second:
        assert await second.handle("a").result() == ["news"]
        assert (await types_of(second, "a")).count("child_completed") == 1


@pytest.mark.parametrize("policy", ["cancel", "terminate"])
@on_skipping_loop
async def test_a_parents_end_leaves_a_later_run_of_its_childs_id_alone(policy: Literal["cancel", "terminate"]) -> None:
    async def parent(ctx: WorkflowContext) -> None:
        ctx.start_child(collect, 0, id="child", parent_close=policy)
        await ctx.receive_signal("end")

    store = Unsure()
    async with engine_on(store, workflows=[parent, collect]) as engine:
        await engine.start(parent, id="a")
        await engine.settled()
        assert await engine.query("child", "status") == "completed"
        await engine.start(collect, 1, id="child")
        await engine.signal("a", "end")
        await engine.settled()

        assert await engine.query("child", "status") == "running"
