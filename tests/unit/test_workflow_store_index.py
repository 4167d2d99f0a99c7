"""The index of ids that the store of whole workflow states keeps where its backend cannot list."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence

import pytest

from holdfast.core.errors import (
    CorruptDocumentError,
    StoreError,
    StoreUnavailableError,
)
from holdfast.ports import ANY, Conflict, Document, Write, Written
from holdfast.stores import WorkflowState, WorkflowStore
from tests.unit.workflow_store_kit import Unlisted


async def test_without_listing_an_id_that_is_known_costs_one_write() -> None:
    backend = Unlisted()
    async with WorkflowStore(backend) as store:
        await store.save(WorkflowState("a"))
        first, backend.writes = backend.writes, []
        await store.save(WorkflowState("a", status="completed"))

        assert first == [f"workflow-ids:{zlib.crc32(b'a') % 64}", "a"]
        assert backend.writes == ["a"]
    async with WorkflowStore(backend) as again:
        await again.list()
        backend.writes = []
        await again.save(WorkflowState("a"))
        assert backend.writes == ["a"]


async def test_without_listing_stores_that_write_at_once_lose_no_id() -> None:
    class Interleaved(Unlisted):
        """Lets others in at every call, so that the index changes between reading and writing it."""

        async def read(self, keys: Sequence[str]) -> dict[str, Document]:
            found = await super().read(keys)
            await asyncio.sleep(0)
            return found

    backend = Interleaved()
    stores = [WorkflowStore(backend) for _ in range(4)]
    ids = [f"wf-{number}" for number in range(200)]

    async def save_some(place: int) -> None:
        for workflow_id in ids[place::4]:
            await stores[place].save(WorkflowState(workflow_id))

    await asyncio.gather(*(save_some(place) for place in range(4)))

    assert [state.workflow_id for state in await WorkflowStore(backend).list()] == sorted(ids)
    for store in stores:
        await store.close()


async def test_without_listing_an_index_that_never_holds_still_is_told() -> None:
    class Contested(Unlisted):
        async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
            return [Conflict()] * len(writes)

    with pytest.raises(StoreError, match=r"^memory/save: index: workflow-ids:\d+ was changed by others 20 times"):
        await WorkflowStore(Contested()).save(WorkflowState("a"))


async def test_without_listing_an_id_whose_document_was_never_written_is_left_out() -> None:
    class DiesHalfWay(Unlisted):
        async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
            if writes[0].key == "b":
                message = "gone"
                raise StoreUnavailableError(message)
            return await super().write(writes)

    store = WorkflowStore(DiesHalfWay())
    await store.save(WorkflowState("a"))
    with pytest.raises(StoreUnavailableError):
        await store.save(WorkflowState("b"))

    assert await store.list() == [WorkflowState("a")]
    assert await store.load("b") is None


@pytest.mark.parametrize("damaged", [b"{", b"{}"])
async def test_without_listing_a_damaged_index_is_told(damaged: bytes) -> None:
    backend = Unlisted()
    async with WorkflowStore(backend) as store:
        await store.save(WorkflowState("a"))
        await backend.write([Write(f"workflow-ids:{zlib.crc32(b'a') % 64}", damaged, ANY)])

        with pytest.raises(CorruptDocumentError, match=r"^memory/list: index: workflow-ids:\d+ is not an index of ids"):
            await store.list()
