"""Buy with one click, and change your mind: a purchase stands once some time is over in which it is not called off.

The end of that time is an answer to the same ref as the buyer's commands: whichever comes first decides.

Started by a record of ``workflow-resume``: ``new:{"itemId": "sku-1", "confirmationWindowMS": 5000}``, and then
``{"ref": "main", "value": {"type": "cancelPurchase"}}``, or ``query`` as the type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from holdfast import WorkflowContext, workflow

SCHEDULER = "workflow-scheduler"
PREFIX = "temporal-nextjs-ecommerce-oneclick"
STATE, CHECKOUT, CANCELED = (f"{PREFIX}-{what}" for what in ("state", "checkout", "canceled"))
TIMEOUT = '{"ref":"main","value":{"type":"timeout"}}'


@dataclass(frozen=True)
class Click:
    """What is bought, and for how long it can be called off."""

    itemId: str  # noqa: N815 - the field of the record
    confirmationWindowMS: int = 200  # noqa: N815 - the field of the record


@dataclass(frozen=True)
class Purchase:
    """How a purchase stands."""

    itemId: str  # noqa: N815 - the field of the record
    purchaseState: Literal["PURCHASE_PENDING", "PURCHASE_CONFIRMED", "PURCHASE_CANCELED"]  # noqa: N815 - as above


@workflow(name="nextjs-ecommerce-oneclick", outputs=[SCHEDULER, STATE, CHECKOUT, CANCELED])
async def one_click_buy(ctx: WorkflowContext, click: Click) -> Purchase:
    """Wait until the purchase is called off, or cannot be any more."""
    timer = f"{ctx.thread_key}|{TIMEOUT}"
    ctx.output(SCHEDULER, str(click.confirmationWindowMS), key=timer)
    while True:
        match await ctx.ref_id("main"):
            case {"type": "query"}:
                ctx.output_json(STATE, Purchase(click.itemId, "PURCHASE_PENDING"))
            case {"type": "cancelPurchase"}:
                ctx.output(SCHEDULER, "0", key=timer)
                purchase = Purchase(click.itemId, "PURCHASE_CANCELED")
                ctx.output_json(CANCELED, purchase)
                return purchase
            case {"type": "timeout"}:
                purchase = Purchase(click.itemId, "PURCHASE_CONFIRMED")
                ctx.output_json(CHECKOUT, purchase)
                return purchase


workflows = [one_click_buy]
