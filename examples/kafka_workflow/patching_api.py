"""A workflow gets one step more, and runs that are under way get it too: by version and handoff, without a patch mark.

Version 1.0 charges a customer and waits until somebody says that the order is complete. Version 1.1 sends a receipt in
between. A run of 1.0 that is upgraded while it waits hands over what it has done, so that 1.1 does not charge again.

The engine has marks for that as well: `WorkflowContext.patched`. They change a run in place; a handoff leaves it be.

Started by a record of ``workflow-resume``: ``new:{"workflow": "temporal-patching-api", "version": {"major": 1, "minor":
0, "patch": 0}, "kind": "start", "bookingId": "customer-1", "payload": {"customerId": "customer-1"}}``.
"""

from __future__ import annotations

from typing import Any

from examples.kafka_workflow.workflow_versioning_demo import (
    MANAGER_TOPICS,
    UPGRADE_TOPICS,
    Handoff,
    Start,
    UpgradeManager,
    UpgradeRequest,
    Version,
    Wire,
    can_reuse,
    handoff,
    upgrade_manager,
    wait_for_upgrade,
)
from holdfast import WorkflowContext, workflow

WORKFLOW = "temporal-patching-api"
V1_0 = Version(major=1, minor=0, patch=0)
V1_1 = Version(major=1, minor=1, patch=0)

CHARGE, RECEIPT, COMPLETE = (f"temporal-patching-api-{what}" for what in ("charge", "send-receipt", "await-complete"))
TOPICS = [CHARGE, RECEIPT, COMPLETE, *UPGRADE_TOPICS, *MANAGER_TOPICS]


class Order(Wire):
    """Whom to charge, and what has been done about it."""

    customer_id: str
    charge_id: str | None = None
    charged: bool = False
    receipt_sent: bool = False


Envelope = Start[Order] | Handoff[Order]


def begun(envelope: Envelope) -> Order:
    """Give the order as it stands when a run begins with it."""
    order = envelope.payload.input if isinstance(envelope, Handoff) else envelope.payload
    return order.model_copy(update={"charge_id": order.charge_id or f"{envelope.booking_id}:charge"})


async def request(ctx: WorkflowContext, topic: str, order: Order) -> None:
    """Ask a service for something, and wait until it is done."""
    done = ctx.ref(topic)
    ctx.output_json(topic, {"customerId": order.customer_id, "chargeId": order.charge_id, "ref": done.id})
    await done


async def charged(ctx: WorkflowContext, order: Order) -> Order:
    """Charge the customer, unless that has been done."""
    if not order.charged:
        await request(ctx, CHARGE, order)
    return order.model_copy(update={"charged": True})


async def completion(ctx: WorkflowContext) -> None:
    """Wait until somebody says that the order is complete."""
    complete = ctx.ref_id("complete")
    ctx.output_json(COMPLETE, {"ref": complete.id})
    await complete


def completed(version: Version, order: Order) -> dict[str, Any]:
    """Say what has been done."""
    ids = {"customerId": order.customer_id, "chargeId": order.charge_id}
    return {"version": version, **ids, "receiptSent": order.receipt_sent}


async def run_1_0(ctx: WorkflowContext, start: Start[Order]) -> dict[str, Any]:
    """Charge, and wait for the end or the upgrade."""
    order = await charged(ctx, begun(start))
    outcome = await ctx.race(completion(ctx), wait_for_upgrade(ctx, V1_0))
    if not isinstance(outcome, UpgradeRequest):
        return completed(V1_0, order.model_copy(update={"receipt_sent": False}))
    target = outcome.target_version
    ctx.output_json("versioning-handoff", handoff(start, V1_0, target, order, []))
    return {"status": "upgraded", "fromVersion": V1_0, "toVersion": target, "charged": order.charged}


async def run_1_1(ctx: WorkflowContext, envelope: Envelope) -> dict[str, Any]:
    """Charge, send a receipt, and wait for the end; what has been done already is left out."""
    order = await charged(ctx, begun(envelope))
    if not order.receipt_sent:
        await request(ctx, RECEIPT, order)
    await completion(ctx)
    return completed(V1_1, order.model_copy(update={"receipt_sent": True}))


@workflow(name="patching-api", outputs=TOPICS)
async def entry(ctx: WorkflowContext, envelope: Envelope | UpgradeManager) -> dict[str, Any]:
    """Run whatever an envelope asks for: an order on some version, or the upgrade manager."""
    if isinstance(envelope, UpgradeManager):
        return await upgrade_manager(ctx, envelope)
    if envelope.workflow != WORKFLOW:
        raise ValueError(f"unsupported workflow {envelope.workflow}")
    if envelope.version.major != V1_0.major:
        raise ValueError(f"unsupported major version {envelope.version}")
    if isinstance(envelope, Handoff) and not can_reuse(envelope.payload.from_version, V1_1):
        raise ValueError(f"cannot reuse {envelope.payload.from_version} in {V1_1}")
    if isinstance(envelope, Start) and envelope.version.minor < V1_1.minor:
        return await run_1_0(ctx, envelope)
    return await run_1_1(ctx, envelope)


workflows = [entry]
