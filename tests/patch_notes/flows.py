"""What the service runs in these tests, in process and in processes of their own."""

from __future__ import annotations

from holdfast import WorkflowContext, workflow
from tests.service.flows import slow, works

__all__ = ["inbox", "slow", "works"]


@workflow
async def inbox(ctx: WorkflowContext) -> None:
    """Take in whatever comes, in the order in which it comes."""
    taken: list[object] = []
    ctx.set_query_handler("taken", lambda: taken)
    async for value in ctx.signal_channel("n"):
        taken.append(value)  # noqa: PERF401 - queries see how far it is
