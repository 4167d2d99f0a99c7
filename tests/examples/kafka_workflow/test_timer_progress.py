"""Progress is published step by step, queries are answered between, and ticks of other steps are ignored."""

from pathlib import Path

import pytest

from examples.kafka_workflow.timer_progress import timer_progress, workflows
from holdfast import RunStatus
from tests.examples.kafka_workflow.kit import KEY, RESULT, SCHEDULER, Emitted, Thread, thread
from tests.examples.kit import replays
from tests.play import Anything


def tick(step: Anything) -> str:
    """The address of a step's timer."""
    return f'{KEY}|{{"ref":"main","value":{{"type":"tick","step":{step}}}}}'


async def query(work: Thread, reply: str) -> None:
    await work.answer("main", {"type": "getProgress", "reply": reply})


def answered(work: Thread, reply: str, progress: float) -> Emitted:
    return work.json("temporal-timer-progress-query-result", {"reply": reply, "progress": progress}, reply)


def advanced(work: Thread, step: int, progress: float) -> Emitted:
    return work.json("temporal-timer-progress-progress", {"step": step, "progress": progress})


async def test_progress_is_published_and_queries_are_answered(tmp_path: Path) -> None:
    async with thread(workflows) as work:
        await work.new({"steps": 2, "tickMS": 25, "increment": 50})
        await query(work, "q0")
        await work.fire(tick(1))
        await query(work, "q1")
        await work.fire(tick(2))

        await work.emits(
            work.of(SCHEDULER, "25", tick(1)),
            answered(work, "q0", 0),
            advanced(work, 1, 50),
            work.of(SCHEDULER, "25", tick(2)),
            answered(work, "q1", 50),
            advanced(work, 2, 100),
            work.json(RESULT, {"progress": 100}),
        )
        assert await replays(work.env, timer_progress, KEY, tmp_path) is RunStatus.COMPLETED


async def test_the_tick_of_another_step_is_ignored() -> None:
    async with thread(workflows) as work:
        await work.new({"steps": 1, "tickMS": 25})
        await work.fire(tick(2))
        await work.emits(work.of(SCHEDULER, "25", tick(1)))

        await work.fire(tick(1))

        await work.emits(
            work.of(SCHEDULER, "25", tick(1)), advanced(work, 1, 100), work.json(RESULT, {"progress": 100})
        )


async def test_a_query_that_comes_before_the_work_begins_is_answered_when_it_does() -> None:
    async with thread(workflows) as work:
        await query(work, "early")
        await work.new({"steps": 4})

        await work.emits(work.of(SCHEDULER, "1000", tick(1)), answered(work, "early", 0))


@pytest.mark.parametrize(
    ("asked", "delay", "progress"),
    [
        ({"steps": 0, "tickMS": -5}, "+0", 100),
        ({"steps": 1.9, "tickMS": 2.9}, "2", 100),
        ({"steps": 1, "increment": 12.5}, "1000", 12.5),
        ({"steps": 1, "increment": 250}, "1000", 100),
    ],
)
async def test_odd_numbers_are_brought_into_range(asked: Anything, delay: str, progress: float) -> None:
    async with thread(workflows) as work:
        await work.new(asked)
        await work.fire(tick(1))

        await work.emits(
            work.of(SCHEDULER, delay, tick(1)), advanced(work, 1, progress), work.json(RESULT, {"progress": progress})
        )
