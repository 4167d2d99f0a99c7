"""The NATS store against a real server: the contract, its versions, deletions, lists and limits."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.core.errors import StoreError, StoreUnavailableError
from holdfast.ports import ABSENT, ANY, Conflict, StateStore, Write, Written
from holdfast.stores import WorkflowFilter, WorkflowState, WorkflowStore, nats_writes
from holdfast.stores.nats import NatsStore
from holdfast.testing.store_conformance import CHECKS, Check
from tests.integration.processes import Backend
from tests.stores.nats_kit import (
    NatsFactory,
    call,
    client_of,
    new_bucket,
    opened_store,
    stream_of,
    until_subjects,
    url_of,
)

pytestmark = pytest.mark.stores


async def versions_of(store: StateStore, writes: list[Write]) -> list[str]:
    """Write, and give the versions; every write has to take effect."""
    results = await store.write(writes)
    assert all(isinstance(result, Written) for result in results), results
    return [result.version for result in results if isinstance(result, Written)]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_it_keeps_the_contract(check: Check, nats: Backend) -> None:
    await check(NatsFactory(nats))


async def test_a_bucket_of_its_own_can_do_everything(nats: Backend) -> None:
    async with opened_store(nats, new_bucket()) as store:
        can = store.capabilities

    assert (can.durable, can.guard, can.atomic_batch, can.list_keys, can.exclusive) == (True, "key", True, True, False)
    assert can.max_batch == 1_000
    assert 1_000_000 < can.max_value_bytes < 1_048_576


async def test_versions_of_a_full_batch_are_its_own_while_others_write(nats: Backend) -> None:
    bucket = new_bucket()
    async with opened_store(nats, bucket) as store, opened_store(nats, bucket) as other:
        keys = [f"run:{number}" for number in range(1_000)]
        batch = [Write(key, b'{"of": "the batch"}', ABSENT) for key in keys]
        noise = [versions_of(other, [Write(f"noise:{number}", b"1", ABSENT)]) for number in range(200)]

        versions, *_ = await asyncio.gather(versions_of(store, batch), *noise)

        found = await store.read(keys)
        assert [found[key].version for key in keys] == versions
        results = await store.write([Write(key, b"2", old) for key, old in zip(keys, versions, strict=True)])
        assert all(isinstance(result, Written) for result in results)


async def test_one_stale_key_fails_a_full_batch(nats: Backend) -> None:
    async with opened_store(nats, new_bucket()) as store:
        keys = [f"run:{number}" for number in range(1_000)]
        versions = await versions_of(store, [Write(key, b"1", ABSENT) for key in keys])
        await versions_of(store, [Write(keys[500], b"2", versions[500])])

        results = await store.write([Write(key, b"3", old) for key, old in zip(keys, versions, strict=True)])

        assert results == [Conflict()] * 1_000
        values = {document.value for document in (await store.read(keys)).values()}
        assert values == {b"1", b"2"}


async def test_what_marks_a_deletion_is_no_conflict_and_a_real_one_beside_it_is(nats: Backend) -> None:
    async with opened_store(nats, new_bucket()) as store:
        await versions_of(store, [Write("gone", b"1", ABSENT), Write("there", b"1", ABSENT)])
        await versions_of(store, [Write("gone", None, ANY)])

        refused = await store.write([Write("gone", b"2", ABSENT), Write("there", b"2", ABSENT)])
        created = await store.write([Write("gone", b"3", ABSENT), Write("new", b"3", ABSENT)])

        assert refused == [Conflict()] * 2
        assert all(isinstance(result, Written) for result in created)
        found = await store.read(["gone", "there", "new"])
        assert {key: document.value for key, document in found.items()} == {"gone": b"3", "there": b"1", "new": b"3"}


async def test_deleting_at_a_version_what_is_gone_stops_nothing_else_in_the_batch(nats: Backend) -> None:
    async with opened_store(nats, new_bucket()) as store:
        (version,) = await versions_of(store, [Write("gone", b"1", ABSENT)])
        await versions_of(store, [Write("gone", None, version)])

        results = await store.write(
            [Write("gone", None, version), Write("never", None, "7"), Write("new", b"2", ABSENT)]
        )

        assert [type(result) for result in results] == [Written] * 3
        assert set(await store.read(["gone", "never", "new"])) == {"new"}


async def test_the_version_of_a_deletion_creates_nothing(nats: Backend) -> None:
    async with opened_store(nats, new_bucket()) as store:
        await versions_of(store, [Write("gone", b"1", ABSENT)])
        (version,) = await versions_of(store, [Write("gone", None, ANY)])

        for name in (version, "0", "00", "٣", "9" * 30):
            assert await store.write([Write("gone", b"2", name), Write("other", b"2", ANY)]) == [Conflict()] * 2
        assert await store.read(["gone", "other"]) == {}


async def test_what_marks_deletions_is_gone_after_a_while(nats: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = nats_writes._EXPIRING_MARKER  # noqa: SLF001 - a minute is long for a test
    assert marker["Nats-TTL"] == "60s"
    monkeypatch.setitem(marker, "Nats-TTL", "1s")
    bucket = new_bucket()
    async with opened_store(nats, bucket) as store:
        keys = [f"commit:0:{number}" for number in range(100)]
        await versions_of(store, [Write(key, b"1", ABSENT) for key in [*keys, "kept"]])
        await versions_of(store, [Write(key, None, ANY) for key in keys])
        marked = (await stream_of(nats, bucket))["state"]["num_subjects"]
        await until_subjects(nats, bucket, 1)

        created = await store.write([Write(key, b"2", ABSENT) for key in keys])

        assert marked == 101
        assert all(isinstance(result, Written) for result in created)
        assert len(await store.read([*keys, "kept"])) == 101


async def test_keys_of_others_are_listed_and_read(nats: Backend) -> None:
    bucket = new_bucket()
    async with opened_store(nats, bucket) as store, opened_store(nats, bucket) as other:
        theirs = {f"run:{number:04}" for number in range(5_000)}
        for start in range(0, 5_000, 1_000):
            await versions_of(other, [Write(key, b"1", ABSENT) for key in sorted(theirs)[start : start + 1_000]])
        await versions_of(other, [Write("run:0000", None, ANY), Write("past:1", b"1", ABSENT)])

        listed = [key async for key in store.keys("run:")]

        assert sorted(listed) == sorted(theirs - {"run:0000"})
        assert len(await store.read(listed[:1_000])) == 1_000


async def test_a_key_that_is_written_while_keys_are_listed_is_listed_once(nats: Backend) -> None:
    async with opened_store(nats, new_bucket()) as store:
        keys = [f"run:{number:04}" for number in range(3_000)]
        for start in range(0, 3_000, 1_000):
            await versions_of(store, [Write(key, b"1", ABSENT) for key in keys[start : start + 1_000]])
        listed: list[str] = []

        async for key in store.keys(""):
            if not listed:
                await versions_of(store, [Write(key, b"2", ANY) for key in keys[:1_000]])
            listed.append(key)

        assert sorted(listed) == keys


async def test_documents_of_a_read_may_be_larger_together_than_an_answer(nats: Backend) -> None:
    async with opened_store(nats, new_bucket()) as store:
        size = store.capabilities.max_value_bytes
        keys = [f"blob:{number}" for number in range(24)]
        for key in keys:
            await versions_of(store, [Write(key, key.encode().ljust(size), ABSENT)])

        found = await store.read([*keys, "blob:absent"])

        assert {key: document.value.rstrip() for key, document in found.items()} == {key: key.encode() for key in keys}


async def test_what_is_too_large_is_refused_before_it_ends_the_connection(nats: Backend) -> None:
    async with opened_store(nats, new_bucket()) as store:
        for refused in (
            Write("large", b"x" * (store.capabilities.max_value_bytes + 1), ABSENT),
            Write("k" * 2_001, b"1", ABSENT),
            Write(":" * 700, b"1", ABSENT),
            Write("", b"1", ABSENT),
        ):
            with pytest.raises(StoreError) as error:
                await store.write([Write("beside", b"1", ABSENT), refused])
            assert not isinstance(error.value, StoreUnavailableError)
        with pytest.raises(StoreError, match="1 to 2000 bytes"):
            await store.read(["k" * 2_001])

        longest = Write("k" * 2_000, b"x" * store.capabilities.max_value_bytes, ABSENT)
        assert [type(result) for result in await store.write([longest])] == [Written]
        assert set(await store.read([longest.key, "beside"])) == {longest.key}


async def test_a_given_connection_is_left_open(nats: Backend) -> None:
    async with client_of(nats) as client:
        store = NatsStore.with_connection(client, bucket=new_bucket())
        await store.open()
        await versions_of(store, [Write("key", b"1", ABSENT)])
        await store.close()

        with pytest.raises(StoreError, match="is not open"):
            await store.read(["key"])
        assert client.is_connected
        assert (await call(client, "INFO"))["streams"] >= 1


async def test_workflow_states_of_other_processes_are_found(nats: Backend) -> None:
    bucket = new_bucket()
    async with (
        WorkflowStore(NatsStore(url_of(nats), bucket=bucket)) as ours,
        WorkflowStore(NatsStore(url_of(nats), bucket=bucket)) as theirs,
    ):
        for number in range(5):
            await theirs.save(
                WorkflowState(f"order-{number}", "failed" if number % 2 else "running", input={"n": number})
            )

        assert await ours.load("order-3") == WorkflowState("order-3", "failed", input={"n": 3})
        assert await ours.load("order-9") is None
        assert [state.workflow_id for state in await ours.list(WorkflowFilter("failed"))] == ["order-1", "order-3"]
        assert len(await ours.list(WorkflowFilter(limit=3))) == 3
        await ours.delete("order-3")
        await ours.delete("order-9")
        assert await theirs.load("order-3") is None
        assert len(await theirs.list()) == 4


async def test_workflow_states_are_at_their_ids_and_errors_say_who_did_what(own_nats: Backend) -> None:
    server, _ = own_nats
    store = WorkflowStore(NatsStore(url_of(own_nats), timeout=1.0))
    await store.save(WorkflowState("order.1", result=42))
    async with client_of(own_nats) as client:
        bucket = await client.jetstream().key_value("beluga_workflows")
        assert b'"result":42' in ((await bucket.get("order.1")).value or b"")

    server.kill()

    for operation, error in (
        ("save: write", store.save(WorkflowState("order.1"))),
        ("load: read", store.load("order.1")),
    ):
        with pytest.raises(StoreUnavailableError, match=f"^nats/{operation}: "):
            await error
    await store.close()
