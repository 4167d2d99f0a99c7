"""Let a model answer customers: it may look orders up and draft refunds; large ones wait for a person.

The model only proposes. What it asks for is carried out by activities, each recorded and tried again like any other;
what it makes up is refused by the tool and told to it, and it has so many turns. It never moves money: it drafts a
refund, a person approves of it where it is large, and the workflow pays. If the model gets nowhere, a person answers.

Out of the box the model is a stand-in: a few rules, the same each time. ``HOLDFAST_EXAMPLES_MODEL`` names a
conversation component of the Dapr sidecar beside the service, and with it a real model.

    POST /v1/workflows/support_agent/runs             {"id": "ticket-1", "input": ...}     (examples/data/ticket.json)
    GET  /v1/runs/ticket-1/queries/stack              the signal that it waits for: human-task-...
    POST /v1/runs/ticket-1/signals/human-task-...     {"approved": true, "by": "team lead"}
"""

import json
import os
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from examples import ledger
from holdfast import ActivityContext, ActivityError, NonRetryableError, RetryPolicy, WorkflowContext, activity, workflow
from holdfast.activities import LlmMessage, LlmReply, LlmRequest, LlmToolCall, llm_activity, tool_activity
from holdfast.patterns import human_task

MODEL = os.environ.get("HOLDFAST_EXAMPLES_MODEL", "")
SYSTEM = "You answer customers of a shop. Look orders up before you say anything of them. Refunds are in cents."


class Ticket(BaseModel):
    """What a customer wrote, and how far the model may go."""

    customer: str
    text: str
    approve_over_cents: int = 2_000
    decide_within: timedelta = timedelta(days=2)
    turns: int = Field(default=8, ge=1, le=50)


@dataclass(frozen=True)
class Order:
    """What the shop knows of an order."""

    item: str
    paid_cents: int
    state: str


@dataclass(frozen=True)
class Refund:
    """A refund that could be paid; nothing has been paid yet."""

    order_id: str
    cents: int
    reason: str


class Decision(BaseModel):
    """What a person says of a refund."""

    approved: bool
    by: str


class Answer(BaseModel):
    """What a person writes where the model got nowhere."""

    text: str
    by: str


@dataclass(frozen=True)
class Outcome:
    """How the ticket ended."""

    state: Literal["answered", "answered by a person"]
    text: str
    turns: int
    refunded_cents: int = 0


ORDERS = {
    "A1001": Order("kettle", 4_990, "delivered"),
    "A1002": Order("teapot", 1_490, "delivered"),
    "A1003": Order("toaster", 3_990, "on its way"),
}


@tool_activity
def look_up_order(order_id: Annotated[str, Field(description="such as A1001")]) -> Order:
    """Tell what was ordered, what was paid, and where it is."""
    return _order(order_id)


@tool_activity
def draft_refund(order_id: str, cents: Annotated[int, Field(ge=1)], reason: str) -> Refund:
    """Draft a refund for an order, in whole or in part. It is paid once it has been approved of."""
    order = _order(order_id)
    if cents > order.paid_cents:
        raise NonRetryableError(f"only {order.paid_cents} cents were paid for {order_id}")
    return Refund(order_id, cents, reason)


def _order(order_id: str) -> Order:
    if order_id not in ORDERS:
        raise NonRetryableError(f"there is no order {order_id!r}")
    return ORDERS[order_id]


TOOLS: dict[str, Callable[..., Any]] = {"look_up_order": look_up_order, "draft_refund": draft_refund}


@activity(retry=RetryPolicy(max_attempts=None))
def pay_back(refund: Refund, ctx: ActivityContext) -> None:
    """Pay, once for each call, however often it is asked."""
    ledger.record(ctx.workflow_id, f"pay back {refund.cents} cents for {refund.order_id}", ctx.idempotency_key)


