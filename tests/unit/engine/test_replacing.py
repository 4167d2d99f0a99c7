"""Continue-as-new: one commit, an empty history, and all that was on its way goes over to the next run."""

import asyncio
import itertools
from typing import Any

import pytest

from holdfast import RunStatus, WorkflowContext, WorkflowFinishedError, WorkflowTimedOutError
from holdfast.stores import MemoryStore
from tests.unit.engine.kit import collect, engine_on, on_skipping_loop, parked, steps, types_of
from tests.unit.engine.stores import Store, Unsure, content, documents


async def batches(ctx: WorkflowContext, state: dict[str, Any]) -> list[int]:
    """Take signals, a number at a time, and begin anew after each batch."""
    seen, size, total = list(state["seen"]), state["size"], state["total"]
    for _ in range(size):
        seen.append(await ctx.receive_signal("n"))
        if len(seen) == total:
            return seen
    return ctx.continue_as_new({"seen": seen, "size": size, "total": total})


def state(total: int, size: int = 20) -> dict[str, Any]:
    return {"seen": [], "size": size, "total": total}


@pytest.mark.parametrize("way", ["burst", "one by one", "paused", "in groups", "buffered first", "small cache"])
@on_skipping_loop
async def test_continue_as_new_with_signals_in_flight_loses_and_doubles_none(way: str) -> None:
    total = 1_000
    async with engine_on(workflows=[batches], max_cached_runs=0 if way == "small cache" else 100) as engine:
        handle = await engine.start(batches, state(total), id="a")
        send = [engine.signal("a", "n", number, id=f"s{number}") for number in range(total)]
        match way:
            case "burst" | "buffered first":
                await asyncio.gather(*send)
            case "paused":
                await engine.pause("a")
                await asyncio.gather(*send)
                await engine.resume("a")
            case _:
                size = 7 if way == "in groups" else 1
                for start in range(0, total, size):
                    await asyncio.gather(*send[start : start + size])
        for number in (0, 500, 999):  # each of them comes once more
            await engine.signal("a", "n", number, id=f"s{number}")

        assert await handle.result(timeout=600) == list(range(total))


@pytest.mark.parametrize("ahead", [1, 2, 3, 6, 25])
@on_skipping_loop
async def test_signals_that_wait_behind_a_continue_as_new_are_all_carried_over(ahead: int) -> None:
    async def chain(ctx: WorkflowContext, seen: list[int]) -> list[int]:
        if not seen:
            await ctx.receive_signal("arm")
        seen.append(await ctx.receive_signal("turn"))
        if len(seen) == ahead:
            return seen
        return ctx.continue_as_new(seen)

    async with engine_on(workflows=[chain]) as engine:
        handle = await engine.start(chain, [])
        for number in range(ahead):
            await handle.signal("turn", number)
        await handle.signal("arm")

        assert await handle.result(timeout=600) == list(range(ahead))


@pytest.mark.parametrize("plan", [["lost", "ok"], ["applied", "ok", "ok"]])
@on_skipping_loop
async def test_no_signal_is_lost_to_a_shaky_store_while_runs_are_replaced(plan: list[str]) -> None:
    store = Unsure()
    async with engine_on(store, workflows=[batches]) as engine:
        handle = await engine.start(batches, state(200, 3), id="a")
        store.plan = itertools.cycle(plan)
        for start in range(0, 200, 10):
            await asyncio.gather(*(engine.signal("a", "n", n, id=f"s{n}") for n in range(start, start + 10)))

        assert await handle.result(timeout=600) == list(range(200))


@on_skipping_loop
async def test_replacing_a_run_is_one_commit_and_the_old_one_is_kept_as_past() -> None:
    store = Store()
    async with engine_on(store, workflows=[batches]) as engine:
        handle = await engine.start(batches, state(2, 1), id="a")
        first = handle.run_id
        store.batches.clear()
        await engine.signal("a", "n", 0)
        newest = content(store, "run:a")
        assert sorted(store.batches[0])[1:] == [f"past:{first}", "run:a"]
        assert len(store.batches) == 1
        assert newest["previous"] == first
        assert content(store, f"past:{first}")["next_run"] == newest["run_id"]

        shown = await engine.describe("a", run_id=first)
        assert (shown.status, shown.result) == (RunStatus.CONTINUED_AS_NEW, None)
        assert (await types_of(engine, "a")) == ["workflow_started"]
        assert [event.type.value for event in await engine.history("a", run_id=first)] == [
            "workflow_started", "signal_received", "workflow_continued_as_new",
        ]  # fmt: skip


@on_skipping_loop
async def test_a_handle_of_the_chain_follows_it_and_a_handle_of_one_run_does_not() -> None:
    async with engine_on(workflows=[batches]) as engine:
        handle = await engine.start(batches, state(4, 1), id="a")
        own = engine.handle("a", handle.run_id)
        late = engine.handle("a")
        for number in range(4):
            await engine.signal("a", "n", number)

        assert await handle.result() == [0, 1, 2, 3] == await late.result()
        with pytest.raises(WorkflowFinishedError, match="has continued as"):
            await own.result()


async def carries(ctx: WorkflowContext, number: int = 0) -> int:
    if number == 0:
        ctx.set_attributes(city="Ulm")
        ctx.start_child(parked, id="kept", parent_close="terminate")
    ctx.set_update_handler("add", lambda value: value + number)
    await ctx.receive_signal("turn")
    if number == 2:
        return number
    return ctx.continue_as_new(number + 1)


