"""Runs that are half-way when something happens to their store, and what each has to have come to in the end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from holdfast import ActivityContext, Engine, WorkflowContext, activity
from tests.integration.processes import until

RUNS = 20


@activity
async def double(number: int) -> int:
    return 2 * number


async def steps(ctx: WorkflowContext, number: int) -> Sequence[int]:
    """Take one step, wait to be told the next number, take a step with that."""
    first = await ctx.execute_activity(double, number)
    told = await ctx.receive_signal("next", type=int)
    return [first, await ctx.execute_activity(double, told)]


async def start_all(engine: Engine) -> None:
    await asyncio.gather(*(engine.start(steps, number, id=f"run-{number}") for number in range(RUNS)))


async def signal_all(engine: Engine) -> None:
    tell = [engine.signal(f"run-{number}", "next", number + 100, id=f"told-{number}") for number in range(RUNS)]
    await asyncio.gather(*tell)


async def check_all(engine: Engine) -> None:
    for number in range(RUNS):
        assert await engine.handle(f"run-{number}").result(timeout=60) == [2 * number, 2 * (number + 100)]
        history = [str(event.type) for event in await engine.history(f"run-{number}")]
        assert history.count("activity_completed") == 2
        assert history.count("signal_received") == 1


async def until_unavailable(engine: Engine) -> None:
    """Wait until the engine has noticed that its store is away."""
    await asyncio.to_thread(until, lambda: engine.not_ready() != "", "the engine notices that its store is away")


class Climb:
    """A workflow of many steps, and a count of how often each step of each of its runs was taken.

    Attributes:
        done: The count.
        workflow: Takes as many steps as it is told, and gives the sum of their numbers.
        activity: Takes one.
    """

    def __init__(self) -> None:
        done = self.done = Counter[tuple[str, int]]()

        @activity
        async def count(step: int, context: ActivityContext) -> int:
            done[context.workflow_id, step] += 1
            return step

        async def climb(ctx: WorkflowContext, steps: int) -> int:
            return sum([await ctx.execute_activity(count, step) for step in range(steps)])

        self.workflow = climb
        self.activity = count

    def start(self, engine: Engine, steps: int) -> asyncio.Future[list[int]]:
        """Start `RUNS` of them, and give what is done when all have ended."""
        return asyncio.gather(*(engine.execute(self.workflow, steps, id=f"climb-{number}") for number in range(RUNS)))

    def check(self, results: Sequence[int], steps: int) -> None:
        """Each step of each run was taken, and none twice."""
        assert results == [sum(range(steps))] * RUNS
        assert self.done == Counter({(f"climb-{number}", step): 1 for number in range(RUNS) for step in range(steps)})

    def is_under_way(self, least: int) -> bool:
        """Say whether so many steps were taken."""
        return len(self.done) >= least
