"""The store of whole workflow states: what it keeps, how it lists, and what its errors say."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from holdfast.core.errors import (
    CorruptDocumentError,
    InvalidIdError,
    PayloadError,
    StoreError,
    StoreUnavailableError,
)
from holdfast.ports import ABSENT, ANY, Conflict, Document, StateStore, Write, Written
from holdfast.stores import MemoryStore, SqliteStore, WorkflowFilter, WorkflowState, WorkflowStore
from tests.unit.workflow_store_kit import Unlisted

BEGAN = datetime(2026, 11, 21, 8, 30, 0, 123456, tzinfo=UTC)
FULL = WorkflowState(
    workflow_id="order-123",
    status="completed",
    run_id="run-1",
    input={"sku": "A1", "note": "Grüße, 世界"},
    result=[1, 2.5, None, True],
    error="was late",
    history=({"type": "workflow_started", "input": 1}, {"type": "workflow_completed"}),
    created_at=BEGAN,
    updated_at=BEGAN + timedelta(hours=1),
)


class Away(MemoryStore):
    """A backend that can be opened and then does not answer."""

    name = "kafka"  # type: ignore[misc]

    async def read(self, keys: Sequence[str]) -> dict[str, Document]:
        message = "broker 1 is down"
        raise StoreUnavailableError(message, retry_after=2.5)

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        message = "broker 1 is down"
        raise StoreUnavailableError(message, retry_after=2.5)


@pytest.fixture(params=["memory", "unlisted", "sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> StateStore:
    if request.param == "sqlite":
        return SqliteStore(tmp_path / "states.db")
    return Unlisted() if request.param == "unlisted" else MemoryStore()


async def test_a_state_comes_back_as_it_was_saved(backend: StateStore) -> None:
    async with WorkflowStore(backend) as store:
        await store.save(FULL)
        await store.save(WorkflowState("bare"))

        assert await store.load("order-123") == FULL
        assert await store.load("bare") == WorkflowState("bare", status="running")
        assert await store.load("unknown") is None


async def test_the_newest_save_wins(backend: StateStore) -> None:
    async with WorkflowStore(backend) as store:
        await store.save(WorkflowState("a", status="running"))
        await store.save(WorkflowState("a", status="failed", error="no stock"))

        assert await store.load("a") == WorkflowState("a", status="failed", error="no stock")
        assert await store.list() == [WorkflowState("a", status="failed", error="no stock")]


async def test_listing_filters_by_status_up_to_a_limit_in_the_order_of_ids(backend: StateStore) -> None:
    async with WorkflowStore(backend) as store:
        assert await store.list() == []
        for number in reversed(range(120)):
            await store.save(WorkflowState(f"wf-{number:03}", status="failed" if number % 3 == 0 else "running"))

        async def ids(wanted: WorkflowFilter | None = None) -> list[str]:
            return [state.workflow_id for state in await store.list(wanted)]

        everything = [f"wf-{number:03}" for number in range(120)]
        assert await ids() == everything
        assert await ids(WorkflowFilter()) == everything
        assert await ids(WorkflowFilter(status="", limit=0)) == everything
        assert await ids(WorkflowFilter(limit=2)) == everything[:2]
        assert await ids(WorkflowFilter(status="failed")) == everything[::3]
        assert await ids(WorkflowFilter(status="failed", limit=39)) == everything[::3][:39]
        assert await ids(WorkflowFilter(status="canceled")) == []


async def test_deleting_really_deletes_and_what_is_absent_is_no_error(backend: StateStore) -> None:
    async with WorkflowStore(backend) as store:
        await store.save(FULL)
        await store.delete(FULL.workflow_id)
        await store.delete(FULL.workflow_id)
        await store.delete("never-there")

        assert await store.load(FULL.workflow_id) is None
        assert await store.list() == []
        assert await backend.read([FULL.workflow_id]) == {}
        await store.save(FULL)
        assert await store.list() == [FULL]


async def test_states_outlive_the_store_object(backend: StateStore) -> None:
    async with WorkflowStore(backend) as store:
        for workflow_id in ("a", "b", "c"):
            await store.save(WorkflowState(workflow_id))
        await store.delete("b")

    async with WorkflowStore(backend) as again:
        assert await again.list() == [WorkflowState("a"), WorkflowState("c")]
        await again.save(WorkflowState("d"))
        assert [state.workflow_id for state in await again.list()] == ["a", "c", "d"]


async def test_the_first_use_opens_once_and_closing_is_final_until_opened_again() -> None:
    class Counted(MemoryStore):
        opened = 0

        async def open(self) -> None:
            self.opened += 1
            await asyncio.sleep(0)
            await super().open()

    backend = Counted()
    store = WorkflowStore(backend)
    await asyncio.gather(*(store.save(WorkflowState(f"a{number}")) for number in range(5)))
    assert backend.opened == 1

    await store.close()
    await store.close()
    with pytest.raises(StoreError, match=r"^memory/load: open: the store has been closed$"):
        await store.load("a1")
    await store.open()
    assert await store.load("a1") == WorkflowState("a1")
    await store.close()


@dataclass
class Item:
    sku: str
    at: datetime


class Order(BaseModel):
    items: list[Item]


async def test_models_and_dataclasses_are_kept_as_json(backend: StateStore) -> None:
    async with WorkflowStore(backend) as store:
        await store.save(
            WorkflowState("a", input=Order(items=[Item("A1", BEGAN)]), history=({"item": Item("B", BEGAN)},))
        )

        loaded = await store.load("a")
        assert loaded is not None
        assert loaded.input == {"items": [{"sku": "A1", "at": "2026-11-21T08:30:00.123456Z"}]}
        assert loaded.history[0]["item"]["sku"] == "B"


def test_a_state_cannot_be_changed_and_takes_any_sequence_of_events() -> None:
    events = [{"type": "workflow_started"}]
    state = WorkflowState("a", history=events)  # type: ignore[arg-type]
    events.clear()

    assert state.history == ({"type": "workflow_started"},)
    with pytest.raises(AttributeError):
        state.status = "failed"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("workflow_id", "cause"),
    [
        ("", "the workflow id is empty"),
        ("a b", "'a b' may hold letters and digits"),
        ("a/b", "may hold"),
        ("a||b", "may hold"),
        ("a\n", "may hold"),
        ("ü", "may hold"),
        ("run:order-1", "begins like the key of an internal document"),
        ("workflow-ids:3", "begins like the key of an internal document"),
    ],
)
async def test_an_id_that_cannot_be_a_key_is_an_error(backend: StateStore, workflow_id: str, cause: str) -> None:
    store = WorkflowStore(backend)
    name = "sqlite" if isinstance(backend, SqliteStore) else "memory"

    with pytest.raises(InvalidIdError, match=f"^{name}/save: id: .*{cause}"):
        await store.save(WorkflowState(workflow_id))
    with pytest.raises(InvalidIdError, match=f"^{name}/load: id: .*{cause}"):
        await store.load(workflow_id)
    with pytest.raises(InvalidIdError, match=f"^{name}/delete: id: .*{cause}"):
        await store.delete(workflow_id)


async def test_any_other_key_is_an_id(backend: StateStore) -> None:
    ids = ["-", ".", "..", ":", "0", "A:b.c_d-E", "runs", "tenant:run:1", "x" * 300]
    async with WorkflowStore(backend) as store:
        for workflow_id in ids:
            await store.save(WorkflowState(workflow_id))

        assert [state.workflow_id for state in await store.list()] == sorted(ids)


async def test_errors_say_who_did_what_and_why() -> None:
    store = WorkflowStore(Away())

    with pytest.raises(StoreUnavailableError, match=r"^kafka/save: write: broker 1 is down$") as failed:
        await store.save(WorkflowState("a"))
    assert failed.value.retry_after == 2.5
    with pytest.raises(StoreUnavailableError, match=r"^kafka/load: read: broker 1 is down$"):
        await store.load("a")
    with pytest.raises(StoreUnavailableError, match=r"^kafka/delete: write: broker 1 is down$"):
        await store.delete("a")


async def test_opening_what_cannot_be_opened_says_so_at_every_use(tmp_path: Path) -> None:
    store = WorkflowStore(SqliteStore(tmp_path / "missing" / "states.db"))

    for call in (store.open, store.list):
        with pytest.raises(StoreError, match=r"^sqlite/(open|list): open: .*missing does not exist"):
            await call()


async def test_what_has_no_json_form_is_refused_before_anything_is_written(backend: StateStore) -> None:
    async with WorkflowStore(backend) as store:
        for value in (float("nan"), object(), {1, object()}, 2**70):
            with pytest.raises(
                PayloadError, match=r"^(memory|sqlite)/save: encode: the state cannot be written as JSON"
            ):
                await store.save(WorkflowState("a", input=value))

        assert await store.list() == []


async def test_a_state_larger_than_the_backend_takes_is_refused() -> None:
    async with WorkflowStore(MemoryStore(max_value_bytes=1_000)) as store:
        with pytest.raises(
            PayloadError, match=r"^memory/save: encode: the state is .* bytes; the limit is 1,000"
        ) as big:
            await store.save(WorkflowState("a", input="x" * 1_000))

        assert big.value.too_large


@pytest.mark.parametrize("damaged", [b"{", b"[]", b"7", b'{"status":"running"}', b'{"workflow_id":"a","status":7}'])
async def test_what_is_not_a_state_is_told_with_its_id_and_can_be_deleted(backend: StateStore, damaged: bytes) -> None:
    async with WorkflowStore(backend) as store:
        await store.save(WorkflowState("a"))
        await backend.write([Write("a", damaged, ANY)])

        with pytest.raises(CorruptDocumentError, match=r"^(memory|sqlite)/load: decode: 'a': "):
            await store.load("a")
        with pytest.raises(CorruptDocumentError, match=r"^(memory|sqlite)/list: decode: 'a': "):
            await store.list()
        await store.delete("a")
        assert await store.list() == []


async def test_records_of_an_engine_on_the_same_backend_are_not_listed() -> None:
    backend = MemoryStore()
    async with WorkflowStore(backend) as store:
        records = (
            "run:a",
            "page:x:1",
            "commit:0:7",
            "owner:0",
            "index:0:1",
            "blob:x:1",
            "past:x",
            "seen:x:0",
            "held:0:1",
        )
        await backend.write([Write(key, b"{}", ABSENT) for key in (*records, "dead:0:1")])
        await store.save(WorkflowState("a"))

        assert await store.list() == [WorkflowState("a")]
