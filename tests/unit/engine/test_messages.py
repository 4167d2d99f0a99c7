"""Signals, queries and updates from outside: durable, applied once, answered in order."""

import asyncio
from typing import Any

import pytest

from holdfast import (
    PayloadError,
    QueryError,
    RunStatus,
    UpdateRejectedError,
    WorkflowContext,
    WorkflowFinishedError,
    WorkflowNotFoundError,
)
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import collect, engine_on, eventually, on_skipping_loop, parked, steps, types_of
from tests.unit.engine.stores import Halting, documents


async def ledger(ctx: WorkflowContext, rounds: int = 1) -> list[Any]:
    """Keep a book by signals and updates, and begin anew after each signal `turn`."""
    book: list[Any] = []

    def write(entry: Anything) -> int:
        book.append(entry)
        return len(book)

    async def slow(entry: Anything) -> int:
        await ctx.receive_signal("go on")
        return write(entry)

    def positive(entry: Anything) -> None:
        if isinstance(entry, int) and entry < 0:
            raise ValueError("an entry is positive")

    ctx.set_query_handler("book", lambda: book)
    ctx.set_update_handler("write", write, validator=positive)
    ctx.set_update_handler("slow", slow)
    async for turn in ctx.signal_channel("turn"):
        if turn == "end":
            return book
        ctx.continue_as_new(rounds + 1)
    return book


# Signals.


@on_skipping_loop
async def test_signals_are_buffered_in_the_order_they_came_and_taken_when_the_run_is_ready() -> None:
    async with engine_on(dev_replay=True) as engine:
        handle = await engine.start(collect, 5)
        await asyncio.gather(*(handle.signal("n", number) for number in range(5)))

        assert await handle.result() == [0, 1, 2, 3, 4]


@on_skipping_loop
async def test_a_duplicate_signal_is_applied_once_and_answered_the_same() -> None:
    async with engine_on() as engine:
        handle = await engine.start(collect, 2)
        for _ in range(5):
            await handle.signal("n", 1, id="same")
        await handle.signal("n", 2, id="other")

        assert await handle.result() == [1, 2]
        await handle.signal("n", 1, id="same")  # the first answer, though the run has ended since
        with pytest.raises(WorkflowFinishedError):
            await handle.signal("n", 1, id="new")


@on_skipping_loop
async def test_signals_without_an_id_are_all_applied() -> None:
    async with engine_on() as engine:
        handle = await engine.start(collect, 3)
        for _ in range(3):
            await handle.signal("n", 1)

        assert await handle.result() == [1, 1, 1]


@on_skipping_loop
async def test_an_unknown_run_and_a_finished_run_are_told_apart() -> None:
    async with engine_on() as engine:
        await engine.execute(steps, 1, id="done")
        with pytest.raises(WorkflowNotFoundError, match="there is no workflow 'nobody'"):
            await engine.signal("nobody", "n")
        with pytest.raises(WorkflowFinishedError, match="workflow 'done' has ended: it is completed"):
            await engine.signal("done", "n")


