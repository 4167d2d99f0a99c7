"""A transaction answers whoever waits for it as soon as it is confirmed, long before it is complete.

Who wants to know asks with a reply id of their own. Until the transaction is confirmed the thread keeps these ids; then
it answers all of them, and later ones at once.

Started by ``new:{"confirmDelayMS": 500, "completeDelayMS": 5000}``; asked by
``{"type": "awaitConfirmation", "reply": "r1"}`` to the ref ``main``, also before it is started.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, Field

from holdfast import WorkflowContext, workflow

SCHEDULER = "workflow-scheduler"
REPLY = "temporal-early-return-reply"


class Delays(BaseModel, frozen=True):
    """How long it takes to confirm the transaction, and to complete it then."""

    confirm_ms: int = Field(500, alias="confirmDelayMS")
    complete_ms: int = Field(5000, alias="completeDelayMS")


def schedule(ctx: WorkflowContext, milliseconds: int, event: str) -> None:
    """Have an event sent to ``main`` later."""
    record = json.dumps({"ref": "main", "value": {"type": event}}, separators=(",", ":"))
    ctx.output(SCHEDULER, str(milliseconds or "+0"), key=f"{ctx.thread_key}|{record}")  # a plain 0 calls off


def confirm(ctx: WorkflowContext, reply: str) -> None:
    """Tell one who waits that the transaction is confirmed."""
    ctx.output_json(REPLY, {"reply": reply, "value": {"status": "confirmed"}})


@workflow(name="early-return", outputs=[SCHEDULER, REPLY])
async def early_return(ctx: WorkflowContext, delays: Delays) -> dict[str, Any]:
    """Confirm a transaction, and complete it later."""
    waiting: list[str] = []
    confirmed = False
    schedule(ctx, delays.confirm_ms, "confirmTimeout")
    while True:
        match await ctx.ref_id("main"):
            case {"type": "awaitConfirmation", "reply": str(reply)} if confirmed:
                confirm(ctx, reply)
            case {"type": "awaitConfirmation", "reply": str(reply)}:
                waiting.append(reply)
            case {"type": "confirmTimeout"} if not confirmed:
                confirmed = True
                for reply in waiting:
                    confirm(ctx, reply)
                schedule(ctx, delays.complete_ms, "completeTimeout")
            case {"type": "completeTimeout"}:
                return {"status": "complete", "finalAmount": 77}


workflows = [early_return]
