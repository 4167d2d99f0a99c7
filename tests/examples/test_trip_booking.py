"""The saga books everything or nothing, whatever happens on the way, and does nothing twice."""

import asyncio
from pathlib import Path

import pytest

from examples.ledger import effects
from examples.trip_booking import (
    Booking,
    Itinerary,
    activities,
    cancel_booking,
    reserve_car,
    reserve_flight,
    reserve_hotel,
    trip_booking,
    workflows,
)
from holdfast import (
    ActivityContext,
    EventType,
    RunStatus,
    WorkflowCanceledError,
    WorkflowFailedError,
    WorkflowTimedOutError,
)
from holdfast.ports import StateStore
from holdfast.stores import SqliteStore
from holdfast.testing import TestEnvironment
from tests.examples.kit import read, replays

RESERVED = ["reserve car in Lisbon", "reserve hotel in Lisbon", "reserve flight HF 417"]
UNDONE = ["cancel flight HF 417", "cancel hotel in Lisbon", "cancel car in Lisbon"]


def environment(*, store: StateStore | None = None, drain: float = 10.0) -> TestEnvironment:
    return TestEnvironment(workflows=workflows, activities=activities, store=store, drain=drain)


async def test_a_confirmed_trip_is_booked(tmp_path: Path) -> None:
    async with environment() as env:
        run = await env.start(trip_booking, read("trip.json"), id="trip")
        await env.settled()
        assert await run.query("bookings") == ["car in Lisbon", "hotel in Lisbon", "flight HF 417"]
        assert "signal 'flight_confirmed'" in await run.query("stack")

        await run.signal("flight_confirmed", {"seat": "14C"})

        result = await run.result()
        assert isinstance(result, Itinerary)
        assert result.seat == "14C"
        assert effects("trip") == RESERVED
        assert await replays(env, trip_booking, "trip", tmp_path) is RunStatus.COMPLETED


async def test_an_answer_that_comes_before_anyone_waits_is_kept() -> None:
    async with environment() as env:
        run = await env.start(trip_booking, read("trip.json"), id="trip")

        await run.signal("flight_confirmed", {"seat": "1A"})

        assert (await run.result()).seat == "1A"


async def test_the_same_answer_sent_twice_counts_once() -> None:
    async with environment() as env:
        run = await env.start(trip_booking, read("trip.json"), id="trip")

        await run.signal("flight_confirmed", {"seat": "14C"}, id="airline-7")
        await run.signal("flight_confirmed", {"seat": "14C"}, id="airline-7")
        await run.result()

        kinds = [event.type for event in await env.engine.history("trip")]
        assert kinds.count(EventType.SIGNAL_RECEIVED) == 1


async def test_everything_is_undone_last_first_when_the_airline_refuses(tmp_path: Path) -> None:
    async with environment() as env:
        run = await env.start(trip_booking, read("trip.json"), id="trip")
        await run.signal("flight_confirmed", {"confirmed": False, "reason": "overbooked"})

        with pytest.raises(WorkflowFailedError, match="the airline refused: overbooked"):
            await run.result()

        assert effects("trip") == RESERVED + UNDONE
        assert await run.query("bookings") == []
        assert await replays(env, trip_booking, "trip", tmp_path) is RunStatus.FAILED


async def test_everything_is_undone_when_the_airline_does_not_answer_in_time(tmp_path: Path) -> None:
    async with environment() as env:
        run = await env.start(trip_booking, read("trip.json"), id="trip")

        with pytest.raises(WorkflowFailedError, match="did not answer within 0:15:00"):
            await run.result()

        assert effects("trip") == RESERVED + UNDONE
        assert await replays(env, trip_booking, "trip", tmp_path) is RunStatus.FAILED


async def test_everything_is_undone_when_the_run_is_cancelled(tmp_path: Path) -> None:
    async with environment() as env:
        run = await env.start(trip_booking, read("trip.json"), id="trip")
        await env.settled()

        await run.cancel(reason="the traveller is ill")

        with pytest.raises(WorkflowCanceledError):
            await run.result()
        assert effects("trip") == RESERVED + UNDONE
        assert await replays(env, trip_booking, "trip", tmp_path) is RunStatus.CANCELED


async def test_everything_is_undone_when_the_run_as_a_whole_takes_too_long(tmp_path: Path) -> None:
    async with environment() as env:
        run = await env.start(trip_booking, read("trip.json"), id="trip", timeout=60)

        with pytest.raises(WorkflowTimedOutError):
            await run.result()

        assert effects("trip") == RESERVED + UNDONE
        assert await replays(env, trip_booking, "trip", tmp_path) is RunStatus.TIMED_OUT


async def test_only_what_was_asked_for_is_undone_when_a_partner_has_nothing_left() -> None:
    async with environment() as env:
        run = await env.start(trip_booking, read("trip.json", nights=21), id="trip")

        with pytest.raises(WorkflowFailedError, match="no room is free for 21 nights"):
            await run.result()

        assert effects("trip") == [RESERVED[0], "withdraw the request for hotel in Lisbon", UNDONE[2]]


