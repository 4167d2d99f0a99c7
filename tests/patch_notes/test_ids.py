"""Cases about ids and names: used again, taken, crossed, ended, and of odd characters."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import pytest

from app.factory import create_app
from app.settings import Settings
from holdfast import (
    ActivityContext,
    ChildWorkflowError,
    EngineThread,
    RunStatus,
    WorkflowContext,
    WorkflowFinishedError,
    WorkflowTerminatedError,
    activity,
    workflow,
)
from holdfast.stores import MemoryStore
from tests.patch_notes.homes import Home, Watched, go_forward, is_at_rest, life
from tests.play import Code
from tests.unit.engine.kit import collect, echo, eventually, nap, parked, steps

HOUR = 3600.0


@pytest.mark.parametrize("dies", [False, True], ids=["live", "restarted"])
async def test_16_a_finished_id_can_be_used_again_and_what_is_late_for_the_old_run_misses_the_new_one(
    home: Home, *, dies: bool
) -> None:
    begun: list[int] = []
    old_returns, old_returned = asyncio.Event(), asyncio.Event()

    async def slow(context: ActivityContext) -> str:
        begun.append(context.attempt)
        if len(begun) > 1:
            await old_returned.wait()
            return "new"
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await old_returns.wait()  # it will not be told to stop, and returns when its run has long been replaced
        old_returned.set()
        return "old"

    async def busy(ctx: WorkflowContext) -> Sequence[Any]:
        return await asyncio.gather(ctx.execute_activity(slow), ctx.sleep(HOUR), ctx.receive_signal("n"))

    options: dict[str, Any] = {"workflows": [busy, steps], "activities": [slow, echo]}
    async with life(home.store(), dies=dies, **options) as before:
        assert await before.execute(steps, 2, id="a") == [0, 1]
    async with life(home.store(), **options) as after:
        assert await after.execute(steps, 3, id="a") == [0, 1, 2]
        old = await after.start(busy, id="a")
        await old.signal("n", "for the old run")
        await eventually(lambda: begun == [1])
        go_forward(after, HOUR / 2)
        await old.terminate()
        new = await after.start(busy, id="a")
        await eventually(lambda: begun == [1, 1])
        old_returns.set()
        go_forward(after, 0.75 * HOUR)
        await new.signal("n", "for the new run")

        assert await new.status() is RunStatus.RUNNING  # for its own timer is due an hour after its own start
        assert await new.result() == ["new", None, "for the new run"]
        assert old_returned.is_set()
        with pytest.raises(WorkflowTerminatedError):
            await after.handle("a", old.run_id).result()


@activity(name="ship@eu|fast/1")
async def ship(value: str) -> str:
    return f"{value} shipped"


@workflow(name="ship|child@2", version="2@eu|x")
async def ship_child(ctx: WorkflowContext, value: str) -> str:
    return str(await ctx.execute_activity("ship@eu|fast/1", value))


@workflow(name="order|v2@eu ä", version="1|a@b")
async def order(ctx: WorkflowContext) -> list[str]:
    ctx.set_query_handler("state|now@here", lambda: "waiting")
    first = await ctx.receive_signal("go|on@once", type=str)
    return [await ctx.execute_activity(ship, first), await ctx.execute_child("ship|child@2", first)]


ODD: dict[str, Any] = {"workflows": [order, ship_child], "activities": [ship]}
ODD_NAME = "order|v2@eu ä"


async def test_17_names_with_bars_and_ats_work_everywhere(home: Home) -> None:
    async with life(home.store(), dies=True, **ODD) as before:
        await before.engine.start(ODD_NAME, id="a")
        assert await before.engine.query("a", "state|now@here") == "waiting"
    async with life(home.store(), **ODD) as after:
        await after.engine.signal("a", "go|on@once", "tea", id="x|y@z")
        assert await after.handle("a").result() == ["tea shipped", "tea shipped"]
        assert [item.workflow_id for item in (await after.engine.list(workflow=ODD_NAME)).items] == ["a"]

    with EngineThread(MemoryStore(), **ODD) as thread:
        client = create_app(Settings(store="memory:"), thread).test_client()
        assert client.post(f"/v1/workflows/{quote(ODD_NAME, safe='')}/runs", json={"id": "a"}).status_code == 201
        assert client.post(f"/v1/runs/a/signals/{quote('go|on@once', safe='')}", json="tea").status_code == 202
        assert thread.handle("a").result(timeout=30) == ["tea shipped", "tea shipped"]


async def child_of_turn(ctx: WorkflowContext, turn: int) -> int:
    await ctx.receive_signal("end")
    return turn


async def parent_in_turns(ctx: WorkflowContext, turn: int) -> list[int]:
    """Start a child in each turn and go on to the next, whatever becomes of it; wait for that of the last turn."""
    child = ctx.start_child(child_of_turn, turn, id=f"child-{turn}", parent_close="abandon")
    if turn == 10:
        return [turn, await child.result()]
    await ctx.receive_signal("turn")
    return ctx.continue_as_new(turn + 1)


TURNS = 10


@pytest.mark.parametrize("lives", [1, TURNS], ids=["live", "restarted"])
async def test_18_a_childs_completion_that_crosses_continue_as_new_hangs_nobody_and_answers_no_other_child(
    home: Home, lives: int
) -> None:
    options: dict[str, Any] = {"workflows": [parent_in_turns, child_of_turn]}
    turns = iter(range(TURNS))
    for number in range(lives):
        async with life(home.store(), dies=True, **options) as before:
            if number == 0:
                await before.start(parent_in_turns, 0, id="a")
            for turn in itertools.islice(turns, TURNS // lives):
                await before.settled()
                ends = [before.engine.signal(f"child-{turn}", "end"), before.engine.signal("a", "turn", id=f"t{turn}")]
                await asyncio.gather(*(ends if turn % 2 else reversed(ends)))

    store = Watched(home.store())
    async with life(store, **options) as after:
        await after.settled()
        assert await after.handle("a").status() is RunStatus.RUNNING
        await after.engine.signal(f"child-{TURNS}", "end")
        assert await after.handle("a").result() == [TURNS, TURNS]
        assert [await after.handle(f"child-{turn}").result() for turn in range(TURNS)] == list(range(TURNS))
        assert await is_at_rest(after, store)


async def hang() -> None:
    await asyncio.Event().wait()


async def works(ctx: WorkflowContext) -> None:
    await ctx.execute_activity(hang)


async def family(ctx: WorkflowContext) -> None:
    await ctx.execute_child(parked, id="of-family", parent_close="terminate")


async def cleans_up(ctx: WorkflowContext) -> None:
    """Take for ever to clean up."""
    try:
        await ctx.receive_signal("never")
    finally:
        await ctx.sleep(30 * 24 * HOUR)


async def test_20_a_terminated_run_is_terminated_wherever_it_stood_and_stays_so(home: Home) -> None:
    standing: list[Code] = [works, nap, parked, family, cleans_up]
    options: dict[str, Any] = {"workflows": [*standing, collect], "activities": [hang, echo]}
    names = [*(code.__name__ for code in standing), "paused", "of-family", "outside"]
    async with life(home.store(), dies=True, **options) as before:
        engine = before.engine
        for code in standing:
            await engine.start(code, id=code.__name__)
        await engine.start(parked, id="paused")
        await engine.pause("paused")
        await engine.cancel("cleans_up")
        await engine.start(parked, id="outside")
        racing = [await engine.start(collect, 1, id=f"race-{number}") for number in range(20)]
        await eventually(lambda: engine.stats().runs["running"] == len(names) - 1 + len(racing))
        waiting = asyncio.ensure_future(engine.handle("works").result())
        for name in names:
            if name != "of-family":
                await engine.terminate(name, reason="enough")
        with pytest.raises(WorkflowTerminatedError, match="enough"):
            await waiting
        ends = [(engine.signal(race.id, "n", 1), engine.terminate(race.id)) for race in racing]
        both = [call for number, pair in enumerate(ends) for call in (pair if number % 2 else reversed(pair))]
        refusals = await asyncio.gather(*both, return_exceptions=True)
        assert all(answer is None or isinstance(answer, WorkflowFinishedError) for answer in refusals)

    store = Watched(home.store())
    async with life(store, **options) as after:
        assert await is_at_rest(after, store)
        assert {name: await after.handle(name).status() for name in names} == dict.fromkeys(names, RunStatus.TERMINATED)
        # Of each pair that raced the first one won, and the other one was told.
        ended = [await after.handle(race.id).status() for race in racing]
        assert ended == [RunStatus.COMPLETED if number % 2 else RunStatus.TERMINATED for number in range(20)]
        assert after.engine.stats().runs["running"] == 0


async def wants(ctx: WorkflowContext, id: str) -> str:
    """Ask for a child of an id; say what came of it, and go on."""
    try:
        result = await ctx.execute_child(parked, "own", id=id)
    except ChildWorkflowError as error:
        result = error.cause.type
    return f"{result} {await ctx.execute_activity(echo, 'after')}"


@pytest.mark.parametrize("dies", [False, True], ids=["live", "restarted"])
async def test_21_a_child_id_in_use_is_an_error_that_its_parent_can_handle(home: Home, *, dies: bool) -> None:
    options: dict[str, Any] = {"workflows": [wants, parked, steps], "activities": [echo]}
    async with life(home.store(), dies=dies, **options) as before:
        await before.engine.start(parked, "foreign", id="taken")
        await before.execute(steps, 1, id="finished")
        for id in ("taken", "finished", "own-parent"):
            await before.engine.start(wants, id, id=f"wants-{id}" if id != "own-parent" else id)
        await before.start(wants, "shared", id="first")
        await before.settled()
        await before.start(wants, "shared", id="second")
        await before.settled()

    in_use = "WorkflowAlreadyStartedError after"
    async with life(home.store(), **options) as after:
        await after.settled()
        for child in ("finished", "shared"):
            await after.engine.signal(child, "end")
        parents = ("wants-taken", "wants-finished", "own-parent", "first", "second")
        results = {name: await after.handle(name).result() for name in parents}
        assert results == {
            "wants-taken": in_use,
            "wants-finished": "own after",
            "own-parent": in_use,
            "first": "own after",
            "second": in_use,
        }
        await after.engine.signal("taken", "end")
        assert await after.handle("taken").result() == "foreign"
