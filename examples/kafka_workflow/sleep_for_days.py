"""A thread that sleeps for a month at a time, and sends a mail each time it wakes, until somebody says it is done.

Sleeping costs nothing: the thread is a few records in a store, and the timer is the scheduler's. When the thread is
completed while it sleeps, the timer is called off.

Started by ``new:{"days": 30, "message": "Still sleeping"}``; completed by ``{"completedBy": "ann"}`` to the ref
``complete``, at any time: also while a mail is being sent.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from holdfast import CancelToken, WorkflowContext, workflow

SCHEDULER = "workflow-scheduler"
SEND_EMAIL = "temporal-sleep-for-days-send-email"
AWAIT_COMPLETE = "temporal-sleep-for-days-await-complete"
AWAIT_COMPLETE_CANCEL = "temporal-sleep-for-days-await-complete-cancel"

DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True)
class Sleep:
    """How long to sleep at a time, and what to write on waking."""

    days: float = 30
    message: str = "Still sleeping"


async def send_email(ctx: WorkflowContext, message: str, iteration: int) -> None:
    """Have a mail sent, and wait until it is."""
    sent = ctx.ref(f"send-email:{iteration}")
    ctx.output_json(SEND_EMAIL, {"iteration": iteration, "message": message, "ref": sent.id})
    await sent


async def sleep(ctx: WorkflowContext, days: float, iteration: int) -> None:
    """Sleep, and call the timer off if that is over earlier."""
    over = ctx.ref(f"sleep:{iteration}")
    ctx.output(SCHEDULER, str(int(days * DAY_MS) or "+0"), key=over.key)  # a plain 0 calls off
    try:
        await over
    except CancelToken:
        ctx.output(SCHEDULER, "0", key=over.key)
        raise


async def completion(ctx: WorkflowContext, completed: asyncio.Future[Any]) -> str:
    """Say that this waits to be completed, and wait for who does it; say also if it waits no more."""
    ctx.output_json(AWAIT_COMPLETE, {"ref": "complete"})
    try:
        signal = await asyncio.shield(completed)
    except CancelToken:
        ctx.output_json(AWAIT_COMPLETE_CANCEL, {"ref": "complete"})
        raise
    match signal:
        case {"completedBy": str(by)}:
            return by
    return "unknown"


@workflow(name="sleep-for-days", outputs=[SCHEDULER, SEND_EMAIL, AWAIT_COMPLETE, AWAIT_COMPLETE_CANCEL])
async def sleep_for_days(ctx: WorkflowContext, asked: Sleep) -> dict[str, Any]:
    """Send a mail and sleep, over and over."""
    # A ref that nothing awaits any more drops its answer. This awaits it from beginning to end.
    completed = asyncio.ensure_future(ctx.ref_id("complete"))
    emails = 0
    while True:
        emails += 1
        await send_email(ctx, f"{asked.message}: {emails}", emails)
        by = await ctx.race(sleep(ctx, asked.days, emails), completion(ctx, completed))
        if by is not None:
            return {"status": "completed", "completedBy": by, "emailsSent": emails}


workflows = [sleep_for_days]
