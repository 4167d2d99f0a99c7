"""Making, opening and closing an engine."""

import asyncio

import pytest

from holdfast import (
    Engine,
    StoreError,
    WorkflowContext,
)
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import engine_on, on_skipping_loop, parked, steps


@on_skipping_loop
async def test_an_engine_is_opened_once_and_closed_any_number_of_times() -> None:
    engine = engine_on()
    with pytest.raises(StoreError, match="the engine is new, not open"):
        await engine.start(steps)
    await engine.open()
    with pytest.raises(StoreError, match="an engine is opened once"):
        await engine.open()
    await engine.close()
    await engine.close()
    with pytest.raises(StoreError, match="the engine is closed, not open"):
        await engine.start(steps)
    assert engine.not_ready() == "the engine is closed"


@on_skipping_loop
async def test_whoever_waits_when_the_engine_closes_is_told() -> None:
    engine = engine_on()
    await engine.open()
    handle = await engine.start(parked, id="a")
    waiting = asyncio.create_task(handle.result())
    await asyncio.sleep(1)
    await engine.close()

    done, _ = await asyncio.wait([waiting], timeout=60)
    waiting.cancel()
    assert done
    assert isinstance(waiting.exception(), StoreError)


def not_async(ctx: WorkflowContext) -> Anything:
    """Not be a workflow."""


def test_an_unknown_option_or_a_bad_function_is_refused_when_the_engine_is_made() -> None:
    with pytest.raises(TypeError, match="colour"):
        Engine(MemoryStore(), colour="red")
    with pytest.raises(TypeError, match="workflow 'not_async' must be an async def"):
        Engine(MemoryStore(), workflows=[not_async])
