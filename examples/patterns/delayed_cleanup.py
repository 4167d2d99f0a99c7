"""Delayed cleanup: what one run leaves to another is given back after a while, unless that one takes it over.

The thread that waits is started before the owner ends, so that there is no moment in which nobody cares for the
resource. When the time is over it gives the resource back itself: a record of topic ``resource-release`` is committed
with the end of the thread. Who takes the resource over asks first, and uses it only where the answer is yes: so it
cannot be used after it was given back, and no two runs can take over the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from holdfast import WorkflowContext, WorkflowNotFoundError, workflow

RELEASES = "resource-release"


@dataclass(frozen=True)
class Resource:
    """Something that is reserved.

    Attributes:
        id: Of the reservation; letters, digits, ``-`` and ``_``, at most 50.
        kind: What it is.
    """

    id: str
    kind: str


@dataclass(frozen=True)
class Cleanup:
    """What to give back, and after how long."""

    resource: Resource
    after: timedelta


@dataclass(frozen=True)
class Takeover:
    """Who wants to take a resource over: where to answer."""

    thread: str
    ref: str


def clean_up_later(ctx: WorkflowContext, resource: Resource, *, after: timedelta) -> None:
    """Have a resource given back after a while, unless somebody takes it over."""
    ctx.ensure_thread(f"cleanup-{resource.id}", Cleanup(resource, after), workflow=delayed_cleanup)


async def take_over(ctx: WorkflowContext, resource: Resource) -> bool:
    """Keep a resource from being given back; says whether that came in time, and it may be used."""
    answer = ctx.ref("take-over", type=bool)
    try:
        await ctx.signal(f"cleanup-{resource.id}", "take-over", Takeover(ctx.thread_key, answer.id))
    except WorkflowNotFoundError:
        return False  # the thread has ended: it was given back, or somebody else has taken it over
    taken: bool = await answer
    return taken


@workflow(name="delayed-cleanup", outputs=[RELEASES])
async def delayed_cleanup(ctx: WorkflowContext, cleanup: Cleanup) -> str:
    """Give a resource back when its time is over; to the first who wants to take it over before, leave it."""
    try:
        first: Takeover = await ctx.receive_signal("take-over", timeout=cleanup.after, type=Takeover)
    except TimeoutError:
        ctx.output_json(RELEASES, cleanup.resource)
        return "given back"
    ctx.output_json("workflow-resume", {"ref": first.ref, "value": True}, key=first.thread)
    return "taken over"


workflows = (delayed_cleanup,)
