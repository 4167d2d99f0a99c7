"""Child runs: their results, what becomes of them when their parent ends, and their ids."""

import asyncio
import itertools
from typing import Any

import pytest

from holdfast import ChildWorkflowError, RunStatus, WorkflowCanceledError, WorkflowContext
from holdfast.stores import MemoryStore
from tests.play import Anything, Code
from tests.unit.engine.kit import collect, engine_on, nap, on_skipping_loop, parked, steps
from tests.unit.engine.stores import content, documents


async def fails(ctx: WorkflowContext) -> None:
    raise ValueError("child is broken")


async def compensates(ctx: WorkflowContext) -> str:
    try:
        await ctx.receive_signal("end")
    except asyncio.CancelledError:
        await ctx.sleep(5)
        raise
    return "ended"


async def chain(ctx: WorkflowContext, number: int = 3) -> str:
    await ctx.sleep(1)
    if number == 0:
        return "the last of the chain"
    return ctx.continue_as_new(number - 1)


async def parent(ctx: WorkflowContext, options: dict[str, Any]) -> Anything:
    """Start one child and wait for it, or for a signal, as told."""
    handle = ctx.start_child(
        options["child"], options.get("input"), id="child", parent_close=options.get("policy", "cancel")
    )
    if options.get("wait", True):
        try:
            return await handle.result()
        except ChildWorkflowError as error:
            return {"type": error.cause.type, "message": str(error)}
    await ctx.receive_signal("end")
    return "parent ended"


ALL: list[Code] = [parent, fails, compensates, chain, parked, collect, nap, steps]


@on_skipping_loop
async def test_a_parent_gets_the_result_of_its_child() -> None:
    async with engine_on(workflows=ALL, dev_replay=True) as engine:
        assert await engine.execute(parent, {"child": "steps", "input": 2}) == [0, 1]


@pytest.mark.parametrize(
    ("end", "kind", "message"),
    [
        ("fail", "ValueError", "child is broken"),
        ("cancel", "CancelToken", "no more"),
        ("terminate", "WorkflowTerminatedError", "no more"),
    ],
)
@on_skipping_loop
async def test_a_parent_is_told_how_its_child_ended(end: str, kind: str, message: str) -> None:
    async with engine_on(workflows=ALL) as engine:
        handle = await engine.start(parent, {"child": "fails" if end == "fail" else "parked"})
        await engine.settled()
        if end != "fail":
            await getattr(engine, end)("child", reason="no more")
        found = await handle.result()

    assert found["type"] == kind
    assert found["message"] == f"child workflow 'child' did not complete: {message}"


@pytest.mark.parametrize(
    ("policy", "status"), [("cancel", "canceled"), ("terminate", "terminated"), ("abandon", "running")]
)
@pytest.mark.parametrize("end", ["completes", "is canceled", "is terminated"])
@on_skipping_loop
async def test_what_becomes_of_a_child_when_its_parent_ends_is_its_policy(policy: str, status: str, end: str) -> None:
    async with engine_on(workflows=ALL) as engine:
        handle = await engine.start(parent, {"child": "compensates", "policy": policy, "wait": False}, id="parent")
        await engine.settled()
        ends: dict[str, Any] = {
            "completes": lambda: handle.signal("end"),
            "is canceled": handle.cancel,
            "is terminated": handle.terminate,
        }
        await ends[end]()
        await asyncio.sleep(60)

        assert await engine.query("child", "status") == status
        assert not documents(engine._parts.store, "run:parent")["run:parent"].count(b"outbox")  # type: ignore[arg-type]  # noqa: SLF001


@on_skipping_loop
async def test_a_parent_follows_the_chain_of_its_child() -> None:
    async with engine_on(workflows=ALL) as engine:
        assert await engine.execute(parent, {"child": "chain", "input": 5}) == "the last of the chain"


@on_skipping_loop
async def test_a_childs_completion_that_crosses_its_parents_continue_as_new_disturbs_nobody() -> None:
    async def replaced(ctx: WorkflowContext, number: int = 0) -> str:
        if number == 0:
            for index in range(20):
                ctx.start_child(nap, 1, id=f"c{index}")
            await ctx.sleep(1)
            ctx.continue_as_new(1)
        await ctx.receive_signal("end")
        return "ended"

    async with engine_on(workflows=[replaced, nap]) as engine:
        handle = await engine.start(replaced, id="a")
        await asyncio.sleep(30)
        assert [await engine.query(f"c{index}", "status") for index in range(20)] == ["completed"] * 20
        await handle.signal("end")

        assert await handle.result() == "ended"


@on_skipping_loop
async def test_hundreds_of_children_that_end_after_their_parents_continue_as_new_disturb_nobody() -> None:
    async def replaced(ctx: WorkflowContext, number: int = 0) -> str:
        if number == 0:
            for index in range(600):
                ctx.start_child(parked, id=f"c{index}", parent_close="abandon")
            await ctx.sleep(1)
            ctx.continue_as_new(1)
        await ctx.receive_signal("end")
        return "ended"

    async with engine_on(workflows=[replaced, parked]) as engine:
        handle = await engine.start(replaced, id="a")
        await asyncio.sleep(30)
        await asyncio.gather(*(engine.signal(f"c{index}", "end") for index in range(600)))
        await engine.settled()
        assert await handle.status() is RunStatus.RUNNING
        await handle.signal("end")

        assert await handle.result() == "ended"


