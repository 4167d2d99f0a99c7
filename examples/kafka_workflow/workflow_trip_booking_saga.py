"""A trip is booked in parts, in time or not at all: what was reserved is given back.

It speaks to three services and a scheduler by records alone. What a part's service is sent is the id of a ref, which
it answers; a part that is cancelled while it waits tells its service so, one that is reserved already is compensated.

Started by a record of ``workflow-resume``: ``new:{"timeoutMS": 1000}``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from holdfast import CancelToken, WorkflowContext, workflow

KINDS = ("car", "hotel", "flight")
TOPICS = ["workflow-scheduler", *(f"saga-{what}-{kind}" for what in ("reserve", "cancel") for kind in KINDS)]


@dataclass(frozen=True)
class Trip:
    """What is to be tried, and for how long."""

    uid: int | None = None
    throwAfterHotel: bool = False  # noqa: N815 - the field of the record
    timeoutMS: int = 1000  # noqa: N815 - the field of the record


Reservation = dict[str, str]
"""Its ``id``."""


async def deadline(ctx: WorkflowContext, milliseconds: int) -> None:
    """Raise once the scheduler says that the time is over."""
    over = ctx.ref("scheduler")
    ctx.output("workflow-scheduler", str(milliseconds), key=over.key)
    try:
        await over
    except CancelToken:
        ctx.output("workflow-scheduler", "0", key=over.key)
        raise
    raise TimeoutError("timeout")


async def reserve(ctx: WorkflowContext, kind: str) -> Reservation:
    """Ask a service for its part, and take that back if nobody waits for it any more."""
    answer = ctx.ref(f"saga-reserve-{kind}")
    ctx.output(f"saga-reserve-{kind}", answer.id)
    try:
        await answer
    except CancelToken:
        ctx.output(f"saga-cancel-{kind}", answer.id)
        raise
    return {"id": answer.id}


@workflow(name="workflow-trip-booking-saga", outputs=TOPICS)
async def trip(ctx: WorkflowContext, trip: Trip) -> dict[str, Reservation]:
    """Reserve all three parts, or none."""
    compensations: list[Callable[[], None]] = []

    async def part(kind: str) -> Reservation:
        reservation = await reserve(ctx, kind)
        compensations.append(lambda: ctx.output(f"saga-cancel-{kind}", reservation["id"]))
        if kind == "hotel" and trip.throwAfterHotel:
            raise RuntimeError("something is wrong")
        return reservation

    parts: Awaitable[list[Reservation]] = ctx.all(part(kind) for kind in KINDS)
    try:
        car, hotel, flight = await ctx.race(parts, deadline(ctx, trip.timeoutMS))
    except (Exception, CancelToken):
        for compensate in compensations:
            compensate()
        raise
    return {"car": car, "hotel": hotel, "flight": flight}


workflows = [trip]
