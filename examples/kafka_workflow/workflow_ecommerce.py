"""Keep a cart while its owner fills it, remind them of it once, and give it up when they do not come back.

All that happens to the cart are values for one ref, ``main``: what its owner does, and the end of the time that they
may be idle for, which the scheduler sends. The loop takes them one by one, in the order in which they come. Each
command calls off the timer, and the next turn of the loop sets it again.

Started by a record of ``workflow-resume``: ``new:{"abandonedCartTimeoutMS": 10000}``, and then moved on by such as
``{"ref": "main", "value": {"type": "addToCart", "item": {"productId": "teapot", "quantity": 1}}}``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from holdfast import WorkflowContext, workflow

SCHEDULER = "workflow-scheduler"


@dataclass(frozen=True)
class Settings:
    """How long a cart may be left alone."""

    abandonedCartTimeoutMS: int = 10_000  # noqa: N815 - the field of the record


@dataclass
class Cart:
    """What is in the cart, by product, and whose it is."""

    items: dict[str, int] = field(default_factory=dict)
    email: str = ""

    def add(self, product: str, quantity: int) -> None:
        """Put more of a product into the cart."""
        self.items[product] = self.items.get(product, 0) + quantity

    def remove(self, product: str, quantity: int) -> None:
        """Take some of a product out, or all of it."""
        if product in self.items:
            self.items[product] -= quantity
            if self.items[product] <= 0:
                del self.items[product]

    def contents(self) -> dict[str, Any]:
        """Show the cart as it is told to others."""
        items = [{"productId": product, "quantity": quantity} for product, quantity in self.items.items()]
        return {"items": items, "email": self.email}


def carry_out(ctx: WorkflowContext, cart: Cart, command: object) -> bool:
    """Do what the owner says, and say whether the cart is checked out. What is no known command changes nothing."""
    match command:
        case {"type": "addToCart", "item": {"productId": str(product), "quantity": int(quantity)}}:
            cart.add(product, quantity)
        case {"type": "removeFromCart", "item": {"productId": str(product), "quantity": int(quantity)}}:
            cart.remove(product, quantity)
        case {"type": "updateEmail", "email": str(email)}:
            cart.email = email
        case {"type": "getCart"}:
            ctx.output_json("getCart", cart.contents())
        case {"type": "checkout"} if cart.items:
            return True
        case {"type": "checkout"}:
            ctx.output("checkoutError", "Must have items to check out!")
    return False


@workflow(name="workflow-ecommerce", outputs=[SCHEDULER, "ecommerce-reminder", "getCart", "checkoutError"])
async def ecommerce(ctx: WorkflowContext, settings: Settings) -> dict[str, Any] | str:
    """Give back the cart as it is checked out, or say that it was abandoned."""
    timeout = {"ref": "main", "value": {"type": "timeout"}}
    timer = f"{ctx.thread_key}|{json.dumps(timeout, separators=(',', ':'))}"
    cart = Cart()
    reminded = False
    while True:
        ctx.output(SCHEDULER, str(settings.abandonedCartTimeoutMS), key=timer)
        match await ctx.ref_id("main"):
            case {"type": "timeout"} if reminded or not cart.email:
                return "abondoned"  # so the consumers of the original know it
            case {"type": "timeout"}:
                reminded = True
                ctx.output("ecommerce-reminder", cart.email)
            case command:
                reminded = False
                ctx.output(SCHEDULER, "0", key=timer)
                if carry_out(ctx, cart, command):
                    return cart.contents()


workflows = [ecommerce]