async def test_a_partner_that_fails_twice_is_asked_again() -> None:
    async def moody(booking: Booking, ctx: ActivityContext) -> str:
        if ctx.attempt < 3:
            raise ConnectionError("try again later")
        return reserve_hotel(booking, ctx)

    async with environment() as env:
        env.stub(reserve_hotel, moody)
        run = await env.start(trip_booking, read("trip.json"), id="trip")
        await run.signal("flight_confirmed", {"seat": "14C"})

        assert (await run.result()).seat == "14C"
        assert effects("trip") == RESERVED


async def test_an_answer_that_cannot_be_read_counts_as_a_failure() -> None:
    async with environment() as env:
        run = await env.start(trip_booking, read("trip.json"), id="trip")
        await run.signal("flight_confirmed", {"confirmed": "perhaps"})

        with pytest.raises(WorkflowFailedError, match="field 'confirmed'"):
            await run.result()

        assert effects("trip") == RESERVED + UNDONE


async def test_cancelling_while_bookings_are_being_undone_leaves_none_behind() -> None:
    started = asyncio.Event()

    async def slow(booking: Booking, ctx: ActivityContext) -> None:
        if ctx.attempt == 1 and not started.is_set():
            started.set()
            await asyncio.Event().wait()
        cancel_booking(booking, ctx)

    async with environment() as env:
        env.stub(cancel_booking, slow)
        run = await env.start(trip_booking, read("trip.json"), id="trip")
        await run.signal("flight_confirmed", {"confirmed": False, "reason": "overbooked"})
        await started.wait()

        await run.cancel()

        with pytest.raises(WorkflowFailedError, match="overbooked"):
            await run.result()
        assert effects("trip") == RESERVED + UNDONE


async def test_a_booking_that_arrives_after_it_was_called_off_comes_to_nothing() -> None:
    hanging, let_go, arrived = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def late(booking: Booking, ctx: ActivityContext) -> str:
        hanging.set()
        try:
            await let_go.wait()
        except asyncio.CancelledError:  # a partner does not hear that nobody waits any more
            await let_go.wait()
        arrived.set()
        return reserve_flight(booking, ctx)

    async with environment() as env:
        env.stub(reserve_flight, late)
        run = await env.start(trip_booking, read("trip.json"), id="trip")
        await hanging.wait()

        await run.cancel()
        with pytest.raises(WorkflowCanceledError):
            await run.result()
        let_go.set()
        await arrived.wait()

        assert effects("trip") == [*RESERVED[:2], "withdraw the request for flight HF 417", *UNDONE[1:]]


async def test_a_run_goes_on_where_it_was_when_the_engine_comes_back(tmp_path: Path) -> None:
    async with environment(store=SqliteStore(tmp_path / "runs.db")) as env:
        await env.start(trip_booking, read("trip.json"), id="trip")
        await env.settled()

    async with environment(store=SqliteStore(tmp_path / "runs.db")) as env:
        run = env.handle("trip")
        assert await run.query("bookings") == ["car in Lisbon", "hotel in Lisbon", "flight HF 417"]
        await run.signal("flight_confirmed", {"seat": "14C"})

        assert (await run.result()).seat == "14C"
        assert effects("trip") == RESERVED


async def test_a_reservation_whose_answer_was_lost_with_the_process_is_not_made_twice(tmp_path: Path) -> None:
    reserved = asyncio.Event()

    async def reserve_and_hang(booking: Booking, ctx: ActivityContext) -> str:
        reserve_car(booking, ctx)
        reserved.set()
        await asyncio.Event().wait()
        return booking.reference

    async with environment(store=SqliteStore(tmp_path / "runs.db"), drain=0) as env:
        env.stub(reserve_car, reserve_and_hang)
        await env.start(trip_booking, read("trip.json"), id="trip")
        await reserved.wait()

    async with environment(store=SqliteStore(tmp_path / "runs.db")) as env:
        await env.engine.signal("trip", "flight_confirmed", {"seat": "14C"})
        await env.handle("trip").result()

        assert effects("trip") == RESERVED


async def test_undoing_goes_on_after_a_restart_in_the_middle_of_it(tmp_path: Path) -> None:
    failed = asyncio.Event()

    async def hotel_is_closed(booking: Booking, ctx: ActivityContext) -> None:
        if booking.what.startswith("hotel"):
            failed.set()
            raise ConnectionError("nobody answers")
        cancel_booking(booking, ctx)

    async with environment(store=SqliteStore(tmp_path / "runs.db")) as env:
        env.stub(cancel_booking, hotel_is_closed)
        run = await env.start(trip_booking, read("trip.json"), id="trip")
        await run.signal("flight_confirmed", {"confirmed": False, "reason": "overbooked"})
        await failed.wait()
        await env.skip(60)
        assert effects("trip") == [*RESERVED, "cancel flight HF 417"]

    async with environment(store=SqliteStore(tmp_path / "runs.db")) as env:
        with pytest.raises(WorkflowFailedError, match="overbooked"):
            await env.handle("trip").result()

        assert effects("trip") == RESERVED + UNDONE
        assert await replays(env, trip_booking, "trip", tmp_path) is RunStatus.FAILED
