"""While many runs are brought back Python looks for cycles less often, and afterwards as often as before."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from holdfast import Engine, WorkflowContext, activity
from holdfast.stores import MemoryStore
from tests.unit.engine.kit import eventually

seen: list[int] = []


@activity
async def never_ends() -> None:
    await asyncio.Event().wait()


async def notes_how_often(ctx: WorkflowContext) -> None:
    seen.append(gc.get_threshold()[0])
    await ctx.execute_activity(never_ends)


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[None]:
    seen.clear()
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.mark.parametrize(("often", "meanwhile"), [(700, 50_000), (80_000, 80_000), (0, 0)])
async def test_python_looks_for_cycles_less_often_while_runs_are_brought_back(often: int, meanwhile: int) -> None:
    store = MemoryStore()
    await store.open()  # keeps what is in it, whoever closes it
    gc.set_threshold(often, 11, 12)
    for _ in range(2):
        async with Engine(store, workflows=[notes_how_often], activities=[never_ends], drain=0) as engine:
            if not seen:
                await engine.start(notes_how_often, id="a")
            await eventually(lambda: engine.stats().attempts)  # so there is work that the next one has to go on with
            assert gc.get_threshold() == (often, 11, 12)

    assert seen == [often, meanwhile]
