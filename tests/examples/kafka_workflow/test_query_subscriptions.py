"""Each tick publishes one state and asks for the next tick, until the last; a tick of another turn is an error."""

from pathlib import Path

import pytest

from examples.kafka_workflow.query_subscriptions import workflows
from holdfast import RunStatus
from tests.examples.kafka_workflow.kit import ERROR, KEY, RESULT, SCHEDULER, Emitted, Thread, thread
from tests.examples.kit import replays
from tests.play import Anything


def state(counter: Thread, version: int, value: float) -> Emitted:
    return counter.json("temporal-query-subscriptions-state", {"version": version, "value": value})


def address(iteration: int) -> str:
    return f'{KEY}|{{"ref":"main","value":{{"type":"tick","iteration":{iteration}}}}}'


def asked(counter: Thread, iteration: int, milliseconds: int = 10) -> Emitted:
    return counter.of(SCHEDULER, str(milliseconds), address(iteration))


async def test_every_state_is_published_once_and_in_order(tmp_path: Path) -> None:
    async with thread(workflows) as counter:
        await counter.new({"initialValue": 0, "iterations": 3, "tickMS": 10})
        records = [state(counter, 0, 0), asked(counter, 0)]
        await counter.emits(*records)

        for n in (1, 2):
            await counter.fire(address(n - 1))
            records += [state(counter, n, n * 10), asked(counter, n)]
            await counter.emits(*records)
        await counter.fire(address(2))

        records += [state(counter, 3, 30), counter.json(RESULT, 30)]
        await counter.emits(*records)
        assert await counter.emitted() == records
        assert await replays(counter.env, workflows[0], KEY, tmp_path) is RunStatus.COMPLETED


async def test_it_counts_ten_times_every_50_milliseconds_where_nothing_is_said() -> None:
    async with thread(workflows) as counter:
        await counter.new({"initialValue": 5})

        for n in range(10):
            await counter.fire(address(n))

        states = [state(counter, n, 5 + 10 * n) for n in range(11)]
        await counter.emits(*states, *(asked(counter, n, 50) for n in range(10)), counter.json(RESULT, 105))


async def test_no_turn_at_all_is_a_result_too() -> None:
    async with thread(workflows) as counter:
        await counter.new({"initialValue": 0.5, "iterations": 0})

        await counter.emits(state(counter, 0, 0.5), counter.json(RESULT, 0.5))


@pytest.mark.parametrize(
    "odd",
    [{"type": "tick", "iteration": 0}, {"type": "tick", "iteration": 2}, {"type": "sing", "iteration": 1}, None],
    ids=["of the turn before", "of the turn after", "of no tick", "null"],
)
async def test_what_is_not_the_tick_of_the_turn_is_an_error(odd: Anything) -> None:
    async with thread(workflows) as counter:
        await counter.new({"initialValue": 0, "iterations": 3, "tickMS": 10})
        await counter.fire(address(0))

        await counter.answer("main", odd)

        before = [state(counter, 0, 0), asked(counter, 0), state(counter, 1, 10), asked(counter, 1)]
        await counter.emits(*before, counter.json(ERROR, "unexpected tick signal at iteration 1"))