@on_skipping_loop
async def test_attributes_and_children_go_over_and_are_seen_to_in_the_end() -> None:
    async with engine_on(workflows=[carries, parked]) as engine:
        handle = await engine.start(carries, id="a")
        await engine.settled()
        for _ in range(2):
            await engine.signal("a", "turn")
        assert (await engine.describe("a")).attributes == {"city": "Ulm"}
        assert [item.workflow_id for item in (await engine.list(attributes={"city": "Ulm"})).items] == ["a"]
        assert await engine.query("kept", "status") == "running"
        assert await engine.update("a", "add", 5) == 7

        await engine.signal("a", "turn")
        assert await handle.result() == 2
        await engine.settled()
        assert await engine.query("kept", "status") == "terminated"


@on_skipping_loop
async def test_the_time_out_counts_for_the_chain_as_a_whole() -> None:
    async def again(ctx: WorkflowContext) -> None:
        await ctx.sleep(10)
        ctx.continue_as_new()

    async with engine_on(workflows=[again]) as engine:
        loop = asyncio.get_running_loop()
        before = loop.time()
        with pytest.raises(WorkflowTimedOutError):
            await engine.execute(again, timeout=35)

        assert 34.9 < loop.time() - before < 36


@on_skipping_loop
async def test_a_cancel_while_paused_reaches_the_run_that_follows_with_its_reason() -> None:
    async with engine_on(workflows=[batches]) as engine:
        handle = await engine.start(batches, state(5, 1), id="a")
        await engine.pause("a")
        await engine.signal("a", "n", 0)
        await engine.cancel("a", reason="no longer wanted")
        await engine.resume("a")

        with pytest.raises(Exception, match="was canceled: no longer wanted"):
            await handle.result(timeout=60)


@on_skipping_loop
async def test_an_activity_that_was_asked_for_in_the_last_breath_is_not_run() -> None:
    ran: list[int] = []

    async def act(value: int) -> None:
        ran.append(value)

    async def run(ctx: WorkflowContext, number: int = 0) -> int:
        if number:
            return number
        task = asyncio.create_task(ctx.execute_activity(act, 1))
        await asyncio.sleep(0)
        assert not task.done()
        return ctx.continue_as_new(5)

    async with engine_on(workflows=[run], activities=[act]) as engine:
        assert await engine.execute(run) == 5
        await engine.settled()

    assert ran == []


@on_skipping_loop
async def test_effects_on_others_that_were_asked_for_in_the_last_breath_are_carried_out() -> None:
    async def run(ctx: WorkflowContext, number: int = 0) -> int:
        if number:
            await ctx.receive_signal("never")
        ctx.start_child(parked, 7, id="child", parent_close="abandon")
        ctx.signal("other", "n", "hello")
        ctx.continue_as_new(5)

    async with engine_on(workflows=[run, parked, collect]) as engine:
        await engine.start(collect, 1, id="other")
        await engine.start(run, id="a")

        assert await engine.handle("other").result() == ["hello"]
        await engine.signal("child", "end")
        assert await engine.handle("child").result() == 7
        assert await engine.query("a", "status") == "running"


@on_skipping_loop
async def test_a_chain_of_many_runs_costs_the_index_one_entry() -> None:
    async def again(ctx: WorkflowContext, number: int) -> int:
        await ctx.sleep(1)
        if number == 0:
            return 0
        return ctx.continue_as_new(number - 1)

    async with engine_on(workflows=[again, parked]) as engine:
        await engine.start(parked, id="other")
        assert await engine.execute(again, 300, id="a") == 0
        index = engine._parts.index  # noqa: SLF001 - what must not grow
        page = await engine.list(limit=10)

        assert [item.workflow_id for item in page.items] == ["a", "other"]
        assert len(index) == 2
        assert len(index._by_creation) < 20  # noqa: SLF001


@on_skipping_loop
async def test_a_chain_goes_on_after_a_restart_in_its_midst() -> None:
    store = MemoryStore()
    options: dict[str, Any] = {"workflows": [batches]}
    async with engine_on(store, **options) as engine:
        handle = await engine.start(batches, state(30, 4), id="a")
        first = handle.run_id
        for number in range(13):
            await engine.signal("a", "n", number)
    async with engine_on(store, **options) as engine:
        assert (await engine.describe("a", run_id=first)).status is RunStatus.CONTINUED_AS_NEW
        for number in range(13, 30):
            await engine.signal("a", "n", number)
        assert await engine.handle("a").result() == list(range(30))


@on_skipping_loop
async def test_a_run_that_keeps_continuing_without_waiting_lets_others_have_their_turn() -> None:
    async def spin(ctx: WorkflowContext, number: int) -> int:
        if number == 0:
            return 0
        return ctx.continue_as_new(number - 1)

    async with engine_on(workflows=[spin, steps]) as engine:
        spinning = await engine.start(spin, 500, id="a")
        await engine.execute(steps, 3)
        assert (await spinning.status()) is not RunStatus.COMPLETED
        assert await spinning.result() == 0


@on_skipping_loop
async def test_past_runs_are_deleted_with_a_purge_however_many_there_are() -> None:
    store = MemoryStore()
    async with engine_on(store, workflows=[batches]) as engine:
        handle = await engine.start(batches, state(50, 1), id="a")
        for number in range(50):
            await engine.signal("a", "n", number)
        await handle.result()
        assert len(documents(store, "past:")) == 49
        await engine.purge("a")
        await engine.settled()

        assert documents(store, "past:") == {}
        assert list(documents(store, "page:")) == []
