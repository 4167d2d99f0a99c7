"""Workflows that other services start, answer and hear of, by topics alone."""

from __future__ import annotations

from typing import Any

from holdfast import WorkflowContext, workflow


@workflow(outputs=["questions"])
async def survey(ctx: WorkflowContext, question: str) -> Any:  # noqa: ANN401 - whatever the answer is
    """Ask, and give the answer."""
    answer = ctx.ref("answer")
    ctx.output_json("questions", {"question": question, "thread": ctx.thread_key, "ref": answer.id}, key=ctx.thread_key)
    return await answer


@workflow
async def relay(ctx: WorkflowContext, key: str) -> None:
    """Start a survey by a record, and answer a mailbox of it by another."""
    ctx.output("workflow-resume", "new:3", key=key)
    for number in range(3):
        ctx.output_json("workflow-resume", {"ref": "mail", "value": number}, key=key)


@workflow
async def mailbox(ctx: WorkflowContext, count: int) -> list[Any]:
    """Take some answers that are sent to one id."""
    return sorted([await ctx.ref_id("mail") for _ in range(count)])


@workflow(outputs=["workflow-scheduler"])
async def patient(ctx: WorkflowContext, delay_ms: int) -> str:
    """Wait for a timer of the scheduler's topic."""
    timer = ctx.ref("timer")
    ctx.output("workflow-scheduler", str(delay_ms), key=timer.key)
    await timer
    return "rang"