async def stand_in_model(request: LlmRequest) -> LlmReply:
    """Play a model by rules: look the order up, draft a refund if one is wanted, say how it went.

    Like a real one it errs: it writes the price in euros first, and in cents once the tool has refused that.
    """
    text = next(message.content for message in request.messages if message.role == "user")
    found = re.search(r"\b[A-Z]\d{4}\b", text)
    last = request.messages[-1]
    order_id, wants_money = found and found[0], "money back" in text
    if order_id is None:
        return LlmReply("Which order is it about?", finish_reason="stop")
    if last.role == "user":
        return _wish(request, "look_up_order", order_id=order_id)
    if last.name == "look_up_order" and not last.content.startswith("error"):
        order = json.loads(last.content)
        if not wants_money:
            return LlmReply(f"Your {order['item']} is {order['state']}.", finish_reason="stop")
        return _wish(request, "draft_refund", order_id=order_id, cents=order["paid_cents"] / 100, reason=text)
    if "cents: Input should be a valid integer" in last.content:
        euros = json.loads(request.messages[-2].tool_calls[0].arguments)["cents"]
        return _wish(request, "draft_refund", order_id=order_id, cents=round(euros * 100), reason=text)
    return LlmReply(f"About order {order_id}: {last.content}", finish_reason="stop")


def _wish(request: LlmRequest, tool: str, **arguments: object) -> LlmReply:
    call = LlmToolCall(f"call-{len(request.messages)}", tool, json.dumps(arguments))
    return LlmReply("", (call,), "tool_calls")


def choose_model(component: str) -> Callable[..., Coroutine[Any, Any, LlmReply]]:
    """Give the model behind a conversation component, or the stand-in where none is named, under one name."""
    if component:
        return llm_activity(component, name="ask_model", system=SYSTEM, tools=[look_up_order, draft_refund])
    return activity(name="ask_model")(stand_in_model)


ask_model = choose_model(MODEL)


@workflow(outputs=["approvals", "escalations"])
async def support_agent(ctx: WorkflowContext, ticket: Ticket) -> Outcome:
    """Let the model and its tools take turns, and let people decide what the model may not."""
    conversation = [LlmMessage("user", ticket.text)]
    paid: dict[str, int] = {}
    ctx.set_attributes(customer=ticket.customer)
    ctx.set_query_handler("conversation", lambda: [f"{each.role}: {each.content}" for each in conversation])
    for turn in range(1, ticket.turns + 1):
        reply = await ctx.execute_activity(ask_model, LlmRequest(conversation))
        conversation.append(reply.message())
        if not reply.tool_calls:
            return Outcome("answered", reply.text, turn, sum(paid.values()))
        for call in reply.tool_calls:
            result = await _carry_out(ctx, ticket, call, paid)
            conversation.append(call.answer(result))  # at once: queries look at it
    answer = await human_task(ctx, "escalations", {"ticket": ticket, "turns": ticket.turns}, type=Answer)
    return Outcome("answered by a person", answer.text, ticket.turns, sum(paid.values()))


async def _carry_out(ctx: WorkflowContext, ticket: Ticket, call: LlmToolCall, paid: dict[str, int]) -> object:
    """Do what the model asks for, and give what it is to be told."""
    if call.name not in TOOLS:
        return f"error: there is no tool {call.name!r}"
    try:
        result = await ctx.execute_activity(TOOLS[call.name], call.arguments)
    except ActivityError as error:
        return f"error: {error.cause.message}"  # also of arguments that do not fit: the model is to do better
    if not isinstance(result, Refund):
        return result
    if result.order_id in paid:
        return f"error: {paid[result.order_id]} cents have been paid back for {result.order_id} before"
    refused = await _refusal(ctx, ticket, result)
    if refused:
        return refused
    paid[result.order_id] = result.cents
    await ctx.execute_activity(pay_back, result)
    return f"{result.cents} cents have been paid back"


async def _refusal(ctx: WorkflowContext, ticket: Ticket, refund: Refund) -> str:
    """Ask a person about a refund that is large, and say why it is not to be paid; nothing if it is."""
    if refund.cents <= ticket.approve_over_cents:
        return ""
    try:
        decision = await human_task(ctx, "approvals", refund, timeout=ticket.decide_within, type=Decision)
    except TimeoutError:
        return f"nobody approved of it within {ticket.decide_within}"
    return "" if decision.approved else f"{decision.by} has refused it"


workflows = (support_agent,)
activities = (ask_model, look_up_order, draft_refund, pay_back)
