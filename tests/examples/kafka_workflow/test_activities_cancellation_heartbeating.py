"""Progress is passed on; a cancellation stops the work and cleans up after it, and completion does neither."""

from pathlib import Path

import pytest

from examples.kafka_workflow.activities_cancellation_heartbeating import cancellable_activity, workflows
from holdfast import Delivery, RunStatus
from tests.examples.kafka_workflow.kit import ERROR, KEY, RESULT, Emitted, Thread, thread
from tests.examples.kit import replays
from tests.play import Anything


def begun(work: Thread, total: int = 100) -> list[Emitted]:
    """What is emitted first."""
    return [
        work.json("temporal-activity-cancel-start", {"ref": "progress", "total": total}),
        work.json("temporal-activity-cancel-await-cancel", {"ref": "cancel"}),
    ]


async def report(work: Thread, progress: Anything) -> None:
    await work.answer("progress", {"type": "progress", "progress": progress})


def heartbeat(work: Thread, progress: float) -> Emitted:
    return work.json("temporal-activity-cancel-heartbeat", {"progress": progress})


def stopped(work: Thread, progress: int) -> list[Emitted]:
    return [
        work.json("temporal-activity-cancel-cancel-activity", {"ref": "progress", "lastProgress": progress}),
        work.json("temporal-activity-cancel-cleanup", {"lastProgress": progress}),
    ]


def cancelled(work: Thread, reason: str) -> Emitted:
    return work.json(RESULT, {"status": "cancelled", "reason": reason})


@pytest.mark.parametrize(
    ("signal", "reason"), [({"reason": "user requested"}, "user requested"), ({}, "cancel requested")]
)
async def test_a_cancellation_stops_the_work_and_cleans_up(signal: Anything, reason: str, tmp_path: Path) -> None:
    async with thread(workflows) as work:
        await work.new({"total": 100})
        await report(work, 12.5)
        await report(work, 42)
        await work.emits(*begun(work), heartbeat(work, 12.5), heartbeat(work, 42))

        await work.answer("cancel", signal)
        late = await work.answer("progress", {"type": "done"})

        assert late is Delivery.DEAD
        heartbeats = [heartbeat(work, 12.5), heartbeat(work, 42)]
        await work.emits(*begun(work), *heartbeats, *stopped(work, 42), cancelled(work, reason))
        assert await replays(work.env, cancellable_activity, KEY, tmp_path) is RunStatus.COMPLETED


async def test_work_that_is_done_is_not_cleaned_up(tmp_path: Path) -> None:
    async with thread(workflows) as work:
        await work.new({"total": 100})
        await work.answer("progress", {"type": "done"})
        late = await work.answer("cancel", {"reason": "too late"})

        assert late is Delivery.DEAD
        await work.emits(*begun(work), work.json(RESULT, {"status": "completed"}))
        assert await replays(work.env, cancellable_activity, KEY, tmp_path) is RunStatus.COMPLETED


async def test_work_is_done_when_its_progress_is() -> None:
    async with thread(workflows) as work:
        await work.new({"total": 3})
        for progress in (1, 2, 3):
            await report(work, progress)

        heartbeats = [heartbeat(work, progress) for progress in (1, 2, 3)]
        await work.emits(*begun(work, 3), *heartbeats, work.json(RESULT, {"status": "completed"}))


async def test_reports_that_come_before_the_work_begins_are_passed_on_in_order() -> None:
    async with thread(workflows) as work:
        await report(work, 1)
        await report(work, 2)
        await work.answer("cancel", {"reason": "never mind"})
        await work.new({})

        heartbeats = [heartbeat(work, progress) for progress in (1, 2)]
        await work.emits(*begun(work), *heartbeats, *stopped(work, 2), cancelled(work, "never mind"))


async def test_a_report_that_says_nothing_changes_nothing() -> None:
    async with thread(workflows) as work:
        await work.new({})
        for nothing in ("hello", None, {"type": "progress", "progress": "much"}):
            await work.answer("progress", nothing)

        await work.emits(*begun(work))


async def test_the_error_of_the_work_is_that_of_the_thread_and_needs_no_cleaning_up() -> None:
    async with thread(workflows) as work:
        await work.new({})
        await work.reject("progress", "out of disk")

        await work.emits(*begun(work), work.json(ERROR, "out of disk"))


async def test_a_thread_that_is_cancelled_from_outside_stops_its_work() -> None:
    async with thread(workflows) as work:
        await work.new({})
        await report(work, 7)
        await work.env.engine.cancel(KEY, reason="shutdown")

        await work.emits(*begun(work), heartbeat(work, 7), *stopped(work, 7), work.json(ERROR, "shutdown"))
