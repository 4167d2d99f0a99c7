"""Six weak points of the engine whose model this is: none of them is here."""

import pytest

from holdfast import Delivery, UndeclaredTopicError, WorkflowContext, workflow
from holdfast.core.outputs import RESUME_TOPIC
from holdfast.core.threads import thread_id
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import died, eventually, on_skipping_loop
from tests.unit.engine.publishers import Broker
from tests.unit.engine.resuming import answer, open_engine, reasons, result, resume
from tests.unit.engine.stores import content


@workflow(outputs=["declared"])
async def says(ctx: WorkflowContext) -> str:
    """Say what it is told: to a topic, and in the end to one that it does not declare."""
    while True:
        told = await ctx.ref_id("main")
        if told == "end":
            return "ended"
        ctx.output(told, "said")


@on_skipping_loop
async def test_k1_a_step_that_fails_loses_neither_its_record_nor_its_outputs() -> None:
    """There an exception skips the record, and an undeclared topic throws after the state has moved on."""
    broker = Broker()
    async with open_engine(workflows=[says], resume_entry="says", publisher=broker) as engine:
        await resume(engine, "k", "new:null")
        await answer(engine, "k", "declared", "main")
        await answer(engine, "k", "undeclared", "main")
        await engine.settled()
        described = await engine.describe("k")

    assert described.status == "failed"
    assert described.error is not None
    assert described.error.type == UndeclaredTopicError.__name__
    assert [record.topic for record in broker.taken] == ["declared", "workflow-error"], "all that was said, and the end"


@pytest.mark.parametrize("point", ["before it has left", "after it has left"])
@on_skipping_loop
async def test_k2_a_record_that_is_delivered_again_doubles_and_loses_nothing(point: str) -> None:
    """There a crash between state and outputs doubles or loses them, and ``new:`` starts a thread from scratch."""
    store, broker = MemoryStore(), Broker()
    if point == "before it has left":
        broker.gate.clear()
    engine = open_engine(store, workflows=[says], resume_entry="says", publisher=broker)
    await engine.open()
    await resume(engine, "k", "new:null", "m1")
    await answer(engine, "k", "declared", "main", "m2")
    await eventually(lambda: broker.calls)
    await died(engine)
    broker.gate.set()

    async with open_engine(store, workflows=[says], resume_entry="says", publisher=broker) as engine:
        await resume(engine, "k", "new:null", "m1")
        await answer(engine, "k", "declared", "main", "m2")
        await answer(engine, "k", "end", "main", "m3")
        await engine.settled()

    said = {record.id: record.value for record in broker.taken}
    assert list(said.values()) == [b"said", b'"ended"'], "each under one id"


@pytest.mark.parametrize("value", [b"", b"null", b"\x00"])
@on_skipping_loop
async def test_k3_a_record_without_a_value_is_a_dead_letter_and_the_next_one_is_taken(value: bytes) -> None:
    """There it ends the thread of the stream."""
    async with open_engine() as engine:
        assert await engine.deliver(RESUME_TOPIC, "k", value) is Delivery.DEAD
        assert await resume(engine, "k", "new:1") is Delivery.APPLIED
        assert len(await reasons(engine)) == 1


@on_skipping_loop
async def test_k4_a_command_that_comes_while_the_loop_awaits_something_else_is_not_lost() -> None:
    @workflow
    async def serves(ctx: WorkflowContext) -> list[Anything]:
        """Take commands one after the other, and ask elsewhere for each of them."""
        done = []
        while (command := await ctx.ref_id("main")) != "end":
            done.append([command, await ctx.ref_id("reply")])
        return done

    async with open_engine(workflows=[serves], resume_entry="serves") as engine:
        assert await answer(engine, "k", "before the start", "main") is Delivery.HELD
        await resume(engine, "k", "new:null")
        await eventually(lambda: not engine.stats().held)
        for command in ("a", "b", "end"):
            await answer(engine, "k", command, "main")
        for reply in range(3):
            await answer(engine, "k", reply, "reply")
        await engine.settled()

        assert await result(engine, "k") == [["before the start", 0], ["a", 1], ["b", 2]]


@on_skipping_loop
async def test_k5_a_step_writes_what_is_new_and_code_may_change_meanwhile() -> None:
    """There all of the state is written with each step, and is bound to the bundle that has made it."""

    @workflow(name="grows")
    async def before(ctx: WorkflowContext) -> int:
        kept = [await ctx.ref_id("main") for _ in range(200)]
        return len(kept)

    @workflow(name="grows")
    async def after(ctx: WorkflowContext) -> str:
        kept = [await ctx.ref_id("main") for _ in range(200)]
        return f"{len(kept)} by other code"

    store = MemoryStore()
    sizes = []
    async with open_engine(store, workflows=[before], resume_entry="grows", dev_replay=False) as engine:
        await resume(engine, "k", "new:null")
        for number in range(150):
            await answer(engine, "k", f"{number}" * 100, "main")
            sizes.append(len(str(content(store, "run:k"))))
    async with open_engine(store, workflows=[after], resume_entry="grows") as engine:
        for number in range(150, 200):
            await answer(engine, "k", number, "main")
        assert await result(engine, "k") == "200 by other code"

    assert max(sizes[100:]) <= 1.2 * max(sizes[:100])


@on_skipping_loop
async def test_k6_a_command_that_cannot_be_carried_out_leaves_a_thread_that_can_be_seen_and_run_again() -> None:
    """There an error in a command loop ends the thread, and nothing of it is left."""

    @workflow(name="allocates")
    async def before(ctx: WorkflowContext) -> int:
        free = {"a": 1}
        while (name := await ctx.ref_id("main")) != "end":
            free[name] -= 1
        return sum(free.values())

    @workflow(name="allocates")
    async def after(ctx: WorkflowContext) -> int:
        free = {"a": 1}
        while (name := await ctx.ref_id("main")) != "end":
            free[name] = free.get(name, 0) - 1
        return sum(free.values())

    store, broker = MemoryStore(), Broker()
    async with open_engine(store, workflows=[before], resume_entry="allocates", publisher=broker) as engine:
        await resume(engine, "a b", "new:null")
        for name in ("a", "none such"):
            await answer(engine, "a b", name, "main")
        await engine.settled()
        described = await engine.describe(thread_id("a b"))
        assert (described.status, described.error and described.error.type) == ("failed", "KeyError")
    async with open_engine(store, workflows=[after], publisher=broker) as engine:
        events = await engine.history(thread_id("a b"))
        await engine.rerun(thread_id("a b"), from_event=len(events) - 1)
        for name in ("none such", "end"):
            await answer(engine, "a b", name, "main")
        await engine.settled()
        assert await result(engine, "a b") == -1

    assert broker.ends == [("workflow-error", "a b", b"\"'none such'\""), ("workflow-result", "a b", b"-1")]
