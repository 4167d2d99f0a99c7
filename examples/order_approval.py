"""Get an order approved by a person, then charge the card.

A person may take days, so the run waits for a signal, sends a reminder each day, and gives up in the end. Meanwhile
the order can be looked at (query ``order``) and its quantity changed (update ``quantity``). The payment gateway is a
machine that has bad moments, so ``charge`` is tried several times; but a card that was declined stays declined.

    POST /v1/workflows/order_approval/runs            {"id": "order-1", "input": ...}      (examples/data/order.json)
    GET  /v1/runs/order-1/queries/order
    POST /v1/runs/order-1/updates/quantity            5
    POST /v1/runs/order-1/signals/approval            {"approved": true, "by": "sales"}
"""

import asyncio
from datetime import timedelta
from typing import Any, Literal

from pydantic import BaseModel, Field

from examples import ledger
from holdfast import ActivityContext, RetryPolicy, WorkflowContext, activity, workflow


class Order(BaseModel):
    """What is ordered. The pretend gateway knows three cards: ``ok``, ``declined``, and ``busy`` (works in the end)."""

    sku: str
    quantity: int = Field(ge=1, le=100)
    unit_price_cents: int = Field(ge=1)
    card: Literal["ok", "busy", "declined"] = "ok"
    remind_every: timedelta = timedelta(days=1)
    decide_within: timedelta = timedelta(days=3)


class Approval(BaseModel):
    """What the approver says: the payload of signal ``approval``."""

    approved: bool
    by: str


class Payment(BaseModel):
    """What to take from which card."""

    card: str
    amount_cents: int


class OrderResult(BaseModel):
    """How the order ended."""

    state: Literal["charged", "rejected", "expired"]
    quantity: int
    amount_cents: int = 0
    receipt: str | None = None
    decided_by: str | None = None


class GatewayBusyError(Exception):
    """The gateway has a bad moment: try again."""


class CardDeclinedError(Exception):
    """The bank said no, and will say so again."""


@activity(
    retry=RetryPolicy(
        max_attempts=5,
        initial_interval=timedelta(milliseconds=200),
        backoff_coefficient=2.0,
        max_interval=timedelta(seconds=5),
        non_retryable=(CardDeclinedError,),
    ),
    timeout=timedelta(seconds=30),
)
def charge(payment: Payment, ctx: ActivityContext) -> str:
    """Charge a card, and give the receipt.

    Every attempt of one call has the same idempotency key, so the gateway charges once, however often it is asked.
    """
    if payment.card == "declined":
        raise CardDeclinedError("the bank declined the card")
    if payment.card == "busy" and ctx.attempt < 3:
        raise GatewayBusyError("the gateway is busy")
    ledger.record(ctx.workflow_id, f"charge {payment.amount_cents} cents", ctx.idempotency_key)
    return f"receipt {ctx.idempotency_key}"


@activity
def send_reminder(number: int, ctx: ActivityContext) -> None:
    """Remind the approver."""
    ledger.record(ctx.workflow_id, f"send reminder {number}", ctx.idempotency_key)


@workflow
async def order_approval(ctx: WorkflowContext, order: Order) -> OrderResult:
    """Wait for a decision, with reminders; charge the card if it is yes."""
    state = "waiting for approval"
    quantity = order.quantity

    def show() -> dict[str, Any]:
        return {"state": state, "quantity": quantity, "amount_cents": quantity * order.unit_price_cents}

    def check_quantity(wanted: int) -> None:
        """Refuse a change before anything of it is recorded; what this raises is the caller's answer."""
        if state != "waiting for approval":
            raise ValueError(f"the order is {state}, its quantity is fixed")
        if not 1 <= wanted <= 100:
            raise ValueError(f"the quantity must be between 1 and 100, not {wanted}")

    def change_quantity(wanted: int) -> dict[str, Any]:
        nonlocal quantity
        quantity = wanted
        return show()

    ctx.set_query_handler("order", show)
    ctx.set_update_handler("quantity", change_quantity, validator=check_quantity)
    ctx.set_attributes(sku=order.sku)

    try:
        async with asyncio.timeout(order.decide_within.total_seconds()):
            approval = await _decision(ctx, order.remind_every)
    except TimeoutError:
        state = "expired"
        return OrderResult(state="expired", quantity=quantity)
    if not approval.approved:
        state = "rejected"
        return OrderResult(state="rejected", quantity=quantity, decided_by=approval.by)

    state = "being charged"
    payment = Payment(card=order.card, amount_cents=quantity * order.unit_price_cents)
    receipt = await ctx.execute_activity(charge, payment)
    state = "charged"
    return OrderResult(
        state="charged", quantity=quantity, amount_cents=payment.amount_cents, receipt=receipt, decided_by=approval.by
    )


async def _decision(ctx: WorkflowContext, remind_every: timedelta) -> Approval:
    """Wait for the decision for as long as it takes; whoever calls sets the limit."""
    reminders = 0
    while True:
        try:
            approval: Approval = await ctx.receive_signal("approval", timeout=remind_every, type=Approval)
        except TimeoutError:
            reminders += 1
            await ctx.execute_activity(send_reminder, reminders)
        else:
            return approval


workflows = (order_approval,)
activities = (charge, send_reminder)
