"""Pay an expense if it is approved in time: a decision and a timer race, and the loser is called off.

The decision is the value of a ref with an id of its own choosing, ``approval``, so whoever decides needs to know no
more than the expense's key: ``{"ref": "approval", "value": {"type": "approve", "approvedBy": "manager"}}``, or
``{"type": "reject", "rejectedBy": "manager"}``.

Started by a record of ``workflow-resume``:
``new:{"amount": 1200, "reason": "client dinner", "requester": "alice", "approvalTimeoutMS": 200}``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from holdfast import CancelToken, WorkflowContext, workflow

SCHEDULER = "workflow-scheduler"


@dataclass(frozen=True)
class Expense:
    """Who wants how much back for what, and how long there is to decide."""

    amount: int | float
    reason: str
    requester: str
    approvalTimeoutMS: int = 500  # noqa: N815 - the field of the record


@dataclass(frozen=True)
class Approval:
    """A decision for the expense."""

    type: Literal["approve"]
    approvedBy: str  # noqa: N815 - the field of the record


@dataclass(frozen=True)
class Rejection:
    """A decision against it."""

    type: Literal["reject"]
    rejectedBy: str  # noqa: N815 - the field of the record


Decision = Approval | Rejection


async def decided(ctx: WorkflowContext) -> Decision:
    """Wait for the decision."""
    decision: Decision = await ctx.ref_id("approval", type=Decision)
    return decision


async def timed_out(ctx: WorkflowContext, milliseconds: int) -> None:
    """Wait until the scheduler says that the time is over."""
    over = ctx.ref("scheduler")
    ctx.output(SCHEDULER, str(milliseconds), key=over.key)
    try:
        await over
    except CancelToken:
        ctx.output(SCHEDULER, "0", key=over.key)
        raise


@workflow(name="expense", outputs=[SCHEDULER, "temporal-expense-create", "temporal-expense-pay"])
async def expense(ctx: WorkflowContext, claim: Expense) -> dict[str, Any]:
    """File the claim, wait for the decision, and have it paid if it is approved."""
    about = {"expenseId": ctx.thread_key, "amount": claim.amount}
    ctx.output_json("temporal-expense-create", {**about, "reason": claim.reason, "requester": claim.requester})
    decision: Decision | None = await ctx.race(decided(ctx), timed_out(ctx, claim.approvalTimeoutMS))
    match decision:
        case Approval():
            ctx.output_json("temporal-expense-pay", {**about, "approvedBy": decision.approvedBy})
            status = "COMPLETED"
        case Rejection():
            status = "REJECTED"
        case None:
            status = "TIMED_OUT"
    return {"status": status, **about}


workflows = [expense]
