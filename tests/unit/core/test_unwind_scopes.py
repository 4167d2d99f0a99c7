"""A run that leaves memory within scopes, combinators and shields is taken apart without its handlers running."""

from collections.abc import AsyncIterator

import pytest

from holdfast import CancelToken, WorkflowContext
from tests.play import Begin

handled: list[str] = []


async def branch(ctx: WorkflowContext, name: str) -> None:
    try:
        async with ctx.cancellation_scope() as scope:
            scope.start(ctx.shield(ctx.ref_id("beside")))
            await ctx.race(ctx.ref_id(name), takes_numbers(ctx))
    except (Exception, CancelToken) as error:  # noqa: BLE001 - that there is none is what is tested
        handled.append(repr(error))


async def takes_numbers(ctx: WorkflowContext) -> None:
    try:
        async for number in numbers(ctx):
            await ctx.ref_id(f"number-{number}")
    except (Exception, CancelToken) as error:  # noqa: BLE001 - likewise
        handled.append(repr(error))


async def numbers(ctx: WorkflowContext) -> AsyncIterator[int]:
    try:
        async with ctx.cancellation_scope():
            for number in range(9):
                yield number
    except (Exception, CancelToken) as error:  # noqa: BLE001 - likewise
        handled.append(repr(error))


async def waits_everywhere(ctx: WorkflowContext) -> None:
    await ctx.all(branch(ctx, "a"), ctx.any(branch(ctx, "b")), ctx.all_settled(branch(ctx, "c")))


def test_a_run_that_leaves_memory_runs_no_handler(begin: Begin, caplog: pytest.LogCaptureFixture) -> None:
    handled.clear()
    play = begin(waits_everywhere)
    play.resolve("number-0")
    waiting = play.run.waits_for()
    assert len(waiting) == 5
    play.reload()
    assert play.run.waits_for() == waiting
    play.run.close()

    assert handled == []
    assert caplog.records == []
