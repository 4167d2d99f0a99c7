"""Shield: work that is not cancelled with whoever waits for it. Time-outs: asyncio's own, in and around scopes."""

import asyncio

import pytest

from holdfast import CancelToken, RunStatus, WorkflowContext
from tests.play import Anything, Begin
from tests.unit.core.combining import cancelling, completed, publishing, waits_for


def test_what_is_shielded_ends_before_whoever_waits_for_it_is_cancelled(begin: Begin) -> None:
    @publishing
    async def run(ctx: WorkflowContext) -> Anything:
        await ctx.shield(waits_for("a")(ctx))

    play = begin(run)
    play.cancel("enough")
    assert (play.outputs, play.ended) == ([], False)
    play.resolve("a", 1)

    assert play.status is RunStatus.CANCELED
    assert play.failure.message == "enough"
    play.replayed()


@pytest.mark.parametrize("answer", ["resolve", "reject"])
def test_without_a_cancellation_a_shield_is_what_its_work_is(begin: Begin, answer: str) -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        return await ctx.shield(ctx.ref_id("a"))

    play = begin(run)
    getattr(play, answer)("a", "x")

    assert play.status is (RunStatus.COMPLETED if answer == "resolve" else RunStatus.FAILED)


@pytest.mark.parametrize("shield", ["ctx", "asyncio"])
def test_asyncios_shield_lets_go_of_the_work_at_once(begin: Begin, shield: str) -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        work = asyncio.ensure_future(ctx.ref_id("a"))
        try:
            await (ctx.shield(work) if shield == "ctx" else asyncio.shield(work))
        except CancelToken:
            return ["done" if work.done() else "going on", await work]

    play = begin(run)
    play.cancel()
    play.resolve("a", 1)

    completed(play, ["done" if shield == "ctx" else "going on", 1])


def test_a_loser_that_is_shielded_delays_the_winner(begin: Begin) -> None:
    @publishing
    async def run(ctx: WorkflowContext) -> Anything:
        return await ctx.race(ctx.shield(waits_for("a")(ctx)), ctx.ref_id("b"))

    play = begin(run)
    play.resolve("b", "won")
    assert not play.ended
    play.resolve("a")

    completed(play, "won")


def test_what_is_shielded_in_a_scope_is_not_cancelled_with_it(begin: Begin) -> None:
    """Not even where it has scopes of its own: they do not belong to those around the shield."""

    @publishing
    async def run(ctx: WorkflowContext) -> Anything:
        async def work() -> Anything:
            async with ctx.cancellation_scope() as own:
                own.start(waits_for("beside")(ctx))
                return await waits_for("a")(ctx)

        async with ctx.cancellation_scope() as scope:
            ctx.set_update_handler("stop", scope.cancel)
            await ctx.shield(work())

    play = begin(run)
    play.update("stop")
    assert play.outputs == []
    play.resolve("beside")
    play.resolve("a")

    assert play.status is RunStatus.CANCELED


def test_what_begins_after_a_shield_belongs_to_the_scope_again(begin: Begin) -> None:
    @publishing
    async def run(ctx: WorkflowContext) -> Anything:
        async with ctx.cancellation_scope() as scope:
            ctx.shield(waits_for("a")(ctx))
            inner = ctx.cancellation_scope()
            inner.start(waits_for("b")(ctx))
            scope.cancel()
            await waits_for("c")(ctx)

    play = begin(run)

    assert sorted(play.outputs) == ["+a", "+b", "+c", "-b", "-c"]
    assert play.status is RunStatus.CANCELED


def test_a_time_out_within_a_scope_is_a_time_out(begin: Begin) -> None:
    @publishing
    async def run(ctx: WorkflowContext) -> Anything:
        async with ctx.cancellation_scope() as scope:
            try:
                async with asyncio.timeout(60):
                    await ctx.race(waits_for("a", undo=True)(ctx), ctx.ref_id("b"))
            except TimeoutError:
                return [scope.is_cancelled, cancelling()]

    play = begin(run)
    play.fire()
    assert (play.outputs, play.ended) == (["-a"], False)
    play.resolve("undo-a")

    completed(play, [False, 0])


@pytest.mark.parametrize("first", ["scope", "timer"])
def test_a_time_out_around_a_scope_is_a_time_out_unless_the_scope_was_cancelled(begin: Begin, first: str) -> None:
    @publishing
    async def run(ctx: WorkflowContext) -> Anything:
        scope = ctx.cancellation_scope()
        ctx.set_update_handler("stop", scope.cancel)
        try:
            async with asyncio.timeout(60), scope:
                await waits_for("a")(ctx)
        except TimeoutError:
            return ["late", cancelling()]
        except CancelToken:
            return ["cancelled", cancelling()]

    play = begin(run)
    if first == "scope":
        play.update("stop")
    else:
        play.fire()

    completed(play, ["cancelled" if first == "scope" else "late", 0])


def test_a_time_out_in_the_clean_up_of_a_cancelled_scope_is_a_time_out(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        async with ctx.cancellation_scope() as scope:
            scope.cancel()
            try:
                await ctx.ref_id("a")
            except CancelToken:
                try:
                    await ctx.receive_signal("never", timeout=60)
                except TimeoutError:
                    return "late"

    play = begin(run)
    play.fire()

    completed(play, "late")


def test_a_task_group_whose_scope_is_cancelled_ends_with_the_token(begin: Begin) -> None:
    @publishing
    async def run(ctx: WorkflowContext) -> Anything:
        scope = ctx.cancellation_scope()
        ctx.set_update_handler("stop", scope.cancel)
        try:
            async with scope, asyncio.TaskGroup() as group:
                for name in "ab":
                    group.create_task(waits_for(name)(ctx))  # type: ignore[arg-type]
        except CancelToken:
            return cancelling()

    play = begin(run)
    play.update("stop")

    assert play.outputs == ["-a", "-b"]
    completed(play, 0)
