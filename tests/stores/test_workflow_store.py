"""Whole workflow states are kept by every kind of store, in the same words."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from holdfast import InvalidIdError, PayloadError, StoreError, StoreUnavailableError, stores
from holdfast.stores import WorkflowFilter, WorkflowState, WorkflowStore
from tests.stores.workflow_store_places import EVERY_KIND, PLACES, Place

FULL = WorkflowState(
    workflow_id="order-123",
    status="completed",
    run_id="run-1",
    input={"sku": "A1", "note": "Grüße, 世界"},
    result=[1, 2.5, None, True],
    error="was late",
    history=({"type": "workflow_started", "input": 1}, {"type": "workflow_completed"}),
    created_at=datetime(2026, 11, 21, 8, 30, tzinfo=UTC),
    updated_at=datetime(2026, 11, 21, 9, 30, tzinfo=UTC),
)


@pytest.fixture(params=EVERY_KIND)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with PLACES[request.param](request, tmp_path) as place:
        yield place


def test_every_kind_of_store_is_tried() -> None:
    assert sorted(PLACES) == stores.names()


async def test_a_state_is_saved_loaded_and_replaced_under_its_own_id(place: Place) -> None:
    async with place.store() as store:
        assert await store.load("order-123") is None
        await store.save(WorkflowState("order-123"))
        await store.save(FULL)

        assert await store.load("order-123") == FULL
        assert await store.load("order-12") is None

    backend = place.backend()
    await backend.open()
    document = (await backend.read(["order-123"]))["order-123"]
    await backend.close()
    assert b'"workflow_id":"order-123"' in document.value.replace(b" ", b"")


async def test_states_are_listed_by_status_up_to_a_limit_in_the_order_of_ids(place: Place) -> None:
    async with place.store() as store:
        assert await store.list() == []
        ids = [f"wf-{number:02}" for number in range(24)]
        for number, workflow_id in reversed(list(enumerate(ids))):
            await store.save(WorkflowState(workflow_id, status="failed" if number % 3 == 0 else "running"))

        async def found(wanted: WorkflowFilter | None = None) -> list[str]:
            return [state.workflow_id for state in await store.list(wanted)]

        assert await found() == ids
        assert await found(WorkflowFilter(status="failed")) == ids[::3]
        assert await found(WorkflowFilter(limit=2)) == ids[:2]
        assert await found(WorkflowFilter(status="failed", limit=5)) == ids[::3][:5]
        assert await found(WorkflowFilter(status="canceled")) == []


async def test_deleting_deletes_and_what_is_absent_is_no_error(place: Place) -> None:
    async with place.store() as store:
        await store.delete("never-there")
        await store.save(FULL)
        await store.delete(FULL.workflow_id)
        await store.delete(FULL.workflow_id)

        assert await store.load(FULL.workflow_id) is None
        assert await store.list() == []
        await store.save(FULL)
        assert await store.list() == [FULL]


async def test_states_are_found_by_a_store_that_is_opened_later(place: Place) -> None:
    async with place.store() as store:
        for workflow_id in ("a", "b", "c"):
            await store.save(WorkflowState(workflow_id))
        await store.delete("b")

    async with place.store() as again:
        assert await again.list() == [WorkflowState("a"), WorkflowState("c")]
        await again.save(WorkflowState("d"))
        assert [state.workflow_id for state in await again.list()] == ["a", "c", "d"]


PATIENCE_SECONDS = {"kafka": 20.0}
"""How long others may wait to see a write: Kafka tells them only once it has marked the transaction as committed."""


async def seen(store: WorkflowStore, place: Place, states: list[WorkflowState]) -> None:
    """Check that a store lists these states, soon where the backend takes its time."""
    due = time.monotonic() + PATIENCE_SECONDS.get(place.kind, 0.0)
    while (listed := await store.list()) != states:
        assert time.monotonic() < due, listed


async def test_states_that_another_instance_saves_are_found(place: Place) -> None:
    if not place.shared:
        async with place.store() as store:
            await store.save(WorkflowState("a"))
            with pytest.raises(StoreUnavailableError, match=rf"^{place.kind}/open: open: another process has .* open"):
                await WorkflowStore(stores.open(place.url, wait=0)).open()
        return

    async with place.store() as one, place.store() as other:
        await one.save(WorkflowState("a"))
        await seen(other, place, [WorkflowState("a")])
        await other.save(WorkflowState("b"))
        await other.save(WorkflowState("a", status="failed"))

        await seen(one, place, [WorkflowState("a", status="failed"), WorkflowState("b")])
        assert await one.load("b") == WorkflowState("b")
        await other.delete("a")
        await seen(one, place, [WorkflowState("b")])
        assert await one.load("a") is None


async def test_a_store_is_closed_once_and_not_used_afterwards(place: Place) -> None:
    store = place.store()
    await asyncio.gather(*(store.save(WorkflowState(f"a{number}")) for number in range(3)))
    await store.close()
    await store.close()

    for operation, use in {
        "save": store.save(FULL),
        "load": store.load("a1"),
        "list": store.list(),
        "delete": store.delete("a1"),
    }.items():
        with pytest.raises(StoreError, match=rf"^{place.kind}/{operation}: open: the store has been closed$"):
            await use
    await store.open()
    assert len(await store.list()) == 3
    await store.close()


async def test_errors_say_who_did_what_and_why(place: Place) -> None:
    async with place.store() as store:
        with pytest.raises(InvalidIdError, match=rf"^{place.kind}/save: id: the workflow id is empty$"):
            await store.save(WorkflowState(""))
        with pytest.raises(InvalidIdError, match=rf"^{place.kind}/load: id: 'a b' may hold letters and digits"):
            await store.load("a b")
        with pytest.raises(InvalidIdError, match=rf"^{place.kind}/delete: id: the workflow id is empty$"):
            await store.delete("")
        with pytest.raises(PayloadError, match=rf"^{place.kind}/save: encode: the state cannot be written as JSON"):
            await store.save(WorkflowState("a", input=object()))
        limit = "the state is .* bytes; the limit is"
        with pytest.raises(PayloadError, match=rf"^{place.kind}/save: encode: {limit}") as large:
            await store.save(WorkflowState("a", input="x" * 17_000_000))

        assert large.value.too_large
        assert await store.list() == []


IDS = "- 0 A:b.c_d-E a aa runs tenant:run:1 . .. a. .a a..b".split()  # noqa: SIM905 - a line of ids reads better
NO_KEYS = {"inngest": [".", ".."]}
"""What a kind cannot keep, because of what carries its keys."""


async def test_ids_of_every_character_and_length_are_kept_apart(place: Place) -> None:
    refused = NO_KEYS.get(place.kind, [])
    ids = [each for each in [*IDS, "x" * 200, "x" * 201] if each not in refused]
    async with place.store() as store:
        for workflow_id in ids:
            await store.save(WorkflowState(workflow_id))
        for workflow_id in refused:
            with pytest.raises(StoreError, match=rf"^{place.kind}/save: write: '\.+' cannot be the key of a document"):
                await store.save(WorkflowState(workflow_id))

        assert [state.workflow_id for state in await store.list()] == sorted(ids)
        assert [await store.load(workflow_id) for workflow_id in ids] == [WorkflowState(each) for each in ids]
