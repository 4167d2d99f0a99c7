"""Two things to do with a timer: to remind somebody when work is slow, and to count down to a deadline that moves.

A timer is a record to the scheduler, whose key says what to send back when the time has come: here a whole event, to
the ref ``main``, from which the thread takes everything that happens to it, one after the other. A timer that was
called off may fire all the same, if both happen at once; so each deadline has a number, and old ones are ignored.

Started by ``new:{"kind": "processOrder", "sendDelayedEmailTimeoutMS": 100}`` or
``new:{"kind": "countdown", "initialDelayMS": 1000}``.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, Field

from holdfast import WorkflowContext, workflow

SCHEDULER = "workflow-scheduler"
PROCESS_ORDER = "temporal-timer-examples-process-order"
EMAIL = "temporal-timer-examples-send-notification-email"
COUNTDOWN_STATE = "temporal-timer-examples-countdown-state"
COUNTDOWN_DONE = "temporal-timer-examples-countdown-done"

SLOW = "Order processing is taking longer than expected, but don't worry—the job is still running!"

Event = dict[str, Any]
"""Its ``type`` says what has happened, or what somebody wants."""


class OrderInput(BaseModel, frozen=True):
    """How long an order may take before the customer is told that it is slow."""

    kind: Literal["processOrder"]
    order_processing_ms: int = Field(300, alias="orderProcessingMS")
    reminder_ms: int = Field(100, alias="sendDelayedEmailTimeoutMS")


class CountdownInput(BaseModel, frozen=True):
    """How far away the deadline is at first."""

    kind: Literal["countdown"]
    initial_delay_ms: int = Field(1000, alias="initialDelayMS")


def schedule(ctx: WorkflowContext, milliseconds: int, event: Event) -> str:
    """Have an event sent to ``main`` later, and give the address by which it can be called off."""
    record = json.dumps({"ref": "main", "value": event}, separators=(",", ":"))
    address = f"{ctx.thread_key}|{record}"
    ctx.output(SCHEDULER, str(milliseconds or "+0"), key=address)  # a plain 0 calls off
    return address


async def process_order(ctx: WorkflowContext, order: OrderInput) -> str:
    """Let an order be processed, and say so if that takes long."""
    ctx.output_json(PROCESS_ORDER, {"ref": "main", "value": {"type": "processed"}})
    reminder: str | None = schedule(ctx, order.reminder_ms, {"type": "timeout"})
    while True:
        match await ctx.ref_id("main"):
            case {"type": "processed"}:
                if reminder:
                    ctx.output(SCHEDULER, "0", key=reminder)
                return "Order completed!"
            case {"type": "timeout"} if reminder:
                reminder = None
                limits = {
                    "orderProcessingMS": order.order_processing_ms,
                    "sendDelayedEmailTimeoutMS": order.reminder_ms,
                }
                ctx.output_json(EMAIL, {"message": SLOW} | limits)


async def countdown(ctx: WorkflowContext, asked: CountdownInput) -> dict[str, str]:
    """Wait for a deadline that anybody may move."""
    delay, number = asked.initial_delay_ms, 0
    timer = schedule(ctx, delay, {"type": "timeout", "timerId": number})
    while True:
        match await ctx.ref_id("main"):
            case {"type": "getTimeLeft", "reply": reply}:
                ctx.output_json(COUNTDOWN_STATE, {"reply": reply, "timeLeftMS": delay})
            case {"type": "setDeadline", "delayMS": int(later)}:
                ctx.output(SCHEDULER, "0", key=timer)
                delay, number = later, number + 1
                timer = schedule(ctx, delay, {"type": "timeout", "timerId": number})
            case {"type": "timeout", "timerId": fired} if fired == number:
                done = {"status": "done"}
                ctx.output_json(COUNTDOWN_DONE, done)
                return done


@workflow(name="timer-examples", outputs=[SCHEDULER, PROCESS_ORDER, EMAIL, COUNTDOWN_STATE, COUNTDOWN_DONE])
async def timer_examples(ctx: WorkflowContext, asked: OrderInput | CountdownInput) -> str | dict[str, str]:
    """Process an order, or count down."""
    if isinstance(asked, OrderInput):
        return await process_order(ctx, asked)
    return await countdown(ctx, asked)


workflows = [timer_examples]
