"""What the tests of asyncio's primitives share: a step to wait for, and the check of an end by replay."""

from holdfast import WorkflowContext
from tests.play import Anything, Play


async def step(ctx: WorkflowContext, name: str) -> Anything:
    return await ctx.execute_activity(name)


def completed(play: Play, expected: object) -> None:
    """Check how a run has ended, and that it ends so again when it is replayed."""
    assert play.ended, play.open
    assert play.result == expected
    again = play.replayed()
    assert again.outcome == play.run.outcome
