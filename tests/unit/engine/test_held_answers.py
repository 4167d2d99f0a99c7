"""Answers that come before their thread: held for it, and applied once it begins."""

import asyncio

from holdfast import Delivery, WorkflowContext, workflow
from holdfast.core.outputs import RESUME_TOPIC
from holdfast.core.threads import thread_id
from holdfast.stores import MemoryStore
from tests.unit.engine.kit import died, eventually, on_skipping_loop
from tests.unit.engine.resuming import answer, open_engine, reasons, result, resume
from tests.unit.engine.topics import HOUR


@on_skipping_loop
async def test_answers_that_come_before_their_thread_are_held_for_it_in_their_order() -> None:
    store = MemoryStore()
    async with open_engine(store) as engine:
        for number in range(3):
            assert await answer(engine, "a b", number, id=f"m{number}") is Delivery.HELD
        assert await answer(engine, "a b", 0, id="m0") is Delivery.HELD, "once"
        (first, *_) = held = await engine.held_messages()
        assert len(held) == 3
        assert (first.topic, first.workflow_id) == (RESUME_TOPIC, thread_id("a b"))
    async with open_engine(store) as engine:
        await resume(engine, "a b", "new:3")
        await eventually(lambda: not engine.stats().held)
        assert await result(engine, "a b") == [0, 1, 2]
        assert await answer(engine, "a b", 0, id="m0") is Delivery.APPLIED, "it is known"


@on_skipping_loop
async def test_an_answer_that_is_held_reaches_a_thread_that_a_run_ensures() -> None:
    async with open_engine() as engine:
        assert await answer(engine, "a b", "early") is Delivery.HELD
        await engine.start("parent", "a b")
        await engine.settled()
        assert await result(engine, "a b") == ["early"]


@on_skipping_loop
async def test_an_answer_whose_thread_does_not_begin_within_an_hour_is_dead() -> None:
    async with open_engine() as engine:
        assert await answer(engine, "a b", 1) is Delivery.HELD
        await asyncio.sleep(HOUR + 1)
        await engine.settled()
        (reason,) = await reasons(engine)

    assert "none has begun within an hour" in reason


@on_skipping_loop
async def test_a_held_answer_to_a_ref_that_is_done_with_by_then_is_dropped() -> None:
    @workflow
    async def gives_up(ctx: WorkflowContext) -> None:
        branch = ctx.cancellation_scope()
        branch.start(ctx.ref_id("answer"))
        branch.cancel()
        await ctx.receive_signal("end")

    async with open_engine(workflows=[gives_up], resume_entry="gives_up") as engine:
        assert await answer(engine, "k", 1) is Delivery.HELD
        await resume(engine, "k", "new:null")
        await eventually(lambda: not engine.stats().held)

        assert engine.stats().dropped_answers == 1
        assert await reasons(engine) == []


@on_skipping_loop
async def test_what_a_process_took_and_could_not_finish_is_finished_by_the_next() -> None:
    store = MemoryStore()
    engine = open_engine(store)
    await engine.open()
    await answer(engine, "a b", "held", id="m1")
    await resume(engine, "a b", "new:1", "m2")
    await died(engine)
    async with open_engine(store) as engine:
        await eventually(lambda: not engine.stats().held)
        assert await result(engine, "a b") == ["held"]
        assert await resume(engine, "a b", "new:1", "m2") is Delivery.APPLIED
        assert await result(engine, "a b") == ["held"]