@on_skipping_loop
async def test_every_id_that_a_run_was_told_is_stored_also_where_no_event_was_recorded() -> None:
    async def replaced(ctx: WorkflowContext, number: int = 0) -> None:
        if number == 0:
            for index in range(600):
                ctx.start_child(parked, id=f"c{index}", parent_close="abandon")
            await ctx.sleep(1)
            ctx.continue_as_new(1)
        await ctx.receive_signal("end")

    store = MemoryStore()
    async with engine_on(store, workflows=[replaced, parked]) as engine:
        await engine.start(replaced, id="a")
        await asyncio.sleep(30)
        await asyncio.gather(*(engine.signal(f"c{index}", "end") for index in range(600)))
        await engine.settled()

    head: Any = content(store, "run:a")
    sealed: list[Any] = [content(store, key)["ids"] for key, _ in head["seen"]["sealed"]]
    told = [*head["seen"]["recent"], *itertools.chain.from_iterable(sealed)]
    assert len(set(told)) == len(told) == 600


@on_skipping_loop
async def test_an_id_that_a_foreign_run_holds_gives_the_parent_an_error_and_leaves_the_other_alone() -> None:
    async with engine_on(workflows=ALL) as engine:
        await engine.start(parked, 5, id="child")
        found = await engine.execute(parent, {"child": "steps", "input": 1})

        assert found["type"] == "WorkflowAlreadyStartedError"
        assert "already started" in found["message"]
        await engine.signal("child", "end")
        assert await engine.handle("child").result() == 5


@on_skipping_loop
async def test_a_foreign_run_is_not_cancelled_when_a_parent_that_wanted_its_id_ends() -> None:
    async def greedy(ctx: WorkflowContext) -> str:
        handle = ctx.start_child(parked, id="child")
        handle.cancel()
        await ctx.receive_signal("end")
        return "ended"

    async with engine_on(workflows=[greedy, parked]) as engine:
        await engine.start(parked, 5, id="child")
        handle = await engine.start(greedy)
        await handle.signal("end")
        await handle.result()
        await engine.settled()

        assert await engine.query("child", "status") == "running"


@on_skipping_loop
async def test_a_child_that_cannot_be_started_is_the_parents_error() -> None:
    async with engine_on(workflows=ALL) as engine:
        unknown = await engine.execute(parent, {"child": "nobody"})
        misfit = await engine.execute(parent, {"child": "steps", "input": "many"})

    assert (unknown["type"], misfit["type"]) == ("WorkflowNotFoundError", "PayloadError")
    assert "no workflow 'nobody' is registered here" in unknown["message"]


@on_skipping_loop
async def test_cancelling_the_parent_cancels_the_child_it_executes_and_waits_for_it() -> None:
    async def executes(ctx: WorkflowContext) -> None:
        await ctx.execute_child(compensates, id="child")

    async with engine_on(workflows=[executes, compensates]) as engine:
        handle = await engine.start(executes, id="a")
        await engine.settled()
        await handle.cancel()
        with pytest.raises(WorkflowCanceledError):
            await handle.result()
        await asyncio.sleep(30)

        assert await engine.query("child", "status") == "canceled"


@on_skipping_loop
async def test_children_have_readable_ids_that_do_not_collide() -> None:
    async def many(ctx: WorkflowContext) -> list[str]:
        handles = [ctx.start_child(nap, 0) for _ in range(50)]
        await asyncio.gather(*(handle.result() for handle in handles))
        return [handle.id for handle in handles]

    async with engine_on(workflows=[many, nap]) as engine:
        first, second = [await engine.execute(many, id=name) for name in ("a", "b")]
        again = await engine.execute(many, id="a")

    assert len({*first, *second, *again}) == 150
    assert all(name.startswith("a-") and len(name) == 18 for name in first)


@on_skipping_loop
async def test_a_grandchild_is_seen_to_when_the_line_is_cut() -> None:
    async def middle(ctx: WorkflowContext) -> None:
        await ctx.execute_child(compensates, id="grandchild")

    async def top(ctx: WorkflowContext) -> None:
        await ctx.execute_child(middle, id="middle")

    async with engine_on(workflows=[top, middle, compensates]) as engine:
        handle = await engine.start(top, id="top")
        await engine.settled()
        await handle.terminate()
        await asyncio.sleep(60)

        statuses = [await engine.query(name, "status") for name in ("top", "middle", "grandchild")]
        assert statuses == ["terminated", "canceled", "canceled"]


@on_skipping_loop
async def test_hundreds_of_children_are_started_and_ended_with_their_parent() -> None:
    async def wide(ctx: WorkflowContext) -> int:
        for number in range(900):
            ctx.start_child(parked, id=f"{'c' * 55}-{number}", parent_close="terminate")
        await ctx.receive_signal("end")
        return 900

    async with engine_on(workflows=[wide, parked]) as engine:
        handle = await engine.start(wide, id="a")
        await engine.settled()
        assert engine.stats().runs["running"] == 901
        await handle.signal("end")
        await engine.settled()

        assert engine.stats().runs == {"completed": 1, "terminated": 900}
