"""A reservation is let go when its time is over, and left when it is retained, whichever record comes first."""

from pathlib import Path
from typing import Any

from examples.kafka_workflow.workflow_trip_booking_release import delayed_release, workflows
from holdfast import Delivery, RunStatus
from tests.examples.kafka_workflow.kit import RESULT, SCHEDULER, Emitted, Thread, thread
from tests.examples.kit import replays

RELEASE = "booking-release:hotel:1:release"
RETAIN = f"versioning-retain:{RELEASE}"
RESERVATION = "booking-release:hotel:v1.0"
COMMAND: dict[str, Any] = {
    "bookingId": "booking-release",
    "resource": {"kind": "hotel", "reservationId": RESERVATION, "releaseId": RELEASE},
    "delayMS": 1000,
}


async def begun(release: Thread) -> tuple[str, list[Emitted]]:
    """Start it: the address of its timer, and what it emits first."""
    await release.new({"workflow": "versioning-delayed-release", "command": COMMAND})
    timer = (await release.emitted())[1].key
    waits = {"ref": RETAIN, "bookingId": "booking-release", "releaseId": RELEASE}
    return timer, [release.json("versioning-await-retain", waits), release.of(SCHEDULER, "1000", timer)]


def retained(release: Thread, timer: str) -> list[Emitted]:
    return [
        release.of(SCHEDULER, "0", timer),
        release.json("versioning-release-retained", COMMAND),
        release.json(RESULT, {"retained": RESERVATION}),
    ]


async def test_what_is_retained_is_left(tmp_path: Path) -> None:
    async with thread(workflows, key="release-retain") as release:
        timer, first = await begun(release)
        await release.emits(*first)

        await release.answer(RETAIN, {"retained": True})

        await release.emits(*first, *retained(release, timer))
        assert await replays(release.env, delayed_release, "release-retain", tmp_path) is RunStatus.COMPLETED


async def test_what_nobody_retains_is_let_go(tmp_path: Path) -> None:
    async with thread(workflows, key="release-timeout") as release:
        timer, first = await begun(release)

        await release.fire(timer)

        fired = release.json("versioning-release-fired", COMMAND)
        await release.emits(*first, fired, release.json(RESULT, {"released": RESERVATION}))
        assert await release.answer(RETAIN, {"retained": True}) is Delivery.DEAD
        assert await replays(release.env, delayed_release, "release-timeout", tmp_path) is RunStatus.COMPLETED


async def test_the_word_to_retain_may_come_before_the_release_has_begun() -> None:
    async with thread(workflows, key=f"versioning-release:{RELEASE}") as release:
        assert await release.answer(RETAIN, {"retained": True}) is Delivery.HELD

        timer, first = await begun(release)

        await release.emits(*first, *retained(release, timer))
