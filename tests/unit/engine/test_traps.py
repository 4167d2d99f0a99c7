"""What workflow code does in the wild: results in one tick, loops that never wait, large inputs, changed values."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from holdfast import RunStatus, WorkflowContext, WorkflowFailedError
from holdfast.ports import Conflict, Write, Written
from tests.play import Anything, Code
from tests.unit.engine.kit import echo, engine_on, eventually, on_skipping_loop, steps
from tests.unit.engine.stores import Store


@pytest.mark.parametrize("cached", [0, 10])
@pytest.mark.parametrize("paused", [False, True])
@on_skipping_loop
async def test_of_two_results_in_one_tick_wait_for_the_first_completed_sees_one_live_and_on_replay(
    *, paused: bool, cached: int
) -> None:
    """Results are applied one at a time, so what is done first does not depend on what shares a commit."""
    gate = asyncio.Event()

    async def held(number: int) -> int:
        await gate.wait()
        return number

    async def run(ctx: WorkflowContext) -> list[list[int]]:
        rounds = []
        pending = {asyncio.create_task(ctx.execute_activity(held, number)) for number in range(3)}
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            rounds.append(sorted(task.result() for task in done))
            await ctx.execute_activity(echo, len(rounds))
        return rounds

    options: dict[str, Any] = {"max_cached_runs": cached, "dev_replay": True}
    async with engine_on(workflows=[run], activities=[held, echo], **options) as engine:
        handle = await engine.start(run, id="a")
        if paused:  # then the results are put off, and applied in one turn
            await engine.pause("a")
        commits = engine.stats().commits
        gate.set()
        await engine.settled()
        if paused:
            assert engine.stats().commits == commits + 1
            await engine.resume("a")

        assert await handle.result() == [[0], [1, 2]]


@on_skipping_loop
async def test_a_loop_over_sleep_zero_until_something_holds_stalls_its_run_and_no_other() -> None:
    async def spins(ctx: WorkflowContext) -> None:
        ready: list[Any] = []
        while not ready:  # noqa: ASYNC110 - the trap itself
            await asyncio.sleep(0)

    async with engine_on(workflows=[spins, steps]) as engine:
        await engine.start(spins, id="spins")

        assert await engine.execute(steps, 5, id="other") == [0, 1, 2, 3, 4]
        assert (await engine.describe("spins")).status is RunStatus.STALLED
        assert engine.not_ready() == ""


async def exits(ctx: WorkflowContext) -> None:
    await ctx.execute_activity(echo, 1)
    raise SystemExit(3)


async def interrupts(ctx: WorkflowContext) -> None:
    await ctx.execute_activity(echo, 1)
    raise KeyboardInterrupt


@pytest.mark.parametrize("workflow", [exits, interrupts])
@on_skipping_loop
async def test_sys_exit_in_workflow_code_ends_that_run_and_not_the_process(workflow: Code) -> None:
    async with engine_on(workflows=[workflow, steps]) as engine:
        with pytest.raises(WorkflowFailedError):
            await engine.execute(workflow, id="exits")

        assert await engine.execute(steps, 2, id="other") == [0, 1]


@on_skipping_loop
async def test_a_mutated_activity_result_is_whole_again_after_replay() -> None:
    async def basket() -> list[str]:
        return ["tea"]

    async def run(ctx: WorkflowContext) -> list[Any]:
        items = await ctx.execute_activity(basket)
        items.append(await ctx.receive_signal("item"))
        before = list(items)
        items.append(await ctx.receive_signal("item"))
        return [before, items, await ctx.execute_activity(echo, items)]

    async def outcome(cached: int) -> Anything:
        async with engine_on(workflows=[run], activities=[basket, echo], max_cached_runs=cached) as engine:
            handle = await engine.start(run, id="a")
            await engine.settled()
            for item in ("milk", "bread"):
                await engine.signal("a", "item", item)
            return await handle.result()

    assert await outcome(cached=10) == [["tea", "milk"], ["tea", "milk", "bread"], ["tea", "milk", "bread"]]
    assert await outcome(cached=0) == await outcome(cached=10)


class Weighing(Store):
    """Notes how many bytes each call wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[int] = []

    async def apply(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        self.weights.append(sum(weight(write) for write in writes))
        return await super().apply(writes)


def weight(write: Write) -> int:
    return len(write.value or b"")


@on_skipping_loop
async def test_a_thousand_steps_with_inputs_of_100_kb_cost_no_more_at_the_end_than_at_the_beginning() -> None:
    """Neither the run's own input nor those of its steps are written again with each step."""
    size, count = 100_000, 1_000

    async def measure(text: str) -> int:
        return len(text)

    async def run(ctx: WorkflowContext, text: str) -> int:
        return sum([await ctx.execute_activity(measure, text) for _ in range(count)])

    store = Weighing()
    async with engine_on(store, workflows=[run], activities=[measure], checkpoint_commits=10**6) as engine:
        handle = await engine.start(run, "x" * size, id="a")

        assert await handle.result(timeout=600) == size * count
        await eventually(lambda: engine.is_settled)

    steps_written = [weight for weight in store.weights if weight > size]
    assert len(steps_written) >= count
    assert max(steps_written[1:]) < 1.2 * size
    assert sum(steps_written[-100:]) <= 1.05 * sum(steps_written[1:101])
    assert sum(weight for weight in store.weights if weight <= size) < 50 * size
