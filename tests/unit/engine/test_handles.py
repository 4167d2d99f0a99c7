"""Handles and waiting by them: which run they mean, and what a wait costs."""

import contextlib
import gc
from collections.abc import Awaitable, Callable

import pytest

from holdfast import RunStatus, UpdateRejectedError, WorkflowNotFoundError
from tests.unit.engine.kit import engine_on, nap, on_skipping_loop, parked, steps


@on_skipping_loop
async def test_a_handle_follows_the_newest_run_or_keeps_to_its_own() -> None:
    async with engine_on() as engine:
        first = await engine.start(steps, 1, id="a")
        await first.result()
        await engine.start(parked, 5, id="a")
        newest, own = engine.handle("a"), engine.handle("a", first.run_id)

        assert (await newest.describe()).workflow == "parked"
        assert (await own.describe()).workflow == "steps"
        assert await own.status() is RunStatus.COMPLETED
        for call in (own.signal("end"), own.cancel(), own.terminate(), own.query("x"), own.update("x")):
            with pytest.raises(WorkflowNotFoundError, match=r"has ended: its newest run is"):
                await call
        await newest.signal("end")
        assert await newest.result() == 5


@on_skipping_loop
async def test_a_wait_for_a_result_may_end_first_and_the_run_goes_on() -> None:
    async with engine_on() as engine:
        handle = await engine.start(nap, 60)
        with pytest.raises(TimeoutError):
            await handle.result(timeout=5)

        assert await handle.result(timeout=600) == "rested"


async def growth(act: Callable[[], Awaitable[object]]) -> int:
    """Say how many objects are left of doing something 200 times."""

    async def do(times: int) -> int:
        for _ in range(times):
            with contextlib.suppress(TimeoutError, UpdateRejectedError):
                await act()
        gc.collect()
        return len(gc.get_objects())

    return -await do(20) + await do(200)


@on_skipping_loop
async def test_waiting_in_short_bites_for_a_long_time_costs_no_memory() -> None:
    async with engine_on() as engine:
        handle = await engine.start(parked, id="a")

        assert await growth(lambda: handle.result(timeout=0.01)) < 100


@on_skipping_loop
async def test_refused_updates_cost_no_memory() -> None:
    async with engine_on() as engine:
        await engine.start(parked, id="a")

        assert await growth(lambda: engine.update("a", "nothing")) < 100
