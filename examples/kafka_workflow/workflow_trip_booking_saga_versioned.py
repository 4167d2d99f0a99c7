"""A trip in three versions, one of which takes over from another while the trip is being booked.

Version 1.0 books a hotel, a flight and a car, and can be upgraded meanwhile: what it still waits for is called off,
what it has is handed over. Version 1.1 takes that over, reserves what is missing, and takes a taxi where there is no
car. Version 2.0 books a taxi from the beginning, and takes nothing over from a 1.x.

A request to upgrade to what is no newer minor version makes the trip fail, and give back what it has: the one who
asks decides. `examples.patterns.upgrade` shows a run that refuses such a request and goes on.

Started by a record of ``workflow-resume``: ``new:{"workflow": "trip-booking-versioned", "version": {"major": 1,
"minor": 0, "patch": 0}, "kind": "start", "bookingId": "booking-1", "payload": {"releaseAfterMS": 3600000}}``.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from examples.kafka_workflow.workflow_trip_booking_release import (
    RELEASE_TOPICS,
    DelayedRelease,
    delayed_release,
    release_later,
    retain,
)
from examples.kafka_workflow.workflow_versioning_demo import (
    MANAGER_TOPICS,
    UPGRADE_TOPICS,
    Handoff,
    Kind,
    Resource,
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
from holdfast import CancelToken, RefError, WorkflowContext, workflow

WORKFLOW = "trip-booking-versioned"
V1_0 = Version(major=1, minor=0, patch=0)
V1_1 = Version(major=1, minor=1, patch=0)
V2_0 = Version(major=2, minor=0, patch=0)

PARTNERS = [f"versioned-{do}-{kind}" for do in ("reserve", "cancel") for kind in ("car", "hotel", "flight", "taxi")]
TOPICS = [*PARTNERS, *UPGRADE_TOPICS, *MANAGER_TOPICS, *RELEASE_TOPICS]


class TripRequest(Wire):
    """What is known of a trip: how long its reservations are kept for the next version."""

    release_after_ms: int | None = None


Trip = Start[TripRequest] | Handoff[TripRequest]


class Booking:
    """The reservations of one trip, made by one version."""

    def __init__(self, ctx: WorkflowContext, version: Version, booking_id: str) -> None:
        self.ctx = ctx
        self.version = version
        self.id = booking_id
        self.booked: list[Resource] = []

    async def reserve(self, kind: Kind) -> Resource:
        """Ask a partner, and call that off if nobody waits for it any more."""
        answer = self.ctx.ref(f"{kind}-reservation")
        reservation = f"{self.id}:{kind}:v{self.version.major}.{self.version.minor}"
        notice = {"ref": answer.id, "bookingId": self.id, "reservationId": reservation, "kind": kind}
        self.ctx.output_json(f"versioned-reserve-{kind}", notice)
        try:
            await answer
        except CancelToken:
            self.ctx.output_json(f"versioned-cancel-{kind}", notice)
            raise
        return Resource.of(self.id, kind, reservation)

    async def noted(self, reserved: Awaitable[Resource]) -> Resource:
        """Wait for a reservation, and remember to give it back."""
        resource = await reserved
        self.booked.append(resource)
        return resource

    def give_back(self) -> None:
        """Call off what is reserved."""
        for each in self.booked:
            record = {"bookingId": self.id, "reservationId": each.reservation_id, "kind": each.kind}
            self.ctx.output_json(f"versioned-cancel-{each.kind}", record)

    def confirmed(self, hotel: Resource, flight: Resource, transport: Resource) -> dict[str, Any]:
        """Say what the traveller has."""
        parts = {"hotel": hotel, "flight": flight, "transport": transport}
        return {"version": self.version, "bookingId": self.id, **parts}


async def book_1_0(ctx: WorkflowContext, trip: Start[TripRequest]) -> dict[str, Any]:
    """Book hotel, flight and car, or hand over what is booked when the upgrade comes."""
    booking = Booking(ctx, V1_0, trip.booking_id)
    kinds: tuple[Kind, ...] = ("hotel", "flight", "car")
    parts = ctx.all(booking.noted(booking.reserve(kind)) for kind in kinds)
    try:
        outcome = await ctx.race(parts, wait_for_upgrade(ctx, V1_0))
    except (Exception, CancelToken):
        booking.give_back()
        raise
    if isinstance(outcome, UpgradeRequest):
        return hand_over(ctx, trip, booking.booked, outcome.target_version)
    return booking.confirmed(*outcome)


def hand_over(
    ctx: WorkflowContext, trip: Start[TripRequest], booked: list[Resource], target: Version
) -> dict[str, Any]:
    """Leave what is booked to the next version, or to its release if none comes for it."""
    for resource in booked:
        release_later(ctx, trip.booking_id, resource, trip.payload.release_after_ms)
    ctx.output_json("versioning-handoff", handoff(trip, V1_0, target, trip.payload, booked))
    left = [{"kind": each.kind, "reservationId": each.reservation_id} for each in booked]
    return {"status": "upgraded", "fromVersion": V1_0, "toVersion": target, "booked": left}


async def book_1_1(ctx: WorkflowContext, trip: Trip) -> dict[str, Any]:
    """Book hotel, flight and car, or a taxi where there is no car; what is booked already is taken over."""
    return await _take_over(ctx, V1_1, trip, "car")


async def book_2_0(ctx: WorkflowContext, trip: Trip) -> dict[str, Any]:
    """Book hotel, flight and taxi; only what another 2.x has booked is taken over."""
    if isinstance(trip, Handoff) and not can_reuse(trip.payload.from_version, V2_0):
        raise ValueError(f"cannot adopt {trip.payload.from_version} in {V2_0}")
    return await _take_over(ctx, V2_0, trip, "taxi")


async def _take_over(ctx: WorkflowContext, version: Version, trip: Trip, transport: Kind) -> dict[str, Any]:
    booking = Booking(ctx, version, trip.booking_id)
    known = {each.kind: each for each in trip.payload.booked} if isinstance(trip, Handoff) else {}

    async def adopt_or_reserve(kind: Kind) -> Resource:
        if kind not in known:
            return await booking.reserve(kind)
        retain(ctx, booking.id, known[kind])
        return known[kind]

    async def drive() -> Resource:
        try:
            return await adopt_or_reserve(transport)
        except RefError as error:
            if transport != "car" or error.value != "car unavailable":
                raise
            return await booking.reserve("taxi")

    try:
        parts = (adopt_or_reserve("hotel"), adopt_or_reserve("flight"), drive())
        return booking.confirmed(*await ctx.all(booking.noted(part) for part in parts))
    except (Exception, CancelToken):
        booking.give_back()
        raise


@workflow(name="workflow-trip-booking-saga-versioned", outputs=TOPICS)
async def entry(ctx: WorkflowContext, envelope: Trip | DelayedRelease | UpgradeManager) -> dict[str, Any]:
    """Run whatever an envelope asks for: a trip of some version, or one of the two helpers."""
    if isinstance(envelope, UpgradeManager):
        return await upgrade_manager(ctx, envelope)
    if isinstance(envelope, DelayedRelease):
        return await delayed_release(ctx, envelope)
    if envelope.workflow != WORKFLOW:
        raise ValueError(f"unsupported workflow {envelope.workflow}")
    if envelope.version.major == V2_0.major:
        return await book_2_0(ctx, envelope)
    if envelope.version.major != V1_1.major:
        raise ValueError(f"unsupported major version {envelope.version}")
    if isinstance(envelope, Handoff):
        if not can_reuse(envelope.payload.from_version, envelope.version):
            raise ValueError(f"cannot reuse {envelope.payload.from_version} in {envelope.version}")
        return await book_1_1(ctx, envelope)
    return await (book_1_0 if envelope.version.minor == V1_0.minor else book_1_1)(ctx, envelope)


workflows = [entry]
