"""What the tests of combinators share: branches that say what happens to them, and the workflow around them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from holdfast import CancelToken, RefError, WorkflowContext, workflow
from holdfast.core.combinators import Settled
from holdfast.core.refs import Refs
from tests.play import Anything, Begin, Code, Play

Branch = Callable[[WorkflowContext], Awaitable[Any]]


def publishing(code: Code) -> Code:
    """Let a workflow say things on topic ``seen``."""
    return workflow(outputs=["seen"])(code)


def waits_for(name: str, *, undo: bool = False, swallows: bool = False) -> Branch:
    """Make a branch that awaits the ref of its name.

    Args:
        name: It says ``+name`` as it begins, ``-name`` when it is cancelled and ``~name`` when it has cleaned up.
        undo: It awaits ref ``undo-name`` when it is cancelled.
        swallows: It returns ``name kept`` when it is cancelled.
    """

    async def branch(ctx: WorkflowContext) -> Anything:
        ctx.output("seen", f"+{name}")
        try:
            return await ctx.ref_id(name)
        except CancelToken:
            ctx.output("seen", f"-{name}")
            if undo:
                await ctx.ref_id(f"undo-{name}")
                ctx.output("seen", f"~{name}")
            if swallows:
                return f"{name} kept"
            raise

    return branch


def combining(combinator: str, *branches: Branch) -> Code:
    """Make the workflow of one combinator; it returns what that gives, or ``raised`` and what that raises."""

    @publishing
    async def run(ctx: WorkflowContext) -> Anything:
        try:
            given = await getattr(ctx, combinator)(*(branch(ctx) for branch in branches))
        except RefError as error:
            ctx.output("seen", "delivered")
            return ["raised", error.value]
        ctx.output("seen", "delivered")
        return [shown(settled) for settled in given] if combinator == "all_settled" else given

    return run


def shown(settled: Settled) -> list[Any]:
    reason = settled.reason
    return [settled.status, settled.value if reason is None else getattr(reason, "value", type(reason).__name__)]


def begun(begin: Begin, combinator: str, *names: str, **options: bool) -> Play:
    """Start the workflow of one combinator over branches of these names."""
    return begin(combining(combinator, *(waits_for(name, **options) for name in names)))


def refs_of(play: Play) -> Refs:
    assert play.run.refs is not None
    return play.run.refs


def cancelling() -> int:
    """Give how often the current task has been cancelled and nobody has taken that back."""
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


def completed(play: Play, expected: object) -> None:
    """Check how a run has ended, and that it ends so again when it is replayed."""
    assert play.ended, play.run.waits_for()
    assert play.result == expected
    assert play.replayed().outcome == play.run.outcome
