"""Heads that are gone: the index knows of the run, so it is corrupt, and nobody pretends that it never was."""

import asyncio
import logging

import pytest

from holdfast import CorruptDocumentError, RunStatus, WorkflowNotFoundError
from holdfast.ports import ABSENT, Write
from holdfast.stores import MemoryStore
from tests.unit.engine.kit import collect, engine_on, on_skipping_loop, steps
from tests.unit.engine.stores import put


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="holdfast")


async def lost() -> MemoryStore:
    """Make a store with a run whose head is gone, and one beside it."""
    store = MemoryStore()
    async with engine_on(store) as engine:
        await engine.start(collect, 1, id="bad")
        await engine.start(collect, 1, id="good")
    put(store, "run:bad", None)
    return store


@on_skipping_loop
async def test_a_run_whose_head_is_gone_is_corrupt_not_unknown() -> None:
    async with engine_on(await lost()) as engine:
        for call in (engine.signal("bad", "n", 1), engine.history("bad"), engine.cancel("bad")):
            with pytest.raises(CorruptDocumentError, match="document 'run:bad' is missing"):
                await call
        assert (await engine.describe("bad")).status is RunStatus.CORRUPT
        assert [item.workflow_id for item in (await engine.list(status="corrupt")).items] == ["bad"]
        with pytest.raises(WorkflowNotFoundError):
            await engine.signal("nobody", "n", 1)


@on_skipping_loop
async def test_it_can_be_purged_and_its_id_used_again() -> None:
    store = await lost()
    async with engine_on(store) as engine:
        await engine.purge("bad")
        assert [item.workflow_id for item in (await engine.list()).items] == ["good"]
        with pytest.raises(WorkflowNotFoundError):
            await engine.describe("bad")
    async with engine_on(store) as engine:
        assert await engine.execute(steps, 1, id="bad") == [0]


@on_skipping_loop
async def test_a_start_begins_anew_and_what_came_before_it_is_refused() -> None:
    async with engine_on(await lost()) as engine:
        early = asyncio.create_task(engine.signal("bad", "n", 0))
        started = asyncio.create_task(engine.start(collect, 1, id="bad"))
        late = asyncio.create_task(engine.signal("bad", "n", 5))
        with pytest.raises(CorruptDocumentError):
            await early
        await late

        assert await (await started).result() == [5]
        assert (await engine.list(status="corrupt")).items == []


@on_skipping_loop
async def test_a_damaged_head_that_nothing_is_known_of_is_no_run_to_purge() -> None:
    store = await lost()
    await store.open()
    await store.write([Write("run:stranger", b"{}", ABSENT)])
    async with engine_on(store) as engine:
        with pytest.raises(CorruptDocumentError, match="run:stranger"):
            await engine.purge("stranger")
        await engine.signal("good", "n", 5)
        assert await engine.handle("good").result() == [5]
