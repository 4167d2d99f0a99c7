"""A loop goes round durably until its last iteration, and its history does not grow meanwhile."""

from pathlib import Path

import pytest

from examples.kafka_workflow.continue_as_new import continue_as_new, workflows
from holdfast import Delivery, RunStatus
from tests.examples.kafka_workflow.kit import ERROR, KEY, RESULT, SCHEDULER, Emitted, Thread, thread
from tests.examples.kit import replays
from tests.play import Anything


def address(iteration: int) -> str:
    return f'{KEY}|{{"ref":"main","value":{{"type":"timeout","iteration":{iteration}}}}}'


def round_(loop: Thread, iteration: int, delay: str = "10") -> list[Emitted]:
    """What an iteration emits."""
    return [
        loop.json("temporal-continue-as-new-iteration", {"iteration": iteration}),
        loop.of(SCHEDULER, delay, address(iteration)),
    ]


def result(loop: Thread, iterations: int) -> Emitted:
    return loop.json(RESULT, {"iterations": iterations, "status": "completed"})


@pytest.mark.parametrize("first", [0, 1])
async def test_a_loop_goes_round_until_its_last_iteration(first: int, tmp_path: Path) -> None:
    async with thread(workflows) as loop:
        await loop.new({"iteration": first, "maxIterations": 3, "delayMS": 10})
        expected = round_(loop, first)
        for iteration in range(first, 2):
            await loop.emits(*expected)
            await loop.fire(address(iteration))
            expected += round_(loop, iteration + 1)
        await loop.emits(*expected)

        await loop.fire(address(2))

        await loop.emits(*expected, result(loop, 3))
        assert await replays(loop.env, continue_as_new, KEY, tmp_path) is RunStatus.COMPLETED


async def test_the_history_of_a_loop_stays_short(tmp_path: Path) -> None:
    async with thread(workflows) as loop:
        await loop.new({"maxIterations": 1000})
        before = len(await loop.env.engine.history(KEY))
        for iteration in range(50):
            await loop.fire(address(iteration))

        assert len(await loop.env.engine.history(KEY)) == before
        assert await replays(loop.env, continue_as_new, KEY, tmp_path) is RunStatus.RUNNING
        await loop.emits(*(each for number in range(51) for each in round_(loop, number, "50")))


async def test_a_loop_with_nothing_to_do_ends_at_once() -> None:
    async with thread(workflows) as loop:
        await loop.new({"maxIterations": 0})

        await loop.emits(result(loop, 0))


@pytest.mark.parametrize(
    "signal", [{"type": "timeout", "iteration": 0}, {"type": "timeout", "iteration": 2}, {"type": "stop"}, None]
)
async def test_anything_else_than_its_timer_ends_a_loop(signal: Anything) -> None:
    async with thread(workflows) as loop:
        await loop.new({"maxIterations": 3, "delayMS": 10})
        await loop.fire(address(0))
        await loop.answer("main", signal)

        error = loop.json(ERROR, "unexpected signal at iteration 1")
        await loop.emits(*round_(loop, 0), *round_(loop, 1), error)


async def test_a_timer_that_a_broker_delivers_twice_counts_once_though_the_run_is_another() -> None:
    async with thread(workflows) as loop:
        await loop.new({"maxIterations": 3, "delayMS": 10})
        _, record = address(0).split("|", maxsplit=1)
        for _ in range(2):
            fired = await loop.env.engine.deliver("workflow-resume", KEY, record.encode(), id="timer-0")
            assert fired is Delivery.APPLIED

        await loop.emits(*round_(loop, 0), *round_(loop, 1))


async def test_a_round_of_no_time_at_all_is_over_at_once() -> None:
    async with thread(workflows) as loop:
        await loop.new({"delayMS": 0})

        await loop.emits(*round_(loop, 0, "+0"))
