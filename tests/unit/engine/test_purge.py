"""Purge: what a run had is deleted, and it is as unknown afterwards as one that never was."""

import asyncio
import contextlib
import itertools
from typing import Any

import pytest

from holdfast import WorkflowAlreadyStartedError, WorkflowContext, WorkflowNotFoundError, WorkflowOpenError
from holdfast.stores import MemoryStore
from tests.unit.engine.kit import collect, died, engine_on, eventually, on_skipping_loop, parked, steps
from tests.unit.engine.stores import Halting, Unsure, content, documents


@on_skipping_loop
async def test_a_purge_deletes_all_that_a_run_had_stored_and_leaves_a_tombstone() -> None:
    store = MemoryStore()
    async with engine_on(store) as engine:
        for _ in range(3):
            await engine.execute(steps, 40, id="a")
        await engine.start(collect, 400, id="c")
        await asyncio.gather(*(engine.signal("c", "n", "x" * 3_000, id=f"s{n}") for n in range(400)))
        for name in ("a", "c"):
            await engine.purge(name, reason="asked for")
        await engine.settled()

        left = [key for key in documents(store) if key.partition(":")[0] in {"page", "blob", "past", "seen", "run"}]
        assert sorted(left) == ["run:a", "run:c"]
        assert content(store, "run:a")["status"] == "purged"
        assert "input" not in content(store, "run:a") or content(store, "run:a")["input"] is None


@on_skipping_loop
async def test_a_purged_run_is_gone_for_every_call() -> None:
    async with engine_on() as engine:
        handle = await engine.start(steps, 1, id="a")
        await handle.result()
        await engine.purge("a")
        calls: list[Any] = [
            lambda: engine.describe("a"),
            lambda: engine.history("a"),
            lambda: engine.signal("a", "n"),
            lambda: engine.query("a", "status"),
            lambda: engine.update("a", "u"),
            lambda: engine.cancel("a"),
            lambda: engine.terminate("a"),
            lambda: engine.purge("a"),
            lambda: engine.rerun("a"),
            lambda: handle.result(timeout=1),
            lambda: engine.describe("a", run_id=handle.run_id),
        ]
        for call in calls:
            with pytest.raises(WorkflowNotFoundError):
                await call()
        assert (await engine.list()).items == []
        assert [item.workflow_id for item in (await engine.list(status="purged")).items] == ["a"]


@on_skipping_loop
async def test_an_open_run_is_not_purged() -> None:
    async with engine_on() as engine:
        await engine.start(parked, id="a")
        with pytest.raises(WorkflowOpenError, match="'a' is running: terminate it before you purge it"):
            await engine.purge("a")


@on_skipping_loop
async def test_a_purged_id_can_be_used_again() -> None:
    store = MemoryStore()
    async with engine_on(store) as engine:
        for _ in range(3):
            assert await engine.execute(steps, 40, id="a") == list(range(40))
            await engine.purge("a")
            await engine.settled()
        assert await engine.execute(steps, 1, id="a", reuse=False) == [0]
    async with engine_on(store) as engine:
        assert [item.workflow_id for item in (await engine.list()).items] == ["a"]


@on_skipping_loop
async def test_a_sweep_that_is_cut_off_is_finished_by_the_next_process() -> None:
    store = Unsure()
    for cut in range(12):
        store.plan = iter(())
        first = engine_on(store)
        await first.open()
        name = f"r{cut}"
        for _ in range(3):
            await first.execute(steps, 40, id=name)
        store.plan = iter(["ok"] * cut + ["lost"] * 1_000)
        purging = asyncio.create_task(first.purge(name))
        await asyncio.sleep(1)
        purging.cancel()
        await asyncio.wait([purging])
        await died(first)
        store.plan = iter(())

        async with engine_on(store) as second:
            await second.settled()
            with contextlib.suppress(WorkflowNotFoundError):  # it was purged before the cut
                await second.purge(name)
            await second.settled()
            left = [key for key in documents(store) if key.startswith(("page:", "past:", "blob:"))]
            assert left == []


@on_skipping_loop
async def test_a_late_save_does_not_bring_a_purged_run_back() -> None:
    inner = MemoryStore()
    sleepy = Halting(inner=inner)
    old = engine_on(sleepy)
    await old.open()
    await old.start(collect, 1, id="a")
    sleepy.gate.clear()
    late = asyncio.create_task(old.signal("a", "n", 1))
    await eventually(lambda: sleepy.waiting)
    async with engine_on(inner) as new:
        await new.terminate("a")
        await new.purge("a")
        await new.settled()
        sleepy.gate.set()
        await asyncio.wait([late])

        assert late.exception() is not None
        with pytest.raises(WorkflowNotFoundError):
            await new.describe("a")
    assert content(inner, "run:a")["status"] == "purged"
    await old.close()


@on_skipping_loop
async def test_every_call_on_an_unknown_run_says_that_there_is_none() -> None:
    async with engine_on() as engine:
        await_all = [
            engine.signal("x", "n"), engine.query("x", "status"), engine.update("x", "u"), engine.cancel("x"),
            engine.terminate("x"), engine.pause("x"), engine.resume("x"), engine.rerun("x"), engine.purge("x"),
            engine.describe("x"), engine.history("x"), engine.handle("x").result(), engine.handle("x").status(),
        ]  # fmt: skip
        answers = await asyncio.gather(*await_all, return_exceptions=True)

    assert [type(answer) for answer in answers] == [WorkflowNotFoundError] * len(await_all)
    assert {str(answer) for answer in answers} == {"there is no workflow 'x'"}


@on_skipping_loop
async def test_an_id_that_is_being_swept_is_not_used_again_before_that_is_done() -> None:
    store = Unsure()
    async with engine_on(store) as engine:
        await engine.execute(steps, 40, id="a")
        store.plan = itertools.chain(["ok"], ["lost"] * 3)
        purging = asyncio.create_task(engine.purge("a"))
        await eventually(lambda: content(store, "run:a")["status"] == "purged")
        with pytest.raises(WorkflowAlreadyStartedError, match="'a' is being purged: try again"):
            await engine.start(steps, 1, id="a")
        await purging

        assert await engine.execute(steps, 1, id="a") == [0]


@on_skipping_loop
async def test_a_run_whose_effects_are_still_on_their_way_is_not_purged() -> None:
    async def parting(ctx: WorkflowContext) -> str:
        ctx.signal("other", "n", "goodbye")
        return "gone"

    store = Unsure()
    async with engine_on(store, workflows=[parting, collect]) as engine:
        await engine.start(collect, 1, id="other")
        store.plan = itertools.chain(["ok"], ["lost"] * 5)
        await engine.start(parting, id="a")
        with pytest.raises(WorkflowOpenError, match="effects on others that are still on their way: try again"):
            await engine.purge("a")
        await engine.settled()
        await engine.purge("a")

        assert await engine.handle("other").result() == ["goodbye"]
