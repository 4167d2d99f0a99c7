"""Rerun: a new run from a prefix of the history of one that has ended."""

from typing import Any

import pytest

from holdfast import RunStatus, WorkflowContext, WorkflowFailedError, WorkflowNotFoundError, WorkflowOpenError
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import collect, engine_on, on_skipping_loop, parked, steps, types_of
from tests.unit.engine.stores import content

RAN: list[Any] = []


@pytest.fixture(autouse=True)
def empty() -> None:
    RAN.clear()


async def act(value: Anything = None) -> Anything:
    RAN.append(value)
    return value


async def three(ctx: WorkflowContext, broken: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - an input
    done = [await ctx.execute_activity(act, 1), await ctx.execute_activity(act, 2)]
    if FIXED or not broken:
        return [*done, await ctx.execute_activity(act, 3)]
    raise ValueError("a bug")


FIXED: list[bool] = []


@on_skipping_loop
async def test_a_rerun_begins_a_new_run_from_a_prefix_of_the_history() -> None:
    FIXED.clear()
    async with engine_on(workflows=[three], activities=[act]) as engine:
        with pytest.raises(WorkflowFailedError, match="a bug"):
            await engine.execute(three, id="a")
        first = (await engine.describe("a")).run_id
        RAN.clear()
        FIXED.append(True)
        handle = await engine.rerun("a", from_event=4, reason="bug is fixed")

        assert await handle.result() == [1, 2, 3]
        assert RAN == [2, 3]  # the first is kept, the second was asked for and has no answer in the prefix
        assert handle.run_id != first
        assert (await engine.describe("a", run_id=first)).status is RunStatus.FAILED
        note = next(event for event in await engine.history("a") if event.type == "workflow_rerun")
        assert note.details == {"of_run": first, "events": 4, "reason": "bug is fixed"}


@pytest.mark.parametrize("event", range(1, 9))
@on_skipping_loop
async def test_a_rerun_from_any_event_comes_to_the_same_end(event: int) -> None:
    FIXED.clear()
    async with engine_on(workflows=[three], activities=[act]) as engine:
        assert await engine.execute(three, input=False, id="a") == [1, 2, 3]
        handle = await engine.rerun("a", from_event=event)

        assert await handle.result() == [1, 2, 3]


@on_skipping_loop
async def test_a_rerun_survives_a_restart() -> None:
    store = MemoryStore()
    async with engine_on(store) as engine:
        await engine.start(collect, 2, id="a")
        await engine.signal("a", "n", 1)
        await engine.terminate("a")
        await engine.rerun("a", from_event=2)
        await engine.settled()
    async with engine_on(store) as engine:
        await engine.signal("a", "n", 2)
        assert await engine.handle("a").result() == [1, 2]


@on_skipping_loop
async def test_only_a_run_that_has_ended_can_be_rerun_and_only_from_an_event_it_has() -> None:
    async with engine_on() as engine:
        await engine.start(parked, id="a")
        with pytest.raises(WorkflowOpenError, match="'a' is running: it has to end before it can be rerun"):
            await engine.rerun("a")
        await engine.signal("a", "end")
        for event in (0, -1, 99):
            with pytest.raises(ValueError, match="from_event must be between 1 and 3"):
                await engine.rerun("a", from_event=event)
        with pytest.raises(WorkflowNotFoundError):
            await engine.rerun("nobody")


@on_skipping_loop
async def test_a_rerun_goes_without_the_old_runs_children_and_sends_nothing_twice() -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        ctx.signal("other", "n", "once")
        first = await ctx.execute_child(steps, 1, id="first")
        return [first, await ctx.receive_signal("end")]

    async with engine_on(workflows=[run, steps, collect]) as engine:
        await engine.start(collect, 5, id="other")
        await engine.start(run, id="a")
        await engine.settled()
        await engine.terminate("a")
        length = len(await engine.history("a"))
        handle = await engine.rerun("a", from_event=length - 1)
        await engine.signal("a", "end", 5)

        assert await handle.result() == [[0], 5]
        assert await engine.query("other", "taken") == ["once"]
        assert (await types_of(engine, "first")).count("workflow_started") == 1


@on_skipping_loop
async def test_a_rerun_that_does_not_fit_the_code_is_refused_and_the_old_run_stays() -> None:
    async def changed(ctx: WorkflowContext, count: int = 1) -> None:
        await ctx.sleep(5)

    changed.__name__ = "steps"
    store = MemoryStore()
    async with engine_on(store) as engine:
        await engine.execute(steps, 1, id="a")
        before = content(store, "run:a")["run_id"]
    async with engine_on(store, workflows=[changed]) as engine:
        with pytest.raises(Exception, match="does not fit the history"):
            await engine.rerun("a", from_event=3)
        assert (await engine.describe("a")).run_id == before
        assert engine.not_ready() == ""


@on_skipping_loop
async def test_a_child_that_was_asked_for_in_the_last_turn_of_the_prefix_is_asked_for_anew() -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        await ctx.receive_signal("go")
        child = ctx.start_child(steps, 2)
        await ctx.signal("other", "n", "hello")
        return await child.result()

    async with engine_on(workflows=[run, steps, collect]) as engine:
        await engine.start(collect, 2, id="other")
        await engine.start(run, id="a")
        await engine.signal("a", "go")
        assert await engine.handle("a").result() == [0, 1]
        asked = (await types_of(engine, "a")).index("child_started") + 1
        await engine.rerun("a", from_event=asked)

        assert await engine.handle("a").result() == [0, 1]
        assert await engine.handle("other").result() == ["hello", "hello"]
