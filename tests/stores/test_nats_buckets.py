"""The buckets of a NATS store: those of others are used as they are, and others can use its own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from nats.js.errors import KeyNotFoundError

from holdfast.core.errors import StoreError, StoreUnavailableError
from holdfast.ports import ABSENT, ANY, Conflict, Write, Written
from holdfast.stores.nats import NatsStore
from holdfast.stores.nats_keys import encode
from holdfast.testing.store_conformance import CHECKS, Check
from tests.integration.processes import Backend
from tests.stores.nats_kit import (
    BARE_BUCKET,
    DAY_NS,
    OneBucketFactory,
    client_of,
    create_stream,
    new_bucket,
    opened_store,
    stream_of,
    url_of,
)

pytestmark = pytest.mark.stores

OLD_BUCKETS = {
    "neither batches nor direct reads": BARE_BUCKET,
    "direct reads without batches": {**BARE_BUCKET, "allow_direct": True},
    "batches without direct reads": {**BARE_BUCKET, "allow_atomic": True},
    "a history of each key": {**BARE_BUCKET, "max_msgs_per_subject": 5, "allow_atomic": True, "allow_msg_ttl": True},
}


@pytest.mark.parametrize("config", OLD_BUCKETS.values(), ids=OLD_BUCKETS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_a_bucket_that_can_do_less_keeps_the_contract(
    check: Check, config: dict[str, Any], nats: Backend
) -> None:
    bucket = new_bucket()
    await create_stream(nats, bucket, config)

    await check(OneBucketFactory(nats, bucket))


@pytest.mark.parametrize("config", OLD_BUCKETS.values(), ids=OLD_BUCKETS)
async def test_a_bucket_that_is_there_stays_as_it_is(config: dict[str, Any], nats: Backend) -> None:
    bucket = new_bucket()
    before = await create_stream(nats, bucket, config)

    async with opened_store(nats, bucket) as store:
        await store.write([Write("a", b"1", ABSENT), Write("b", b"1", ABSENT)])
        can = store.capabilities

    assert (await stream_of(nats, bucket))["config"] == before
    assert (can.guard, can.atomic_batch, can.durable) == ("key", config.get("allow_atomic", False), True)


async def test_what_was_before_a_deletion_does_not_come_back_in_a_bucket_with_a_history(nats: Backend) -> None:
    bucket = new_bucket()
    await create_stream(nats, bucket, OLD_BUCKETS["a history of each key"])
    async with opened_store(nats, bucket) as store:
        await store.write([Write("key", b"1", ABSENT), Write("other", b"1", ABSENT)])
        await store.write([Write("key", None, ANY), Write("other", b"2", ANY)])

    async with client_of(nats) as client:
        (entry, *_) = reversed(await (await client.jetstream().key_value(bucket)).history("key"))

    assert entry.operation == "DEL"
    async with client_of(nats) as client:
        message = await client.jetstream().get_last_msg(f"KV_{bucket}", f"$KV.{bucket}.key")
    assert "Nats-TTL" not in (
        message.headers or {}
    )  # once the marker had expired, the value before would be the newest


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({**BARE_BUCKET, "max_age": DAY_NS}, "vanish with their age"),
        ({**BARE_BUCKET, "discard": "old", "max_bytes": 1_000_000}, "vanish to make room"),
        ({**BARE_BUCKET, "discard": "old", "max_msgs": 100}, "vanish to make room"),
        ({"retention": "workqueue"}, "vanish once they are read"),
        ({**BARE_BUCKET, "discard_new_per_subject": True}, "written only once"),
        ({**BARE_BUCKET, "subjects": ["orders.>"]}, "does not hold the subjects"),
        ({**BARE_BUCKET, "max_msg_size": 50_000}, "takes no documents of 64 KiB"),
    ],
)
async def test_a_bucket_that_would_lose_documents_is_refused(config: dict[str, Any], words: str, nats: Backend) -> None:
    bucket = new_bucket()
    await create_stream(nats, bucket, config)

    with pytest.raises(StoreError, match=words) as refused:
        await NatsStore(url_of(nats), bucket=bucket).open()

    assert not isinstance(refused.value, StoreUnavailableError)


async def test_a_bucket_in_memory_does_not_claim_to_be_durable(nats: Backend) -> None:
    bucket = new_bucket()
    await create_stream(nats, bucket, {**BARE_BUCKET, "storage": "memory"})

    async with opened_store(nats, bucket) as store:
        assert not store.capabilities.durable


async def test_a_full_bucket_is_an_outage_and_no_fault_of_the_documents(nats: Backend) -> None:
    bucket = new_bucket()
    await create_stream(nats, bucket, {**BARE_BUCKET, "max_bytes": 10_000, "allow_atomic": True})

    async with opened_store(nats, bucket) as store:
        with pytest.raises(StoreUnavailableError, match="maximum bytes exceeded"):
            await store.write([Write("a", b"1", ABSENT), Write("b", b"x" * 20_000, ABSENT)])
        assert await store.read(["a", "b"]) == {}


async def test_the_limit_of_the_bucket_is_that_of_the_store(nats: Backend) -> None:
    bucket = new_bucket()
    await create_stream(nats, bucket, {**BARE_BUCKET, "max_msg_size": 100_000})

    async with opened_store(nats, bucket) as store:
        limit = store.capabilities.max_value_bytes
        assert 90_000 < limit < 100_000
        (written,) = await store.write([Write("key", b"x" * limit, ABSENT)])
        assert isinstance(written, Written)
        with pytest.raises(StoreError, match=f"at most {limit} are allowed"):
            await store.write([Write("key", b"x" * (limit + 1), ANY)])


@pytest.mark.parametrize("replicas", [3, 7], ids=["too many for one server", "too many for any cluster"])
async def test_replicas_that_cannot_be_had_are_refused_at_once(replicas: int, nats: Backend) -> None:
    store = NatsStore(url_of(nats), bucket=new_bucket(), replicas=replicas, connect_timeout=3600)

    async with asyncio.timeout(60):
        with pytest.raises(StoreError, match="opening the bucket") as refused:
            await store.open()

    assert not isinstance(refused.value, StoreUnavailableError)
    assert "is JetStream enabled?" not in str(refused.value)


async def test_other_clients_see_the_documents_and_the_deletions(nats: Backend) -> None:
    bucket = new_bucket()
    async with opened_store(nats, bucket) as store, client_of(nats) as client:
        keys = ["order-1", "a.b", "run:order-1", "page:a.b:3"]
        results = await store.write([Write(key, key.encode(), ABSENT) for key in keys])
        await store.write([Write("a.b", None, ANY)])
        theirs = await client.jetstream().key_value(bucket)

        assert sorted(await theirs.keys()) == sorted(["order-1", "run=3Aorder-1", "page=3Aa.b=3A3"])
        for key, result in zip(keys, results, strict=True):
            if key == "a.b":
                with pytest.raises(KeyNotFoundError):
                    await theirs.get("a.b")
                continue
            entry = await theirs.get(encode(key))
            assert isinstance(result, Written)
            assert (entry.value, str(entry.revision)) == (key.encode(), result.version)


async def test_what_other_clients_write_and_delete_counts(nats: Backend) -> None:
    bucket = new_bucket()
    async with opened_store(nats, bucket) as store, client_of(nats) as client:
        theirs = await client.jetstream().key_value(bucket)
        revision = await theirs.put("theirs", b"1")
        await theirs.put("deleted", b"1")
        await theirs.delete("deleted")
        await theirs.put("purged", b"1")
        await theirs.purge("purged")
        await theirs.put("not:ours", b"1", validate_keys=False)

        assert (await store.read(["theirs", "deleted", "purged"]))["theirs"].version == str(revision)
        assert [key async for key in store.keys("")] == ["theirs"]
        assert await store.write([Write("theirs", b"2", ABSENT), Write("new", b"2", ABSENT)]) == [Conflict()] * 2
        created = await store.write([Write("deleted", b"2", ABSENT), Write("purged", b"2", ABSENT)])
        assert [type(result) for result in created] == [Written] * 2
        assert (await theirs.get("purged")).value == b"2"
