"""Making, opening and closing an engine."""

import asyncio
import itertools
from collections.abc import Sequence

import pytest

from holdfast import Engine, RunStatus, StoreError, StoreUnavailableError, WorkflowContext
from holdfast.ports import Document
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import collect, engine_on, nap, on_skipping_loop, parked, steps
from tests.unit.engine.stores import Store, Unsure


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


class Unreadable(Store):
    """Refuses to read while it has a reason to."""

    refusal: StoreError | None = None

    async def read(self, keys: Sequence[str]) -> dict[str, Document]:
        if self.refusal is not None:
            raise self.refusal
        return await super().read(keys)


def not_async(ctx: WorkflowContext) -> Anything:
    """Not be a workflow."""


def test_an_unknown_option_or_a_bad_function_is_refused_when_the_engine_is_made() -> None:
    with pytest.raises(TypeError, match="colour"):
        Engine(MemoryStore(), colour="red")
    with pytest.raises(TypeError, match="workflow 'not_async' must be an async def"):
        Engine(MemoryStore(), workflows=[not_async])


@on_skipping_loop
async def test_a_call_on_a_run_that_cannot_be_read_waits_for_the_store() -> None:
    store = Unreadable()
    async with engine_on(store) as engine:
        await engine.start(collect, 1, id="a")
    async with engine_on(store) as engine:
        store.refusal = StoreUnavailableError("gone for a while")
        signalling = asyncio.create_task(engine.signal("a", "n", 1))
        await asyncio.sleep(60)
        assert not signalling.done()
        assert engine.not_ready() != ""
        store.refusal = None
        await signalling

        assert await engine.handle("a").result() == [1]


@on_skipping_loop
async def test_a_read_that_the_store_refuses_is_the_callers_error_and_the_next_call_reads_again() -> None:
    store = Unreadable()
    async with engine_on(store) as engine:
        await engine.start(collect, 1, id="a")
    async with engine_on(store) as engine:
        store.refusal = StoreError("not allowed")
        with pytest.raises(StoreError, match="not allowed"):
            await engine.signal("a", "n", 1)
        store.refusal = None
        await engine.signal("a", "n", 2)

        assert await engine.handle("a").result() == [2]


@on_skipping_loop
async def test_closing_gives_up_on_a_store_that_does_not_answer(caplog: pytest.LogCaptureFixture) -> None:
    store = Unsure()
    engine = engine_on(store, drain=5)
    await engine.open()
    await engine.start(parked, id="a")
    store.plan = itertools.repeat("lost")
    waiting = [
        asyncio.create_task(call)
        for call in (engine.signal("a", "end"), engine.start(parked, id="b"), engine.handle("a").result())
    ]
    await asyncio.sleep(1)
    loop = asyncio.get_running_loop()
    before = loop.time()
    await engine.close()

    assert loop.time() - before < 30
    assert "the store does not answer: the engine closes without its last writes" in caplog.text
    answers = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), timeout=1)
    assert [str(answer) for answer in answers] == ["the engine was closed before the store answered"] * 3
    assert {type(answer) for answer in answers} == {StoreUnavailableError}


@on_skipping_loop
async def test_whoever_closes_an_engine_that_closes_waits_until_it_is_closed() -> None:
    class Slow(MemoryStore):
        closed = False

        async def close(self) -> None:
            await asyncio.sleep(1)
            self.closed = True
            await super().close()

    store = Slow()
    engine = engine_on(store)
    await engine.open()
    first = asyncio.create_task(engine.close())
    await asyncio.sleep(0.5)

    await engine.close()

    assert store.closed
    await first


@on_skipping_loop
async def test_a_run_whose_workflow_is_left_out_is_parked_and_can_be_ended() -> None:
    store = Store()
    async with engine_on(store, workflows=[nap]) as engine:
        await engine.start(nap, 60, id="a")
        await engine.start(nap, 60, id="b")

    async with engine_on(store, workflows=[]) as engine:
        await asyncio.sleep(3600)
        assert (await engine.describe("a")).status is RunStatus.STALLED
        await engine.terminate("a")
        assert (await engine.describe("a")).status is RunStatus.TERMINATED
    async with engine_on(store, workflows=[nap]) as engine:
        assert await engine.handle("b").result() == "rested"
