"""A long piece of work reports how far it is, and cleans up if it is cancelled on the way.

The work is done outside; each report answers the ref ``progress``, which is made anew for the next one. That and the
wait for a cancellation are two branches of a race. When the cancellation wins, the race delivers it only after the
other branch has said, with the last progress that it knows, that the work is to stop and be cleaned up.

Started by ``new:{"total": 100}``; reported on by ``{"type": "progress", "progress": 42}`` or ``{"type": "done"}`` to
``progress``; cancelled by ``{"reason": "too slow"}`` to ``cancel``.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast import CancelToken, WorkflowContext, workflow

START = "temporal-activity-cancel-start"
HEARTBEAT = "temporal-activity-cancel-heartbeat"
AWAIT_CANCEL = "temporal-activity-cancel-await-cancel"
CANCEL_ACTIVITY = "temporal-activity-cancel-cancel-activity"
CLEANUP = "temporal-activity-cancel-cleanup"

Outcome = dict[str, str]
"""Its ``status``: ``completed``, or ``cancelled`` with a ``reason``."""


@dataclass(frozen=True)
class Work:
    """How much there is to do."""

    total: int = 100


async def completed(ctx: WorkflowContext, total: int) -> Outcome:
    """Have the work done, and pass its progress on; stop it if nobody waits for it any more."""
    progress: float = 0
    ctx.output_json(START, {"ref": "progress", "total": total})
    try:
        while progress < total:
            match await ctx.ref_id("progress"):
                case {"type": "done"}:
                    break
                case {"type": "progress", "progress": int() | float() as progress}:
                    ctx.output_json(HEARTBEAT, {"progress": progress})
    except CancelToken:
        ctx.output_json(CANCEL_ACTIVITY, {"ref": "progress", "lastProgress": progress})
        ctx.output_json(CLEANUP, {"lastProgress": progress})
        raise
    return {"status": "completed"}


async def cancelled(ctx: WorkflowContext) -> Outcome:
    """Wait until somebody wants the work no more."""
    ctx.output_json(AWAIT_CANCEL, {"ref": "cancel"})
    match await ctx.ref_id("cancel"):
        case {"reason": str(reason)}:
            return {"status": "cancelled", "reason": reason}
    return {"status": "cancelled", "reason": "cancel requested"}


@workflow(
    name="activities-cancellation-heartbeating", outputs=[START, HEARTBEAT, AWAIT_CANCEL, CANCEL_ACTIVITY, CLEANUP]
)
async def cancellable_activity(ctx: WorkflowContext, work: Work) -> Outcome:
    """Do the work, unless it is cancelled."""
    outcome: Outcome = await ctx.race(completed(ctx, work.total), cancelled(ctx))
    return outcome


workflows = [cancellable_activity]
