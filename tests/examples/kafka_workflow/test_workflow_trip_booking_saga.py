"""A trip emits exactly the records of its four cases: all resolved, an error in the code, one errored, a time-out."""

from examples.kafka_workflow.workflow_trip_booking_saga import KINDS, workflows
from tests.examples.kafka_workflow.kit import ERROR, RESULT, SCHEDULER, Emitted, Thread, thread
from tests.play import Anything


async def begun(trip: Thread, **options: Anything) -> tuple[dict[str, str], str, list[Emitted]]:
    """Start a trip: the refs of its parts, the address of its timer, and what it has emitted."""
    await trip.new(options)
    refs = {kind: (await trip.only(f"saga-reserve-{kind}")).value for kind in KINDS}
    timer = await trip.only(SCHEDULER)
    reserved = [trip.of(f"saga-reserve-{kind}", ref) for kind, ref in refs.items()]
    first = [*reserved, trip.of(SCHEDULER, "1000", timer.key)]
    await trip.emits(*first)
    return refs, timer.key, first


async def test_all_parts_are_reserved_and_the_timer_is_called_off() -> None:
    async with thread(workflows) as trip:
        refs, timer, first = await begun(trip)

        for kind in ("flight", "hotel", "car"):
            await trip.answer(refs[kind])

        reserved = {kind: {"id": ref} for kind, ref in refs.items()}
        await trip.emits(*first, trip.of(SCHEDULER, "0", timer), trip.json(RESULT, reserved))


async def test_an_error_in_the_code_gives_back_what_is_reserved() -> None:
    async with thread(workflows) as trip:
        refs, timer, first = await begun(trip, throwAfterHotel=True)

        for kind in ("flight", "car", "hotel"):
            await trip.answer(refs[kind])

        given_back = [trip.of(f"saga-cancel-{kind}", ref) for kind, ref in refs.items()]
        error = trip.json(ERROR, "something is wrong")
        await trip.emits(*first, trip.of(SCHEDULER, "0", timer), *given_back, error)


async def test_the_error_of_one_service_gives_back_the_parts_of_the_others() -> None:
    async with thread(workflows) as trip:
        refs, timer, first = await begun(trip)

        await trip.answer(refs["flight"])
        await trip.answer(refs["car"])
        await trip.reject(refs["hotel"], "hotel is not available")

        given_back = [trip.of(f"saga-cancel-{kind}", refs[kind]) for kind in ("car", "flight")]
        error = trip.json(ERROR, "hotel is not available")
        await trip.emits(*first, trip.of(SCHEDULER, "0", timer), *given_back, error)


async def test_a_time_out_gives_back_and_calls_off_everything() -> None:
    async with thread(workflows) as trip:
        refs, timer, first = await begun(trip)

        await trip.answer(refs["flight"])
        await trip.answer(refs["car"])
        await trip.fire(timer)

        given_back = [trip.of(f"saga-cancel-{kind}", ref) for kind, ref in refs.items()]
        await trip.emits(*first, *given_back, trip.json(ERROR, "timeout"))
