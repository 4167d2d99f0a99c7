"""The memory store, shared by engines of one process, and the limits that every store checks before it writes."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from holdfast.core.errors import StoreError, StoreUnavailableError
from holdfast.ports import ABSENT, ANY, StateStore, Write, Written
from holdfast.stores import MemoryStore, SqliteStore


async def test_data_outlives_closing_of_the_same_object() -> None:
    store = MemoryStore()
    await store.open()
    (written,) = await store.write([Write("key", b"1", ABSENT)])
    await store.close()
    await store.open()

    assert isinstance(written, Written)
    assert (await store.read(["key"]))["key"] == (b"1", written.version)
    assert isinstance((await store.write([Write("key", b"2", written.version)]))[0], Written)


async def test_a_shared_store_stays_open_until_each_of_its_users_has_closed_it() -> None:
    store = MemoryStore()
    await store.open()
    await store.open()
    await store.close()
    await store.write([Write("key", b"1", ABSENT)])
    await store.close()
    await store.close()

    with pytest.raises(StoreError, match="not open"):
        await store.read(["key"])
    await store.open()
    assert set(await store.read(["key"])) == {"key"}


async def test_writing_does_not_let_others_run() -> None:
    store = MemoryStore()
    await store.open()
    write = store.write([Write("key", b"1", ABSENT)])

    with pytest.raises(StopIteration) as finished:  # the first step of the coroutine is its last
        write.send(None)

    assert isinstance(finished.value.value[0], Written)


async def test_listing_is_not_disturbed_by_writing_meanwhile() -> None:
    store = MemoryStore()
    await store.open()
    await store.write([Write(f"key:{number}", b"1", ABSENT) for number in range(10)])

    listed = []
    async for key in store.keys("key:"):
        listed.append(key)
        await store.write([Write(f"key:{key}", b"1", ABSENT), Write(key, None, ANY)])

    assert listed == [f"key:{number}" for number in range(10)]


def test_engines_on_threads_of_their_own_lose_no_update() -> None:
    store = MemoryStore()
    asyncio.run(store.open())

    def count_up(_: int) -> None:
        async def loop() -> None:
            for _ in range(200):
                written = False
                while not written:
                    document = (await store.read(["count"])).get("count")
                    value = 1 if document is None else int(document.value) + 1
                    expected = ABSENT if document is None else document.version
                    (result,) = await store.write([Write("count", b"%d" % value, expected)])
                    written = isinstance(result, Written)

        asyncio.run(loop())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count_up, range(4)))

    assert asyncio.run(store.read(["count"]))["count"].value == b"800"


@pytest.mark.parametrize(
    ("writes", "reason"),
    [
        ([Write(f"k{number}", b"1", ANY) for number in range(4)], "4 writes in one batch; at most 3 are allowed"),
        ([Write("a", b"1", ANY), Write("b", b"x" * 11, ANY)], "the value of 'b' has 11 bytes; at most 10 are allowed"),
        ([Write("a" * 9, b"x" * 10, ANY), Write("b", b"1", ANY)], "21 bytes in one batch; at most 20 are allowed"),
    ],
)
async def test_a_batch_over_a_limit_is_refused_before_any_of_it_is_written(writes: list[Write], reason: str) -> None:
    store = MemoryStore(max_value_bytes=10, max_batch=3, max_batch_bytes=20)
    await store.open()

    with pytest.raises(StoreError, match=reason) as refused:
        await store.write(writes)

    assert not isinstance(refused.value, StoreUnavailableError)
    assert [key async for key in store.keys("")] == []


async def test_what_is_exactly_at_the_limits_is_written() -> None:
    store = MemoryStore(max_value_bytes=10, max_batch=3, max_batch_bytes=20)
    await store.open()

    await store.write([Write("a", b"x" * 10, ANY), Write("b" * 7, b"1", ANY), Write("c", None, ANY)])
    await store.write([Write("long key", b"x" * 10, ANY)])

    with pytest.raises(StoreError, match="4 keys in one read; at most 3 are allowed"):
        await store.read(["a", "b", "c", "d"])
    assert set(await store.read(["a", "b" * 7, "long key"])) == {"a", "b" * 7, "long key"}


async def test_sqlite_has_the_same_limits(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "runs.db")
    await store.open()
    limits = store.capabilities

    for writes in (
        [Write(f"k{number}", b"1", ANY) for number in range(limits.max_batch + 1)],
        [Write("a", bytes(limits.max_value_bytes + 1), ANY)],
        [Write(f"k{number}", bytes(limits.max_value_bytes), ANY) for number in range(4)],
    ):
        with pytest.raises(StoreError, match="allowed"):
            await store.write(writes)
    with pytest.raises(StoreError, match="allowed"):
        await store.read(["key"] * (limits.max_batch + 1))

    assert [key async for key in store.keys("")] == []
    await store.close()


def test_every_store_can_be_named_in_errors(tmp_path: Path) -> None:
    stores: list[StateStore] = [MemoryStore(), SqliteStore(tmp_path / "runs.db")]

    assert [getattr(store, "name", None) for store in stores] == ["memory", "sqlite"]
