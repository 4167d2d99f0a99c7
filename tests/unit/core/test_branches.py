"""What can be a branch, when it starts, and what becomes of branches within branches."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from holdfast import CancelToken, NondeterminismError, RefError, RunStatus, WorkflowContext
from tests.play import Anything, Begin
from tests.unit.core.combining import completed, publishing, waits_for


def test_branches_start_at_the_call_in_the_order_of_the_arguments(begin: Begin) -> None:
    @publishing
    async def run(ctx: WorkflowContext) -> None:
        ctx.all(*(waits_for(name)(ctx) for name in "cab"))
        await ctx.ref_id("go")

    assert begin(run).outputs == ["+c", "+a", "+b"]


@pytest.mark.parametrize("form", ["arguments", "list", "generator"])
def test_branches_are_given_one_by_one_or_as_one_iterable(begin: Begin, form: str) -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        refs = [ctx.ref_id(name) for name in "ab"]
        if form == "arguments":
            return await ctx.all(*refs)
        return await ctx.all(refs if form == "list" else (ref for ref in refs))

    play = begin(run)
    play.resolve("b", 2)
    play.resolve("a", 1)

    completed(play, [1, 2])


def test_a_single_branch_that_is_no_iterable_is_one_branch(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        return await ctx.all(ctx.ref_id("a"))

    play = begin(run)
    play.resolve("a", [1, 2])

    completed(play, [[1, 2]])


def branch_of(ctx: WorkflowContext, kind: str) -> Awaitable[Any]:
    async def waits() -> Anything:
        return await ctx.ref_id("x")

    match kind:
        case "coroutine":
            return waits()
        case "task":
            return asyncio.create_task(waits())
        case "ref":
            return ctx.ref_id("x")
        case "combinator":
            return ctx.race(ctx.ref_id("x"))
        case _:
            future = asyncio.get_running_loop().create_future()
            waiting = asyncio.create_task(waits())
            waiting.add_done_callback(lambda done: None if future.done() else future.set_result(done.result()))
            return future


KINDS = ["coroutine", "task", "ref", "combinator", "future"]


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_can_be_awaited_can_win(begin: Begin, kind: str) -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        return await ctx.race(branch_of(ctx, kind), ctx.ref_id("other"))

    play = begin(run)
    play.resolve("x", 1)

    completed(play, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_can_be_awaited_can_lose(begin: Begin, kind: str) -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        branch = asyncio.ensure_future(branch_of(ctx, kind))
        won = await ctx.race(branch, ctx.ref_id("other"))
        return [won, branch.cancelled()]

    play = begin(run)
    play.resolve("other", 1)

    completed(play, [1, True])


def test_a_bare_ref_that_loses_is_settled_with_the_token(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        ref = ctx.ref_id("x")
        await ctx.race(ref, ctx.ref_id("other"))
        try:
            return await ref
        except CancelToken:
            return "cancelled"

    play = begin(run)
    play.resolve("other")

    completed(play, "cancelled")


def test_one_branch_can_be_in_two_combinators(begin: Begin) -> None:
    """The one that is decided first cancels it, which settles it for the other one too."""

    @publishing
    async def run(ctx: WorkflowContext) -> Anything:
        shared = asyncio.ensure_future(waits_for("shared", undo=True)(ctx))
        fast, slow = ctx.race(shared, ctx.ref_id("fast")), ctx.all_settled(shared, ctx.ref_id("slow"))
        first = await fast
        settled = await slow
        return [first, *(one.status for one in settled)]

    play = begin(run)
    play.resolve("fast", 1)
    assert play.outputs == ["-shared"]
    play.resolve("undo-shared")
    play.resolve("slow")

    completed(play, [1, "rejected", "fulfilled"])


def test_a_branch_that_is_given_twice_counts_twice_and_is_cancelled_once(begin: Begin) -> None:
    @publishing
    async def run(ctx: WorkflowContext) -> Anything:
        twice = asyncio.ensure_future(waits_for("twice", undo=True)(ctx))
        return await ctx.all(twice, ctx.ref_id("x"), twice)

    play = begin(run)
    play.resolve("x", 2)
    play.resolve("twice", 1)
    completed(play, [1, 2, 1])

    play = begin(run)
    play.reject("x", "no")
    assert (play.outputs, play.ended) == (["-twice"], False)
    play.resolve("undo-twice")

    assert play.failure.type == RefError.__name__


def test_cancellation_from_outside_goes_through_nested_combinators(begin: Begin) -> None:
    @publishing
    async def run(ctx: WorkflowContext) -> Anything:
        inner = ctx.any(waits_for("b")(ctx), ctx.all_settled(waits_for("c", undo=True)(ctx), waits_for("d")(ctx)))
        return await ctx.race(ctx.all(waits_for("a")(ctx), inner), ctx.ref_id("timer"))

    play = begin(run)
    assert sorted(play.outputs) == ["+a", "+b", "+c", "+d"]
    play.cancel("enough")
    assert sorted(play.outputs) == ["-a", "-b", "-c", "-d"]
    assert not play.ended
    play.resolve("undo-c")

    assert play.status is RunStatus.CANCELED
    play.replayed()


def test_a_loser_at_any_depth_takes_its_first_step_before_it_is_cancelled(begin: Begin) -> None:
    @publishing
    async def run(ctx: WorkflowContext) -> Anything:
        async def deep(depth: int) -> Anything:
            return await ctx.race(deep(depth - 1) if depth else waits_for("deep")(ctx))

        async def at_once() -> str:
            return "won"

        return await ctx.race(at_once(), deep(3))

    play = begin(run)

    assert play.outputs == ["+deep", "-deep"]
    completed(play, "won")


def test_a_branch_that_two_combinators_cancel_at_once_is_cancelled_once(begin: Begin) -> None:
    """However deep it lies in the one and the other: its clean-up is not interrupted by the second of them."""

    @publishing
    async def run(ctx: WorkflowContext) -> Anything:
        shared = asyncio.ensure_future(waits_for("x", undo=True)(ctx))
        await ctx.race(ctx.all(shared), ctx.all(ctx.all(ctx.all(ctx.all(shared)))), ctx.ref_id("go"))

    play = begin(run)
    play.resolve("go")
    assert (play.outputs, play.ended) == (["-x"], False)
    play.resolve("undo-x")

    assert play.outputs == ["~x"]
    completed(play, None)


def test_a_branch_whose_outcome_comes_in_the_turn_of_its_cancellation_is_cancelled(begin: Begin) -> None:
    """The task has the answer already, and has not run yet: the token wins, and nothing is left over."""

    @publishing
    async def run(ctx: WorkflowContext) -> Anything:
        async def waits() -> Anything:
            return await ctx.all(ctx.ref_id("x"))

        async def stops(waiting: asyncio.Task[Any]) -> None:
            await ctx.ref_id("x")
            await asyncio.sleep(0)
            waiting.cancel()

        waiting = asyncio.create_task(waits())
        await ctx.all(stops(waiting))
        await asyncio.wait([waiting])
        return waiting.cancelled()

    play = begin(run)
    play.resolve("x", 1)

    completed(play, True)  # noqa: FBT003 - the result of the run


@pytest.mark.parametrize("combinator", ["race", "all", "any", "all_settled", "shield"])
def test_a_query_starts_no_branches(begin: Begin, combinator: str) -> None:
    async def run(ctx: WorkflowContext) -> None:
        refs = [ctx.ref_id("a")]
        ctx.set_query_handler("q", lambda: getattr(ctx, combinator)(*refs))
        await ctx.ref_id("end")

    play = begin(run)

    with pytest.raises(Exception, match="only looks at the run") as caught:
        play.query("q")
    assert not isinstance(caught.value, NondeterminismError)
    play.resolve("end")
    completed(play, None)


def test_what_was_started_before_a_branch_that_is_none_is_cancelled(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        try:
            ctx.race([waits_for("a")(ctx), 5])  # type: ignore[list-item]
        except TypeError:
            await ctx.ref_id("end")
        return "no branch is left"

    play = begin(publishing(run))

    assert play.outputs == ["+a", "-a"]
    play.resolve("end")
    completed(play, "no branch is left")
