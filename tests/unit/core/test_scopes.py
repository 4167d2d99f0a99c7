"""Scopes: what is cancelled with one, when, and how often."""

import asyncio

import pytest

from holdfast import CancelToken, RunStatus, WorkflowContext
from tests.play import Anything, Begin
from tests.unit.core.combining import cancelling, completed, publishing, waits_for


def test_a_body_is_cancelled_where_it_waits(begin: Begin) -> None:
    @publishing
    async def run(ctx: WorkflowContext) -> Anything:
        scope = ctx.cancellation_scope()
        ctx.set_update_handler("stop", scope.cancel)
        try:
            async with scope:
                await waits_for("a")(ctx)
        except CancelToken:
            return [scope.is_cancelled, await ctx.ref_id("b")]
        return "never"

    play = begin(run)
    play.update("stop")
    assert play.outputs == ["-a"]
    play.resolve("b", 1)

    completed(play, [True, 1])


def test_a_scope_that_is_left_cancels_nothing_any_more(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        async with ctx.cancellation_scope() as scope:
            first = await ctx.ref_id("a")
        scope.cancel()
        return [first, await ctx.ref_id("b")]

    play = begin(run)
    play.resolve("a", 1)
    play.resolve("b", 2)

    completed(play, [1, 2])


def test_a_scope_that_is_left_before_the_cancellation_is_carried_out_lets_its_body_go(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        async with ctx.cancellation_scope() as scope:
            scope.cancel()
        return await ctx.ref_id("a")

    play = begin(run)
    play.resolve("a", 1)

    completed(play, 1)


@pytest.mark.parametrize("carried_out", [False, True])
def test_a_scope_that_is_cancelled_before_it_is_entered_cancels_the_first_wait(
    begin: Begin, *, carried_out: bool
) -> None:
    @publishing
    async def run(ctx: WorkflowContext) -> Anything:
        scope = ctx.cancellation_scope()
        scope.cancel()
        if carried_out:
            await asyncio.sleep(0)
        try:
            async with scope:
                await waits_for("a", undo=True)(ctx)
        except CancelToken:
            return cancelling()
        return "never"

    play = begin(run)
    assert play.outputs == ["+a", "-a"]
    play.resolve("undo-a")

    assert play.outputs == ["~a"]
    completed(play, 0)


def test_a_cancelled_scope_that_is_entered_without_a_wait_cancels_nothing(begin: Begin) -> None:
    """Nor does the token come out later, at a wait that is none of the scope's."""

    async def run(ctx: WorkflowContext) -> Anything:
        scope = ctx.cancellation_scope()
        scope.cancel()
        await asyncio.sleep(0)
        async with scope:
            pass
        return [await ctx.ref_id("a"), cancelling()]

    play = begin(run)
    play.resolve("a", 1)

    completed(play, [1, 0])


def test_a_task_that_is_in_a_cancelled_scope_twice_is_cancelled_once(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        scope = ctx.cancellation_scope()
        scope.cancel()
        await asyncio.sleep(0)
        try:
            async with scope, scope:
                await ctx.ref_id("a")
        except CancelToken:
            return cancelling()

    completed(begin(run), 0)


def test_a_scope_that_is_made_after_another_was_left_does_not_belong_to_it(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        async with ctx.cancellation_scope() as first:
            pass
        async with ctx.cancellation_scope() as second:
            first.cancel()
            return [await ctx.ref_id("a"), first.is_cancelled, second.is_cancelled]

    play = begin(run)
    play.resolve("a", 1)

    completed(play, [1, True, False])


def test_a_scope_can_be_cancelled_from_within_its_own_body(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        try:
            async with ctx.cancellation_scope() as scope:
                scope.cancel()
                await ctx.ref_id("a")
        except CancelToken:
            return "cancelled"
        return "never"

    completed(begin(run), "cancelled")


def test_a_second_cancellation_changes_nothing(begin: Begin) -> None:
    @publishing
    async def run(ctx: WorkflowContext) -> None:
        scope = ctx.cancellation_scope()
        ctx.set_update_handler("stop", scope.cancel)
        scope.start(waits_for("b", undo=True)(ctx))
        async with scope:
            await waits_for("a", undo=True)(ctx)

    play = begin(run)
    play.update("stop", id="1")
    assert play.outputs == ["-b", "-a"]
    play.update("stop", id="2")
    assert play.words == ["update_completed stop"]
    play.resolve("undo-a")

    assert play.outputs == ["~a"]
    assert play.status is RunStatus.CANCELED


def test_several_tasks_may_share_a_scope(begin: Begin) -> None:
    @publishing
    async def run(ctx: WorkflowContext) -> Anything:
        scope = ctx.cancellation_scope()

        async def within(name: str) -> None:
            async with scope:
                await waits_for(name)(ctx)

        both = ctx.all_settled(within("a"), within("b"), waits_for("c")(ctx))
        await ctx.ref_id("go")
        scope.cancel()
        return [settled.status for settled in await both]

    play = begin(run)
    play.resolve("go")
    assert play.outputs == ["-a", "-b"]
    play.resolve("c")

    completed(play, ["rejected", "rejected", "fulfilled"])


def test_an_inner_scope_is_cancelled_alone(begin: Begin) -> None:
    @publishing
    async def run(ctx: WorkflowContext) -> Anything:
        async with ctx.cancellation_scope() as outer:
            try:
                async with ctx.cancellation_scope() as inner:
                    ctx.set_update_handler("stop", inner.cancel)
                    await waits_for("a")(ctx)
            except CancelToken:
                return [inner.is_cancelled, outer.is_cancelled, await ctx.ref_id("b")]

    play = begin(run)
    play.update("stop")
    assert play.outputs == ["-a"]
    play.resolve("b", 1)

    completed(play, [True, False, 1])


def test_an_inner_scope_is_cancelled_with_the_outer_one_and_before_it(begin: Begin) -> None:
    @publishing
    async def run(ctx: WorkflowContext) -> Anything:
        async with ctx.cancellation_scope() as outer:
            ctx.set_update_handler("stop", outer.cancel)
            outer.start(waits_for("outer")(ctx))
            inner = ctx.cancellation_scope()
            inner.start(waits_for("inner")(ctx))
            try:
                async with inner:
                    await waits_for("body")(ctx)
            except CancelToken:
                return [inner.is_cancelled, cancelling()]

    play = begin(run)
    play.update("stop")

    assert play.outputs == ["-inner", "-body", "-outer"]
    completed(play, [True, 0])


def test_cancelling_the_run_while_it_is_in_a_scope_is_not_the_scopes_doing(begin: Begin) -> None:
    @publishing
    async def run(ctx: WorkflowContext) -> Anything:
        try:
            async with ctx.cancellation_scope() as scope:
                scope.start(waits_for("beside")(ctx))
                await waits_for("a")(ctx)
        except CancelToken as token:
            return [str(token), scope.is_cancelled, cancelling(), await ctx.ref_id("b")]

    play = begin(run)
    play.cancel("enough")
    assert play.outputs == ["-a"]
    play.resolve("b", 1)

    completed(play, ["enough", False, 1, 1])