@pytest.mark.parametrize("count", [255, 256, 257, 1_000])
@on_skipping_loop
async def test_the_window_of_ids_is_sealed_and_kept_across_restarts_of_the_engine(count: int) -> None:
    store = MemoryStore()
    async with engine_on(store) as engine:
        await engine.start(collect, count + 1, id="a")
        await asyncio.gather(*(engine.signal("a", "n", number, id=f"s{number}") for number in range(count)))
        head = documents(store)["run:a"]
        assert (len(documents(store, "seen:")) > 0) is (count > 256)
        assert len(head) < 40_000

    async with engine_on(store) as engine:
        for number in (0, 1, count // 2, count - 1):
            await engine.signal("a", "n", "again", id=f"s{number}")
        await engine.signal("a", "n", "last")
        assert await engine.handle("a").result() == [*range(count), "last"]


@on_skipping_loop
async def test_the_window_holds_ten_thousand_ids_and_then_lets_the_oldest_go() -> None:
    store = MemoryStore()
    async with engine_on(store) as engine:
        await engine.start(collect, 100_000, id="a")
        for block in range(11):
            await asyncio.gather(*(engine.signal("a", "n", 0, id=f"s{block}-{n}") for n in range(1_000)))
        taken = len(await engine.query("a", "taken"))
        await engine.signal("a", "n", "again", id="s1-500")
        assert len(await engine.query("a", "taken")) == taken
        await engine.signal("a", "n", "again", id="s0-0")
        assert len(await engine.query("a", "taken")) == taken + 1
        assert 76 <= len(documents(store, "seen:")) <= 80


@on_skipping_loop
async def test_the_window_lasts_a_day() -> None:
    store = MemoryStore()
    async with engine_on(store) as engine:
        await engine.start(collect, 100_000, id="a")
        await asyncio.gather(*(engine.signal("a", "n", 0, id=f"old{n}") for n in range(300)))
    await asyncio.sleep(20 * 3600)
    async with engine_on(store) as engine:
        await engine.signal("a", "n", 0, id="old0")
        assert len(await engine.query("a", "taken")) == 300


@pytest.mark.parametrize("how", ["continue_as_new", "restart", "terminate_existing", "rerun"])
@on_skipping_loop
async def test_the_window_goes_over_to_the_next_run_of_the_id(how: str) -> None:
    store = MemoryStore()
    async with engine_on(store, workflows=[ledger, collect]) as engine:
        await engine.start(ledger, id="a")
        await asyncio.gather(*(engine.signal("a", "other", 0, id=f"s{n}") for n in range(400)))
        match how:
            case "continue_as_new":
                await engine.signal("a", "turn")
            case "restart":
                await engine.signal("a", "turn", "end")
                await engine.start(ledger, id="a")
            case "terminate_existing":
                await engine.start(ledger, id="a", on_conflict="terminate_existing")
            case _:
                await engine.signal("a", "turn", "end")
                await engine.rerun("a")
        await engine.settled()
    async with engine_on(store, workflows=[ledger, collect]) as engine:
        before = len(await engine.history("a"))
        for number in (0, 399):
            await engine.signal("a", "other", 0, id=f"s{number}")

        assert len(await engine.history("a")) == before


@pytest.mark.parametrize(("bad", "text"), [("", "must not be empty"), ("x" * 257, "257 characters; the limit is 256")])
@on_skipping_loop
async def test_a_signal_id_has_1_to_256_characters(bad: str, text: str) -> None:
    async with engine_on() as engine:
        await engine.start(collect, id="a")
        with pytest.raises(PayloadError, match=text):
            await engine.signal("a", "n", id=bad)


@on_skipping_loop
async def test_paused_and_stalled_runs_take_signals() -> None:
    async def spins(ctx: WorkflowContext) -> None:
        await ctx.receive_signal("go")
        while True:  # noqa: ASYNC110 - the trap itself
            await asyncio.sleep(0)

    async with engine_on(workflows=[spins, collect]) as engine:
        await engine.start(spins, id="stalled")
        await engine.signal("stalled", "go")
        assert await engine.query("stalled", "status") == "stalled"
        await engine.signal("stalled", "n", 1)
        await engine.start(collect, 1, id="paused")
        await engine.pause("paused")
        await engine.signal("paused", "n", 1)

        assert (await types_of(engine, "stalled")).count("signal_received") == 2
        assert (await engine.describe("paused")).status is RunStatus.PAUSED
        await engine.resume("paused")
        assert await engine.handle("paused").result() == [1]


# Queries.


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


# Updates.


@on_skipping_loop
async def test_an_update_is_validated_carried_out_and_answered() -> None:
    async with engine_on(workflows=[ledger], dev_replay=True) as engine:
        handle = await engine.start(ledger)
        assert await handle.update("write", "a") == 1
        with pytest.raises(UpdateRejectedError, match=r"^an entry is positive$"):
            await handle.update("write", -5)
        assert await handle.update("write", "b") == 2
        with pytest.raises(UpdateRejectedError, match="unknown update 'x'; known: slow, write"):
            await handle.update("x")

        assert await handle.query("book") == ["a", "b"]
        assert (await types_of(engine, handle.id)).count("update_accepted") == 2


@on_skipping_loop
async def test_the_first_activation_comes_before_the_first_update() -> None:
    async with engine_on(workflows=[ledger]) as engine:
        starting = asyncio.create_task(engine.start(ledger, id="a"))
        updating = asyncio.create_task(engine.update("a", "write", 1))

        await starting
        assert await updating == 1


@on_skipping_loop
async def test_an_update_may_wait_and_others_go_past_it() -> None:
    async with engine_on(workflows=[ledger], dev_replay=True) as engine:
        handle = await engine.start(ledger)
        slow = asyncio.create_task(handle.update("slow", "late"))
        await asyncio.sleep(1)
        assert await handle.update("write", "early") == 1
        assert not slow.done()
        await handle.signal("go on")

        assert await slow == 2


@pytest.mark.parametrize(
    "when", ["while open", "after eviction", "after a restart", "after the end", "at the end, restarted"]
)
@on_skipping_loop
async def test_an_update_with_an_id_is_applied_once_and_answered_the_same(when: str) -> None:
    store = MemoryStore()
    engine = engine_on(store, workflows=[ledger, parked], max_cached_runs=1 if when == "after eviction" else 10)
    await engine.open()
    await engine.start(ledger, id="a")
    assert await engine.update("a", "write", "x", id="u1") == 1
    assert await engine.update("a", "write", "y", id="u2") == 2
    if when == "after eviction":
        for number in range(3):
            await engine.start(parked, id=f"p{number}")
    if when in {"after the end", "at the end, restarted"}:
        await engine.signal("a", "turn", "end")
    if "restart" in when:
        await engine.close()
        engine = engine_on(store, workflows=[ledger, parked])
        await engine.open()

    assert await engine.update("a", "write", "x", id="u1") == 1
    assert await engine.query("a", "book") == ["x", "y"]
    await engine.close()


@on_skipping_loop
async def test_two_who_ask_for_the_same_update_at_once_get_the_same_reply() -> None:
    async with engine_on(workflows=[ledger]) as engine:
        handle = await engine.start(ledger)
        both = [asyncio.create_task(handle.update("slow", "x", id="u")) for _ in range(2)]
        await asyncio.sleep(1)
        await handle.signal("go on")

        assert await asyncio.gather(*both) == [1, 1]
        assert await handle.query("book") == ["x"]


@pytest.mark.parametrize("end", ["completion", "cancel", "terminate"])
@on_skipping_loop
async def test_an_update_that_is_open_when_its_run_ends_is_told_so(end: str) -> None:
    async with engine_on(workflows=[ledger]) as engine:
        handle = await engine.start(ledger)
        slow = asyncio.create_task(handle.update("slow", "x"))
        await asyncio.sleep(1)
        ends: dict[str, Anything] = {
            "completion": lambda: handle.signal("turn", "end"),
            "cancel": handle.cancel,
            "terminate": handle.terminate,
        }
        await ends[end]()

        with pytest.raises(WorkflowFinishedError, match="ended before it replied to update 'slow'"):
            await slow
        with pytest.raises(WorkflowFinishedError):
            await handle.update("write", 1)


@on_skipping_loop
async def test_an_open_update_goes_over_to_the_next_run_by_continue_as_new() -> None:
    async with engine_on(workflows=[ledger]) as engine:
        handle = await engine.start(ledger)
        slow = asyncio.create_task(handle.update("slow", "x", id="u"))
        await asyncio.sleep(1)
        await handle.signal("turn")
        await handle.signal("go on")

        assert await slow == 1
        assert await handle.query("book") == ["x"]


@on_skipping_loop
async def test_an_open_update_is_carried_out_once_in_each_run_however_fast_they_follow_each_other() -> None:
    async def chain(ctx: WorkflowContext, number: int = 0) -> list[Any]:
        book: list[Any] = []

        async def slow(entry: Anything) -> int:
            await ctx.receive_signal("go on")
            book.append(entry)
            return len(book)

        ctx.set_update_handler("slow", slow)
        ctx.set_query_handler("book", lambda: book)
        if number == 0:
            await ctx.receive_signal("arm")
        if await ctx.receive_signal("turn") == "end":
            return book
        return ctx.continue_as_new(number + 1)

    async with engine_on(workflows=[chain]) as engine:
        handle = await engine.start(chain)
        slow = asyncio.create_task(handle.update("slow", "x", id="u"))
        await asyncio.sleep(1)
        for _ in range(7):
            await handle.signal("turn")
        await handle.signal("arm")
        await engine.settled()
        for _ in range(3):
            await handle.signal("go on")

        assert await slow == 1
        assert await handle.query("book") == ["x"]
        assert (await types_of(engine, handle.id)).count("update_accepted") == 1


@on_skipping_loop
async def test_a_handler_that_fails_is_the_callers_answer() -> None:
    async def run(ctx: WorkflowContext) -> None:
        ctx.set_update_handler("bad", lambda: 1 / 0)
        await ctx.receive_signal("end")

    async with engine_on(workflows=[run]) as engine:
        handle = await engine.start(run)
        for _ in range(2):
            with pytest.raises(UpdateRejectedError, match="division by zero"):
                await handle.update("bad", id="u")
        assert await handle.status() is RunStatus.RUNNING


@on_skipping_loop
async def test_a_paused_run_takes_no_updates() -> None:
    async with engine_on(workflows=[ledger]) as engine:
        handle = await engine.start(ledger)
        await engine.pause(handle.id)
        for _ in range(2):
            with pytest.raises(UpdateRejectedError, match="is paused and takes no updates now"):
                await asyncio.wait_for(handle.update("write", 1), timeout=5)
