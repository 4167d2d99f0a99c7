"""A bucket of NATS that is deleted and made anew while a store has it open, and what only looks like that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from holdfast.core.errors import StoreUnavailableError
from holdfast.ports import ABSENT, ANY, Conflict, Write, Written
from holdfast.stores.nats import NatsStore
from tests.integration.processes import Backend
from tests.stores.nats_kit import (
    BARE_BUCKET,
    call,
    client_of,
    create_stream,
    killed,
    new_bucket,
    opened_store,
    until_subjects,
)

pytestmark = pytest.mark.stores


@asynccontextmanager
async def replaced_bucket(backend: Backend, config: Mapping[str, Any] | None = None) -> AsyncIterator[NatsStore]:
    """A store that has written 20 documents to a bucket that was then deleted, and made anew by another store."""
    bucket = new_bucket()
    if config is not None:
        await create_stream(backend, bucket, config)
    async with opened_store(backend, bucket) as store:
        await store.write([Write(f"key-{number}", b"1", ABSENT) for number in range(20)])
        async with client_of(backend) as client:
            await call(client, f"STREAM.DELETE.KV_{bucket}")
        if config is not None:
            await create_stream(backend, bucket, config)
        async with opened_store(backend, bucket) as other:
            assert await other.write([Write("theirs", b"1", ABSENT)]) == [Written("1")]
        yield store


@pytest.mark.parametrize("config", [None, BARE_BUCKET], ids=["batches", "no batches"])
@pytest.mark.parametrize("count", [1, 3])
async def test_nothing_is_acknowledged_in_a_bucket_that_was_made_anew(
    count: int, config: Mapping[str, Any] | None, nats: Backend
) -> None:
    async with replaced_bucket(nats, config) as store:
        for _ in range(2):
            with pytest.raises(StoreUnavailableError, match=r"was replaced while it was in use.*restart"):
                await store.write([Write(f"new-{number}", b"1", ANY) for number in range(count)])
        with pytest.raises(StoreUnavailableError, match="was replaced"):
            await store.read(["theirs"])
        with pytest.raises(StoreUnavailableError, match="was replaced"):
            await anext(aiter(store.keys("")))

        await store.close()
        await store.open()
        assert set(await store.read(["theirs", "key-1"])) == {"theirs"}
        assert [type(result) for result in await store.write([Write("a", b"1", ABSENT)])] == [Written]


async def test_of_writes_at_the_same_time_none_is_acknowledged_in_a_bucket_that_was_made_anew(nats: Backend) -> None:
    async with replaced_bucket(nats) as store:
        writes = [store.write([Write(f"new-{number}", b"1", ABSENT)]) for number in range(100)]
        answers = await asyncio.gather(*writes, return_exceptions=True)

    assert {type(answer) for answer in answers} == {StoreUnavailableError}


async def test_writes_at_the_same_time_are_not_taken_for_a_bucket_made_anew(nats: Backend) -> None:
    async with opened_store(nats, new_bucket()) as store:
        for turn in range(5):
            sizes = [1 + number % 3 for number in range(100)]
            answers = await asyncio.gather(
                *(
                    store.write([Write(f"{turn}-{number}-{place}", b"1", ABSENT) for place in range(size)])
                    for number, size in enumerate(sizes)
                )
            )
            assert [len(answer) for answer in answers] == sizes


async def test_a_killed_server_whose_newest_messages_had_expired_is_no_new_bucket(own_nats: Backend) -> None:
    bucket = new_bucket()
    async with opened_store(own_nats, bucket) as store:
        await store.write([Write("kept", b"1", ABSENT)])
        async with client_of(own_nats) as client:
            for number in range(10):
                await client.jetstream().publish(f"$KV.{bucket}.brief-{number}", headers={"Nats-TTL": "1s"})
        (written,) = await store.write([Write("first", b"1", ABSENT)])
        assert written == Written("12")
        async with client_of(own_nats) as client:
            await client.jetstream().publish(f"$KV.{bucket}.first", headers={"Nats-TTL": "1s"})
        await until_subjects(own_nats, bucket, 1)

        async with killed(own_nats[0]):
            pass

        assert [type(result) for result in await until_written(store, Write("kept", b"2", ANY))] == [Written]


async def until_written(store: NatsStore, write: Write) -> list[Written | Conflict]:
    """Write once the store has connected again; a bucket that is taken for a new one stays refused."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await store.write([write])
            except StoreUnavailableError as error:
                if "was replaced" in str(error):
                    raise
            await asyncio.sleep(0.1)
