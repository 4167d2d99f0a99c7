"""An order of food goes from stage to stage, each with a time limit; what is not delivered in time is refunded.

Everything that happens comes to the ref ``main``: what the driver says, the end of a stage's time, and queries, which
are answered in every stage. What belongs to another stage is ignored.

Started by ``new:{"productId": 1}``; the driver sends ``{"type": "pickedUp"}``, then ``{"type": "delivered"}``, and who
wants to know how things stand ``{"type": "query"}``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from holdfast import WorkflowContext, workflow

SCHEDULER = "workflow-scheduler"
CHARGE = "temporal-food-delivery-charge-customer"
REFUND = "temporal-food-delivery-refund-order"
NOTIFICATION = "temporal-food-delivery-push-notification"
STATUS = "temporal-food-delivery-status"

PRODUCTS = {number: {"id": number, "name": name} for number, name in enumerate(["Burger", "Pizza", "Salad"], start=1)}

ENDS_WITH = {"pickup": "pickedUp", "delivery": "delivered"}
"""What the driver says at the end of a stage; only time ends the others."""


class OrderInput(BaseModel, frozen=True):
    """What is ordered, and how long each stage may take."""

    product_id: int = Field(alias="productId")
    pickup_timeout_ms: int = Field(100, alias="pickupTimeoutMS")
    delivery_timeout_ms: int = Field(100, alias="deliveryTimeoutMS")
    rating_delay_ms: int = Field(50, alias="ratingDelayMS")


@dataclass
class Order:
    """How far an order is."""

    product: dict[str, Any]
    state: str = "Charging card"
    delivered_at: str | None = None

    def status(self) -> dict[str, Any]:
        """Say how far it is, as a record."""
        delivered = {"deliveredAt": self.delivered_at} if self.delivered_at else {}
        return {"productId": self.product["id"], "state": self.state} | delivered


def schedule(ctx: WorkflowContext, stage: str, milliseconds: int) -> str:
    """Have the end of a stage's time sent to ``main``, and give the address by which it can be called off."""
    over = {"ref": "main", "value": {"type": "timeout", "stage": stage}}
    address = f"{ctx.thread_key}|{json.dumps(over, separators=(',', ':'))}"
    ctx.output(SCHEDULER, str(milliseconds or "+0"), key=address)  # a plain 0 calls off
    return address


async def in_time(ctx: WorkflowContext, order: Order, stage: str, milliseconds: int) -> bool:
    """Wait for the end of a stage, and answer queries meanwhile; False where its time is over first."""
    timer = schedule(ctx, stage, milliseconds)
    while True:
        match await ctx.ref_id("main"):
            case {"type": "query"}:
                ctx.output_json(STATUS, order.status())
            case {"type": "timeout", "stage": over} if over == stage:
                return False
            case {"type": str(said)} if said == ENDS_WITH.get(stage):
                ctx.output(SCHEDULER, "0", key=timer)
                return True


def notify(ctx: WorkflowContext, message: str) -> None:
    """Send a message to the customer's phone."""
    ctx.output(NOTIFICATION, message)


def refund(ctx: WorkflowContext, order: Order, why: str) -> None:
    """Give the money back, and tell the customer why."""
    order.state = "Refunding"
    ctx.output_json(REFUND, order.product)
    notify(ctx, f"⚠️ {why}. Your payment has been refunded.")


@workflow(name="food-delivery", outputs=[SCHEDULER, CHARGE, REFUND, NOTIFICATION, STATUS])
async def food_delivery(ctx: WorkflowContext, asked: OrderInput) -> dict[str, Any]:
    """Charge for an order, see it delivered, and ask how it was."""
    if asked.product_id not in PRODUCTS:
        message = f"Product {asked.product_id} not found"
        raise LookupError(message)
    order = Order(PRODUCTS[asked.product_id])
    ctx.output_json(CHARGE, order.product)
    order.state = "Paid"
    if not await in_time(ctx, order, "pickup", asked.pickup_timeout_ms):
        refund(ctx, order, "No drivers were available to pick up your order")
        raise TimeoutError("Not picked up in time")

    order.state = "Picked up"
    notify(ctx, "🚗 Order picked up")
    if not await in_time(ctx, order, "delivery", asked.delivery_timeout_ms):
        refund(ctx, order, "Your driver was unable to deliver your order")
        raise TimeoutError("Not delivered in time")

    order.state = "Delivered"
    order.delivered_at = ctx.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    notify(ctx, "✅ Order delivered!")
    await in_time(ctx, order, "rating", asked.rating_delay_ms)
    notify(ctx, f"✍️ Rate your meal. How was the {order.product['name'].lower()}?")
    return order.status()


workflows = [food_delivery]
