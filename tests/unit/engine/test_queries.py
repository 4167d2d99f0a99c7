"""Queries from outside: they see all that was acknowledged, and record nothing."""

import asyncio

import pytest

from holdfast import QueryError, RunStatus, WorkflowContext
from tests.unit.engine.kit import collect, engine_on, eventually, on_skipping_loop, parked
from tests.unit.engine.stores import Halting


@on_skipping_loop
async def test_a_query_sees_all_that_was_acknowledged_and_records_nothing() -> None:
    store = Halting()
    async with engine_on(store) as engine:
        handle = await engine.start(collect, 5, id="a")
        store.gate.clear()
        signalling = asyncio.create_task(handle.signal("n", 1))
        await eventually(lambda: store.waiting)
        asking = asyncio.create_task(handle.query("taken"))
        await asyncio.sleep(1)
        assert not asking.done()  # it waits for the commit in flight

        store.gate.set()
        await signalling
        assert await asking == [1]
        commits = engine.stats().commits
        assert await handle.query("taken") == [1]
        assert engine.stats().commits == commits


@on_skipping_loop
async def test_an_evicted_run_and_a_finished_run_are_replayed_for_a_query() -> None:
    async with engine_on(max_cached_runs=1) as engine:
        for number in range(5):
            await engine.start(collect, 2, id=f"r{number}")
            await engine.signal(f"r{number}", "n", number)
        assert engine.stats().live <= 2
        assert [await engine.query(f"r{number}", "taken") for number in range(5)] == [[n] for n in range(5)]

        await engine.signal("r0", "n", 7)
        assert await engine.handle("r0").result() == [0, 7]
        assert await engine.query("r0", "taken") == [0, 7]
        assert await engine.query("r0", "status") == "completed"
        assert await engine.query("r0", "result") == [0, 7]
        assert await engine.query("r0", "stack") == []


@on_skipping_loop
async def test_the_stack_says_in_words_what_a_run_waits_for() -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    async def run(ctx: WorkflowContext) -> None:
        ctx.start_child(parked, id="child")
        await asyncio.gather(
            ctx.receive_signal("approval", timeout=3_600),
            ctx.execute_activity(hang),
            ctx.execute_activity("elsewhere"),
            ctx.wait_condition(lambda: False),
        )

    async with engine_on(workflows=[run, parked], activities=[hang]) as engine:
        await engine.start(run, id="a")
        await asyncio.sleep(1)
        stack = "\n".join(await engine.query("a", "stack"))
        await engine.terminate("a")

    for words in (
        "signal 'approval'", "activity 'hang' (attempt 1 of 3)", "activity 'elsewhere', which is not registered here",
        "a condition of its own", "child workflow 'child'", "a timer due 20",
    ):  # fmt: skip
        assert words in stack


@on_skipping_loop
async def test_on_a_stalled_run_only_the_built_in_queries_answer() -> None:
    async def spins(ctx: WorkflowContext) -> None:
        ctx.set_query_handler("own", lambda: 1)
        await ctx.receive_signal("go")
        while True:  # noqa: ASYNC110 - the trap itself
            await asyncio.sleep(0)

    async with engine_on(workflows=[spins]) as engine:
        await engine.start(spins, id="a")
        assert await engine.query("a", "own") == 1
        await engine.signal("a", "go")

        assert await engine.query("a", "status") == "stalled"
        assert "did not yield" in (await engine.query("a", "stack"))[0]
        with pytest.raises(QueryError, match="'a' is stalled: only 'status', 'result' and 'stack' answer"):
            await engine.query("a", "own")


@on_skipping_loop
async def test_an_unknown_query_lists_what_the_run_knows() -> None:
    async with engine_on() as engine:
        await engine.start(collect, 1, id="a")
        with pytest.raises(QueryError, match="unknown query 'x'; known: result, stack, status, taken"):
            await engine.query("a", "x")
        await engine.signal("a", "n", 1)
        with pytest.raises(QueryError, match="unknown query 'x'; known: result, stack, status, taken"):
            await engine.query("a", "x")


@on_skipping_loop
async def test_an_answer_that_is_no_json_is_the_queries_error_and_not_the_runs() -> None:
    async def run(ctx: WorkflowContext) -> None:
        ctx.set_query_handler("odd", object)
        await ctx.receive_signal("end")

    async with engine_on(workflows=[run]) as engine:
        handle = await engine.start(run)
        with pytest.raises(QueryError, match="answer of query 'odd' cannot be written as JSON"):
            await handle.query("odd")
        await handle.signal("end")
        with pytest.raises(QueryError, match="answer of query 'odd' cannot be written as JSON"):
            await handle.query("odd")
        assert await handle.status() is RunStatus.COMPLETED
