"""Refs and answers where runs follow each other under one workflow id."""

import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from holdfast import Engine, Resolution, WorkflowContext, workflow
from holdfast.stores import MemoryStore
from tests.unit.engine.kit import WORKFLOWS, engine_on, on_skipping_loop, types_of
from tests.unit.engine.resuming import RESUMING, asks_by_own_ref

ALL = [*WORKFLOWS, *RESUMING]


@workflow
async def goes_on(ctx: WorkflowContext, last: bool = False) -> object:  # noqa: FBT001, FBT002 - an input
    """Continue as new on a signal, and wait for an answer in the run after that."""
    ref = ctx.ref("own")
    ctx.set_query_handler("ref", lambda: ref.id)
    if not last:
        await ctx.receive_signal("next")
        ctx.continue_as_new(True)  # noqa: FBT003
    await ctx.receive_signal("open")
    return [await ctx.ref_id("answer"), await ctx.ref_id("answer")]


@on_skipping_loop
async def test_early_answers_go_over_to_the_run_that_continues_in_their_order() -> None:
    store = MemoryStore()
    async with engine_on(store, workflows=[goes_on], dev_replay=True) as engine:
        await engine.start(goes_on, id="a")
        await engine.resolve_ref("a", "answer", 1, id="m")
        await engine.signal("a", "next")
        await engine.resolve_ref("a", "answer", 2)
        assert await engine.resolve_ref("a", "answer", 1, id="m") is Resolution.KEPT, "the next run knows it too"
    async with engine_on(store, workflows=[goes_on], dev_replay=True) as engine:
        await engine.signal("a", "open")
        assert await engine.handle("a").result() == [1, 2]


@on_skipping_loop
async def test_answers_that_wait_for_a_paused_run_go_over_when_it_continues() -> None:
    async with engine_on(workflows=[goes_on], dev_replay=True) as engine:
        handle = await engine.start(goes_on, id="a")
        await engine.pause("a")
        await engine.signal("a", "next")
        await engine.resolve_ref("a", "answer", 1)
        await engine.resolve_ref("a", "answer", 2)
        await engine.resume("a")
        await engine.signal("a", "open")

        assert await handle.result() == [1, 2]


@workflow
async def makes_it_too_early(ctx: WorkflowContext, last: bool = False) -> object:  # noqa: FBT001, FBT002 - an input
    """Make a ref that nobody awaits before the run continues as new."""
    inbox = ctx.ref_id("inbox")
    if not last:
        await ctx.receive_signal("next")
        ctx.continue_as_new(True)  # noqa: FBT003
    return await inbox


@on_skipping_loop
async def test_an_answer_that_nobody_has_awaited_goes_over_as_well() -> None:
    async with engine_on(workflows=[makes_it_too_early], dev_replay=True) as engine:
        handle = await engine.start(makes_it_too_early, id="a")
        await engine.resolve_ref("a", "inbox", "not lost")
        await engine.signal("a", "next")

        assert await handle.result() == "not lost"


async def _continue(engine: Engine) -> None:
    await engine.signal("a", "next")


async def _restart(engine: Engine) -> None:
    await engine.start(goes_on, id="a", on_conflict="terminate_existing")


@pytest.mark.parametrize("replace", [_continue, _restart])
@on_skipping_loop
async def test_answers_to_refs_of_a_run_before_do_not_fill_the_room_of_the_one_that_follows(
    replace: Callable[[Engine], Coroutine[Any, Any, None]],
) -> None:
    chance = random.Random(1).random
    async with engine_on(workflows=[goes_on], dev_replay=True, chance=chance) as engine:
        await engine.start(goes_on, id="a")
        before = await engine.query("a", "ref")
        await replace(engine)

        assert await engine.query("a", "ref") != before
        assert await engine.resolve_ref("a", before, "late") is Resolution.DROPPED
        assert engine.stats().dropped_answers == 1


@on_skipping_loop
async def test_a_run_may_take_a_ref_of_its_own_along() -> None:
    @workflow
    async def hands_on(ctx: WorkflowContext, ref: str = "") -> object:
        if not ref:
            made = ctx.ref()
            await ctx.receive_signal("next")
            ctx.continue_as_new(made.id)
        ctx.set_query_handler("ref", lambda: ref)
        return await ctx.ref_id(ref)

    async with engine_on(workflows=[hands_on], dev_replay=True) as engine:
        handle = await engine.start(hands_on, id="a")
        await handle.signal("next")
        ref = await engine.query("a", "ref")

        assert await engine.resolve_ref("a", ref, "still for me") is Resolution.RESOLVED
        assert await handle.result() == "still for me"


@on_skipping_loop
async def test_a_rerun_has_the_refs_of_the_run_that_it_repeats() -> None:
    async with engine_on(workflows=ALL, dev_replay=True) as engine:
        await engine.start(asks_by_own_ref, id="a")
        ref = await engine.query("a", "ref")
        await engine.resolve_ref("a", ref, "first")
        await engine.terminate("a")

        again = await engine.rerun("a", from_event=1)
        assert await engine.query("a", "ref") == ref
        assert await engine.resolve_ref("a", ref, "second") is Resolution.RESOLVED
        await again.signal("end")
        assert await again.result() == "second"

        assert (await types_of(engine, "a"))[:3] == ["workflow_started", "workflow_rerun", "ref_resolved"]
        kept = await engine.rerun("a", from_event=3)
        assert await engine.resolve_ref("a", ref, "third") is Resolution.DROPPED, "its answer is in the history"
        await kept.signal("end")
        assert await kept.result() == "second"
