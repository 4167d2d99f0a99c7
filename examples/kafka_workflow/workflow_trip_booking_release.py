"""A reservation that is let go after a while, unless somebody retains it: a thread of its own for each.

When a booking is handed over to the next version of its workflow, what it has reserved must neither be lost nor be
kept for ever. Each reservation gets such a thread before its owner ends; the next owner tells it to retain what it
takes over. Here the thread only tells which of the two it was.

Started by a record of ``workflow-resume``: ``new:{"workflow": "versioning-delayed-release", "command": {"bookingId":
"booking-1", "delayMS": 3600000, "resource": {"kind": "car", "reservationId": "...", "releaseId": "..."}}}``.
"""

from __future__ import annotations

from typing import Literal

from examples.kafka_workflow.workflow_versioning_demo import Resource, Wire
from holdfast import CancelToken, WorkflowContext, workflow

RELEASE_TOPICS = [
    "versioning-await-retain",
    "versioning-release-start",
    "versioning-release-cancel",
    "versioning-release-fired",
    "versioning-release-retained",
    "workflow-scheduler",
]
AN_HOUR = 60 * 60 * 1000


class ReleaseCommand(Wire):
    """What to let go, and after how long."""

    booking_id: str
    resource: Resource
    delay_ms: int


class DelayedRelease(Wire):
    """Starts the thread that lets a reservation go."""

    workflow: Literal["versioning-delayed-release"] = "versioning-delayed-release"
    command: ReleaseCommand


def release_later(ctx: WorkflowContext, booking_id: str, resource: Resource, delay_ms: int | None) -> None:
    """Start the thread that lets a reservation go, unless somebody retains it."""
    after = AN_HOUR if delay_ms is None else delay_ms
    command = ReleaseCommand(booking_id=booking_id, resource=resource, delay_ms=after)
    ctx.output_json("versioning-release-start", command)
    start = DelayedRelease(command=command).model_dump_json(by_alias=True)
    ctx.output("workflow-resume", f"new:{start}", key=f"versioning-release:{resource.release_id}")


def retain(ctx: WorkflowContext, booking_id: str, resource: Resource) -> None:
    """Tell the thread that would let a reservation go to leave it."""
    told = {
        "bookingId": booking_id,
        "releaseId": resource.release_id,
        "reservationId": resource.reservation_id,
        "kind": resource.kind,
    }
    ctx.output_json("versioning-release-cancel", told)
    answer = {"ref": f"versioning-retain:{resource.release_id}", "value": told}
    ctx.output_json("workflow-resume", answer, key=f"versioning-release:{resource.release_id}")


@workflow(name="versioning-delayed-release", outputs=RELEASE_TOPICS)
async def delayed_release(ctx: WorkflowContext, release: DelayedRelease) -> dict[str, str]:
    """Wait until a reservation is retained, or the time is over, and tell which."""
    command = release.command
    resource = command.resource
    retained = ctx.ref_id(f"versioning-retain:{resource.release_id}")
    awaited = {"ref": retained.id, "bookingId": command.booking_id, "releaseId": resource.release_id}
    ctx.output_json("versioning-await-retain", awaited)

    async def is_retained() -> bool:
        await retained
        return True

    if await ctx.race(is_retained(), _is_over(ctx, command.delay_ms)):
        ctx.output_json("versioning-release-retained", command)
        return {"retained": resource.reservation_id}
    ctx.output_json("versioning-release-fired", command)
    return {"released": resource.reservation_id}


async def _is_over(ctx: WorkflowContext, milliseconds: int) -> Literal[False]:
    """Wait until the scheduler says that the time is over; then the reservation is not retained."""
    over = ctx.ref("scheduler")
    ctx.output("workflow-scheduler", str(milliseconds), key=over.key)
    try:
        await over
    except CancelToken:
        ctx.output("workflow-scheduler", "0", key=over.key)
        raise
    return False


workflows = [delayed_release]
