"""Signals from outside: durable, in order, and applied once."""

import asyncio

import pytest

from holdfast import PayloadError, RunStatus, WorkflowContext, WorkflowFinishedError, WorkflowNotFoundError
from holdfast.stores import MemoryStore
from tests.unit.engine.kit import collect, engine_on, on_skipping_loop, steps, types_of
from tests.unit.engine.ledger import ledger
from tests.unit.engine.stores import documents


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
