"""Book a trip: car, hotel and flight, or nothing at all.

This is a saga. Each partner books on its own, so there is no transaction around the three of them. Instead the
workflow remembers how to undo what it has asked for, and undoes it, last first, when anything goes wrong: a partner
that has nothing left, an airline that says no or does not answer in time, somebody who cancels the run, a process
that dies half-way.

    POST /v1/workflows/trip_booking/runs              {"id": "trip-1", "input": ...}       (examples/data/trip.json)
    POST /v1/runs/trip-1/signals/flight_confirmed     {"seat": "14C"}  or  {"confirmed": false, "reason": "..."}
"""

from dataclasses import dataclass
from datetime import timedelta

from pydantic import BaseModel, Field

from examples import ledger
from holdfast import ActivityContext, CancelToken, NonRetryableError, RetryPolicy, WorkflowContext, activity, workflow


class Trip(BaseModel):
    """What the traveller wants."""

    traveller: str
    city: str
    flight: str
    nights: int = Field(ge=1, le=30)
    answer_within: timedelta = timedelta(minutes=15)


class FlightAnswer(BaseModel):
    """What the airline says: the payload of signal ``flight_confirmed``."""

    confirmed: bool = True
    seat: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Booking:
    """One thing to reserve with one partner.

    The workflow makes up the reference before it asks. So it can be called off even if the answer never came.
    """

    reference: str
    what: str
    nights: int


@dataclass(frozen=True)
class Itinerary:
    """What the traveller gets."""

    car: str
    hotel: str
    flight: str
    seat: str


class NoFlightError(Exception):
    """The airline does not take the traveller, or does not answer."""


@activity
def reserve_car(booking: Booking, ctx: ActivityContext) -> str:
    """Reserve a car, and give the reference it is reserved under."""
    return _reserve(booking, ctx)


@activity
def reserve_hotel(booking: Booking, ctx: ActivityContext) -> str:
    """Reserve a room, and give the reference it is reserved under."""
    if booking.nights > 14:
        raise NonRetryableError(f"no room is free for {booking.nights} nights")
    return _reserve(booking, ctx)


@activity
def reserve_flight(booking: Booking, ctx: ActivityContext) -> str:
    """Ask for a seat, and give the reference of the request; the airline answers later, by a signal."""
    return _reserve(booking, ctx)


def _reserve(booking: Booking, ctx: ActivityContext) -> str:
    """Reserve once per reference. A request that arrives after it was called off comes to nothing."""
    try:
        ledger.record(
            ctx.workflow_id,
            f"reserve {booking.what}",
            f"reserve {booking.reference}",
            unless=f"cancel {booking.reference}",
        )
    except ledger.WithdrawnError as error:
        raise NonRetryableError(f"{booking.reference} has been called off") from error
    return booking.reference


@activity(retry=RetryPolicy(max_attempts=None))
def cancel_booking(booking: Booking, ctx: ActivityContext) -> None:
    """Call a booking off, whether it was made or not. What undoes something is tried until it works."""
    did = "cancel" if ledger.has(f"reserve {booking.reference}") else "withdraw the request for"
    ledger.record(ctx.workflow_id, f"{did} {booking.what}", f"cancel {booking.reference}")


@workflow
async def trip_booking(ctx: WorkflowContext, trip: Trip) -> Itinerary:
    """Reserve car, hotel and flight, wait for the airline, and undo all of it if that does not work out."""
    to_undo: list[Booking] = []
    ctx.set_query_handler("bookings", lambda: [booking.what for booking in to_undo])
    ctx.set_attributes(traveller=trip.traveller)
    try:
        return await _book(ctx, trip, to_undo)
    except (Exception, CancelToken):
        while to_undo:
            try:
                await ctx.execute_activity(cancel_booking, to_undo[-1])
            except CancelToken:
                continue  # somebody cancels while we undo: ask again, for no booking may be left behind
            to_undo.pop()
        raise


async def _book(ctx: WorkflowContext, trip: Trip, to_undo: list[Booking]) -> Itinerary:
    def ask_for(kind: str, detail: str) -> Booking:
        """Note a booking among those to undo: before it is made, for afterwards may be too late."""
        booking = Booking(f"{kind}-{ctx.uuid4().hex[:8]}", f"{kind} {detail}", trip.nights)
        to_undo.append(booking)
        return booking

    car = await ctx.execute_activity(reserve_car, ask_for("car", f"in {trip.city}"))
    hotel = await ctx.execute_activity(reserve_hotel, ask_for("hotel", f"in {trip.city}"))
    flight = await ctx.execute_activity(reserve_flight, ask_for("flight", trip.flight))
    try:
        answer = await ctx.receive_signal("flight_confirmed", timeout=trip.answer_within, type=FlightAnswer)
    except TimeoutError:
        raise NoFlightError(f"the airline did not answer within {trip.answer_within}") from None
    if not answer.confirmed:
        raise NoFlightError(f"the airline refused: {answer.reason}")
    return Itinerary(car, hotel, flight, answer.seat)


workflows = (trip_booking,)
activities = (reserve_car, reserve_hotel, reserve_flight, cancel_booking)
