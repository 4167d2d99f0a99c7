"""Work that is started in scopes: it goes on beside whoever started it, and is cancelled with the scope."""

import asyncio
from typing import Any

import pytest

from holdfast import CancelToken, RunStatus, WorkflowContext
from tests.play import Anything, Begin
from tests.unit.core.combining import cancelling, completed, publishing, waits_for


def test_what_is_started_in_a_scope_goes_on_beside_and_is_cancelled_with_it(begin: Begin) -> None:
    @publishing
    async def run(ctx: WorkflowContext) -> Anything:
        scope = ctx.cancellation_scope()
        started = [scope.start(waits_for(name)(ctx)) for name in "ab"]
        await ctx.ref_id("go")
        scope.cancel()
        await scope.unwound()
        return [work.cancelled() for work in started]

    play = begin(run)
    assert play.outputs == ["+a", "+b"]
    play.resolve("a")
    play.resolve("go")

    assert play.outputs == ["-b"]
    completed(play, [False, True])


@pytest.mark.parametrize("carried_out", [False, True])
def test_what_is_started_in_a_cancelled_scope_takes_its_first_step_and_is_cancelled(
    begin: Begin, *, carried_out: bool
) -> None:
    @publishing
    async def run(ctx: WorkflowContext) -> Anything:
        scope = ctx.cancellation_scope()
        scope.cancel()
        if carried_out:
            await asyncio.sleep(0)
        work = scope.start(waits_for("a", undo=True)(ctx))
        await scope.unwound()
        return work.cancelled()

    play = begin(run)
    assert play.outputs == ["+a", "-a"]
    play.resolve("undo-a")

    assert play.outputs == ["~a"]
    completed(play, True)  # noqa: FBT003 - the result of the run


@pytest.mark.parametrize("depth", [0, 1, 4])
def test_work_that_is_started_in_a_scope_and_awaited_in_its_body_is_cancelled_once(begin: Begin, depth: int) -> None:
    """It is reached from both sides; the clean-up that the first token began is not interrupted by the second."""

    @publishing
    async def run(ctx: WorkflowContext) -> None:
        scope = ctx.cancellation_scope()
        ctx.set_update_handler("stop", scope.cancel)
        async with scope:
            awaited: asyncio.Future[Any] = scope.start(waits_for("a", undo=True)(ctx))
            for _ in range(depth):
                awaited = ctx.all(awaited)
            await awaited

    play = begin(run)
    play.update("stop")
    assert (play.outputs, play.ended) == (["-a"], False)
    play.resolve("undo-a")

    assert play.outputs == ["~a"]
    assert play.status is RunStatus.CANCELED


def test_unwound_waits_for_inner_scopes_and_for_what_is_started_meanwhile(begin: Begin) -> None:
    @publishing
    async def run(ctx: WorkflowContext) -> Anything:
        outer = ctx.cancellation_scope()

        async def starts_more() -> None:
            async with outer:
                ctx.cancellation_scope().start(waits_for("inner")(ctx))
            await ctx.ref_id("a")
            outer.start(waits_for("b")(ctx))

        async def waits_for_itself() -> str:
            await outer.unwound()
            return "unwound"

        outer.start(starts_more())
        return await outer.start(waits_for_itself())

    play = begin(run)
    for ref in ("inner", "a", "b"):
        assert not play.ended
        play.resolve(ref)

    completed(play, "unwound")


def test_what_cleans_up_in_a_cancelled_scope_is_cancelled_by_the_scope_around_that(begin: Begin) -> None:
    """They are two cancellations, of which the task sees each once; it takes both back as it leaves the scopes."""

    @publishing
    async def run(ctx: WorkflowContext) -> Anything:
        inner = outer = ctx.cancellation_scope()

        def stop(which: str) -> None:
            (inner if which == "inner" else outer).cancel()

        ctx.set_update_handler("stop", stop)
        try:
            async with outer:
                inner = ctx.cancellation_scope()
                beside = inner.start(waits_for("beside", undo=True)(ctx))
                async with inner:
                    await waits_for("a", undo=True)(ctx)
        except CancelToken:
            return [beside.done(), cancelling()]

    play = begin(run)
    play.update("stop", "inner", id="1")
    assert play.outputs == ["-beside", "-a"]
    assert not play.ended
    play.update("stop", "outer", id="2")

    assert play.outputs == []
    completed(play, [True, 0])


def test_scopes_that_nobody_has_any_more_take_no_room(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        async with ctx.cancellation_scope() as outer:
            for _ in range(1_000):
                async with ctx.cancellation_scope():
                    pass
        return len(outer._inner)  # noqa: SLF001 - what it holds cannot be seen from outside

    play = begin(run)

    assert play.result < 100
