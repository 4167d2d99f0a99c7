"""Updates from outside: validated, applied once, and answered, also after a restart or the end of the run."""

import asyncio
from typing import Any

import pytest

from holdfast import RunStatus, UpdateRejectedError, WorkflowContext, WorkflowFinishedError
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import engine_on, on_skipping_loop, parked, types_of
from tests.unit.engine.ledger import ledger


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


@on_skipping_loop
async def test_an_update_is_answered_the_same_by_the_runs_that_follow_and_after_a_restart() -> None:
    store = MemoryStore()
    async with engine_on(store, workflows=[ledger]) as engine:
        await engine.start(ledger, id="a")
        for entry in ("w", "x"):
            await engine.update("a", "write", entry, id=f"u-{entry}")
        with pytest.raises(UpdateRejectedError, match="an entry is positive"):
            await engine.update("a", "write", -1, id="u-bad")
        for _ in range(3):
            await engine.signal("a", "turn")
        await engine.settled()
        assert await engine.update("a", "write", "x", id="u-x") == 2

    async with engine_on(store, workflows=[ledger]) as engine:
        assert await engine.update("a", "write", "x", id="u-x") == 2
        assert await engine.query("a", "book") == []
        await engine.signal("a", "turn", "end")
        assert await engine.update("a", "write", "x", id="u-x") == 2


@on_skipping_loop
async def test_updates_that_go_over_to_a_run_that_ends_at_once_are_told_so() -> None:
    async def brief(ctx: WorkflowContext, number: int = 0) -> str:
        async def slow() -> None:
            await ctx.receive_signal("never")

        ctx.set_update_handler("slow", slow)
        if number == 0:
            await ctx.receive_signal("turn")
            ctx.continue_as_new(1)
        return "over"

    async with engine_on(workflows=[brief]) as engine:
        handle = await engine.start(brief)
        open_ones = [asyncio.create_task(handle.update("slow")) for _ in range(3)]
        await asyncio.sleep(1)
        await handle.signal("turn")

        assert await handle.result() == "over"
        for task in open_ones:
            with pytest.raises(WorkflowFinishedError, match="ended before it replied to update 'slow'"):
                await asyncio.wait_for(task, timeout=5)
