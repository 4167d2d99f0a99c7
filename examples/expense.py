"""Have an expense approved or rejected, or let it time out: the smallest example with a person in it.

The person is whoever sends the signal:

    POST /v1/workflows/expense/runs                   {"id": "expense-1", "input": ...}    (examples/data/expense.json)
    POST /v1/runs/expense-1/signals/decision          {"type": "approve", "by": "finance"}  or  {"type": "reject", ...}
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from examples import ledger
from holdfast import ActivityContext, WorkflowContext, activity, workflow


@dataclass(frozen=True)
class Expense:
    """Who spent what on what."""

    requester: str
    amount_cents: int
    reason: str
    decide_within: timedelta = timedelta(days=7)


@dataclass(frozen=True)
class Decision:
    """The payload of signal ``decision``."""

    type: Literal["approve", "reject"]
    by: str


@dataclass(frozen=True)
class ExpenseResult:
    """How it ended."""

    status: Literal["COMPLETED", "REJECTED", "TIMED_OUT"]
    expense_id: str
    amount_cents: int


@activity
def file_expense(expense: Expense, ctx: ActivityContext) -> None:
    """Put the expense before those who decide."""
    ledger.record(ctx.workflow_id, f"file an expense of {expense.amount_cents} cents", ctx.idempotency_key)


@activity
def pay_expense(expense: Expense, ctx: ActivityContext) -> None:
    """Pay the money back."""
    ledger.record(ctx.workflow_id, f"pay {expense.amount_cents} cents to {expense.requester}", ctx.idempotency_key)


@workflow
async def expense(ctx: WorkflowContext, claim: Expense) -> ExpenseResult:
    """File the claim, wait for the decision, and pay if it is approved. No answer in time is an answer too."""

    def ended(status: Literal["COMPLETED", "REJECTED", "TIMED_OUT"]) -> ExpenseResult:
        return ExpenseResult(status, ctx.workflow_id, claim.amount_cents)

    ctx.set_attributes(requester=claim.requester)
    await ctx.execute_activity(file_expense, claim)
    try:
        decision: Decision = await ctx.receive_signal("decision", timeout=claim.decide_within, type=Decision)
    except TimeoutError:
        return ended("TIMED_OUT")
    if decision.type == "reject":
        return ended("REJECTED")
    await ctx.execute_activity(pay_expense, claim)
    return ended("COMPLETED")


workflows = (expense,)
activities = (file_expense, pay_expense)
