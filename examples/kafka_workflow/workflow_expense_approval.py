"""Ask a person for a decision, remind them once, and escalate if they still have not decided.

Each request carries the id of a ref, which the decision has to name, and each has a timer of its own: a decision calls
off the timer, and the timer's end makes an end of the request, so that a decision on it that comes later is dropped.

Started by a record of ``workflow-resume``:
``new:{"amount": 4200, "requester": "alice", "approverEmail": "lead@example.com", "approvalTimeoutMS": 250}``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field

from holdfast import CancelToken, WorkflowContext, workflow

Stage = Literal["requested", "reminded"]
Record = dict[str, Any]

ASKING: dict[Stage, str] = {"requested": "expense-approval-request", "reminded": "expense-approval-reminder"}
APPROVED, REJECTED, ESCALATED = (f"expense-approval-{end}" for end in ("approved", "rejected", "escalated"))


class Expense(BaseModel, frozen=True):
    """What is to be approved, by whom, and how long each request waits."""

    amount: int | float
    requester: str
    approver_email: str = Field(alias="approverEmail")
    description: str | None = None
    approval_timeout_ms: int = Field(300, alias="approvalTimeoutMS")
    reminder_timeout_ms: int = Field(300, alias="reminderTimeoutMS")


@dataclass(frozen=True)
class Decision:
    """The value that answers a request."""

    type: Literal["approve", "reject"]
    decidedBy: str  # noqa: N815 - the field of the record
    comment: str | None = None


def described(ctx: WorkflowContext, expense: Expense, **more: object) -> Record:
    """Say which expense it is, and more; what is not known is left out."""
    record = {
        "expenseId": ctx.thread_key,
        "amount": expense.amount,
        "requester": expense.requester,
        "approverEmail": expense.approver_email,
        "description": expense.description,
        **more,
    }
    return {field: value for field, value in record.items() if value is not None}


async def decided(ctx: WorkflowContext, expense: Expense, stage: Stage, milliseconds: int) -> Decision:
    """Ask for the decision."""
    answer = ctx.ref(f"approval-{stage}", type=Decision)
    request = described(ctx, expense, decisionRef=answer.id, stage=stage, timeoutMS=milliseconds)
    ctx.output_json(ASKING[stage], request)
    decision: Decision = await answer
    return decision


async def timed_out(ctx: WorkflowContext, stage: Stage, milliseconds: int) -> None:
    """Wait until the scheduler says that the time is over."""
    over = ctx.ref(f"scheduler-{stage}")
    ctx.output("workflow-scheduler", str(milliseconds), key=over.key)
    try:
        await over
    except CancelToken:
        ctx.output("workflow-scheduler", "0", key=over.key)
        raise


def settled(ctx: WorkflowContext, expense: Expense, stage: Stage, decision: Decision) -> Record:
    """Tell everybody what was decided."""
    status, topic = ("approved", APPROVED) if decision.type == "approve" else ("rejected", REJECTED)
    said = described(ctx, expense, stage=stage, decidedBy=decision.decidedBy, comment=decision.comment)
    result = {"status": status, **said}
    ctx.output_json(topic, result)
    return result


@workflow(
    name="workflow-expense-approval",
    outputs=["workflow-scheduler", *ASKING.values(), APPROVED, REJECTED, ESCALATED],
)
async def approval(ctx: WorkflowContext, expense: Expense) -> Record:
    """Get a decision at the first asking or at the second, or pass the expense on."""
    stages: list[tuple[Stage, int]] = [
        ("requested", expense.approval_timeout_ms),
        ("reminded", expense.reminder_timeout_ms),
    ]
    for stage, milliseconds in stages:
        decision: Decision | None = await ctx.race(
            decided(ctx, expense, stage, milliseconds), timed_out(ctx, stage, milliseconds)
        )
        if decision is not None:
            return settled(ctx, expense, stage, decision)
    result = {"status": "escalated", **described(ctx, expense, stage="reminded")}
    ctx.output_json(ESCALATED, result)
    return result


workflows = [approval]
