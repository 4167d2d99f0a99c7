"""The SQLite store: what it promises of every commit, of cancelled tasks, of its log and of failing disks."""
# ruff: noqa: ASYNC240 - a test's loop has nothing else to do while the test looks at a file

from __future__ import annotations

import asyncio
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from holdfast.core.errors import StoreUnavailableError
from holdfast.ports import ABSENT, ANY, Conflict, Write, Written
from holdfast.stores import SqliteStore, sqlite_file, sqlite_format
from tests.unit.sqlite_kit import filled, put, value_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


async def test_a_closed_store_is_one_file_that_says_whose_it_is(path: Path) -> None:
    await filled(path)

    assert [file.name for file in path.parent.iterdir()] == ["runs.db"]
    assert path.read_bytes()[68:72] == b"Hold"


async def test_every_commit_is_synced_to_the_disk_by_a_log_that_this_process_has_alone(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    session = store._session  # noqa: SLF001 - settings cannot be seen from outside
    assert session is not None

    def setting(name: str) -> object:
        return session.file._connection.execute(f"pragma {name}").fetchone()[0]  # noqa: SLF001 - as above

    names = ("synchronous", "journal_mode", "fullfsync", "wal_autocheckpoint")
    settings = {name: await session.thread.call(setting, name) for name in names}
    files = {file.name for file in path.parent.iterdir()}
    await store.close()

    assert settings == {"synchronous": 2, "journal_mode": "wal", "fullfsync": 1, "wal_autocheckpoint": 0}
    assert files == {"runs.db", "runs.db-wal"}  # no -shm: nobody else is to look in
    assert store.capabilities.exclusive


async def test_a_wish_of_another_version_is_a_conflict_whatever_it_looks_like(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    await put(store, "key", b"1")

    for version in ("", "abc", "99999999999999999999", "1.5"):
        assert await store.write([Write("key", b"2", version)]) == [Conflict()]
    assert await store.write([Write("key", None, ABSENT)]) == [Conflict()]
    assert await value_of(store, "key") == b"1"
    await store.close()


async def test_versions_grow_past_the_block_that_was_reserved(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (sqlite_file, sqlite_format):
        monkeypatch.setattr(module, "VERSIONS_PER_OPEN", 3)
    seen: list[int] = []
    for _ in range(3):
        store = SqliteStore(path)
        await store.open()
        for _ in range(5):
            result = await put(store, "key", b"1")
            assert isinstance(result, Written)
            seen.append(int(result.version))
        await store.write([Write("key", None, ANY)])
        await store.close()

    assert seen == sorted(set(seen))


async def test_keys_of_many_pages_are_listed_in_order(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    for start in range(0, 2_500, 500):
        await store.write([Write(f"run:{number:05}", b"1", ABSENT) for number in range(start, start + 500)])
    await put(store, "run", b"1")
    await put(store, "rux", b"1")

    assert [key async for key in store.keys("run:")] == [f"run:{number:05}" for number in range(2_500)]
    assert len([key async for key in store.keys("")]) == 2_502
    await store.close()


async def test_opening_an_open_store_does_nothing_and_it_can_be_opened_again(path: Path) -> None:
    store = SqliteStore(path, busy_timeout=timedelta(0))
    await store.open()
    await store.open()
    await put(store, "key", b"1")
    await store.close()
    await store.close()
    await store.open()

    assert await value_of(store, "key") == b"1"
    await store.close()


async def test_a_batch_whose_task_is_cancelled_is_written_all_the_same(path: Path) -> None:
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
    store = SqliteStore(path)
    await store.open()

    for number in range(50):
        task = asyncio.create_task(store.write([Write(f"key:{number}", b"1", ABSENT), Write("last", b"1", ANY)]))
        await asyncio.sleep(0)  # the batch is handed to the thread
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert len([key async for key in store.keys("key:")]) == 50
    assert isinstance(await put(store, "key:0", b"2"), Written)
    assert complaints == []
    await store.close()


async def test_after_a_batch_that_the_driver_cannot_take_the_store_goes_on(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()

    with pytest.raises(UnicodeEncodeError):
        await store.write([Write("key", b"1", ANY), Write("half a surrogate pair: \ud800", b"1", ABSENT)])

    assert await value_of(store, "key") is None
    assert isinstance(await put(store, "key", b"2"), Written)
    await store.close()


async def test_opening_that_is_cancelled_leaves_the_file_to_others(path: Path) -> None:
    holder, waiter, next_one = (SqliteStore(path) for _ in range(3))
    await holder.open()
    task = asyncio.create_task(waiter.open())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await holder.close()

    await next_one.open()

    assert isinstance(await put(next_one, "key", b"1"), Written)
    await next_one.close()


async def test_closing_waits_for_the_writes_before_it_and_ends_the_thread(path: Path) -> None:
    threads_before = set(threading.enumerate())
    store = SqliteStore(path)
    await store.open()
    writing = asyncio.gather(*(put(store, f"key:{number}", b"1") for number in range(20)))
    await asyncio.sleep(0)
    (thread,) = set(threading.enumerate()) - threads_before

    await store.close()
    await writing
    thread.join(timeout=10)

    assert thread.name == "holdfast-sqlite"
    assert not thread.is_alive()
    await store.open()
    assert len([key async for key in store.keys("key:")]) == 20
    await store.close()


async def test_a_store_that_nobody_closed_does_not_outlive_its_loop(path: Path) -> None:
    """The answer to a job comes when its loop is gone; the next user of the file finds it whole."""

    def abandon() -> None:
        async def start() -> None:
            store = SqliteStore(path)
            await store.open()
            task = asyncio.ensure_future(put(store, "key", b"1"))
            await asyncio.sleep(0)
            task.cancel()
            store_closed = asyncio.ensure_future(store.close())
            await asyncio.sleep(0)
            store_closed.cancel()

        asyncio.run(start())

    await asyncio.to_thread(abandon)
    store = SqliteStore(path)
    await store.open()

    assert await value_of(store, "key") == b"1"
    await store.close()


async def test_the_log_is_moved_into_the_file_when_no_write_comes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "QUIET_SECONDS", 0.0)
    store = SqliteStore(path)
    await store.open()
    size_before = path.stat().st_size

    await store.write([Write(f"key:{number}", b"1" * 1_000, ABSENT) for number in range(500)])
    await store.read([])  # comes after the upkeep of the write before it

    assert path.stat().st_size > size_before + 500_000
    await store.close()


async def test_a_log_that_grows_too_large_is_moved_and_shrinks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 1_000_000
    for module in (sqlite_file, sqlite_format):
        monkeypatch.setattr(module, "LOG_BYTES", limit)
    monkeypatch.setattr(sqlite_file, "QUIET_SECONDS", 3_600.0)
    monkeypatch.setattr(
        sqlite_format,
        "_CONNECT",
        [pragma.replace(str(64 * 1024 * 1024), str(limit)) for pragma in sqlite_format._CONNECT],  # noqa: SLF001
    )
    store = SqliteStore(path)
    await store.open()
    sizes = []
    for number in range(100):
        await put(store, f"key:{number % 10}", b"%d" % number * 50_000)
        await store.read([])
        sizes.append(path.with_name("runs.db-wal").stat().st_size)
    await store.close()

    one_write = 150_000
    assert max(sizes) <= limit + one_write
    assert sizes.count(max(sizes)) < len(sizes) / 2  # it shrank, and grew again


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size: the kernel then refuses to write, as a failing disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_disk_that_fails_is_an_outage_and_the_store_works_again(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    await put(store, "key", b"1")

    with file_size_limit(path.with_name("runs.db-wal").stat().st_size), pytest.raises(StoreUnavailableError):
        await store.write([Write("key", b"2", ANY), Write("large", b"1" * 500_000, ANY)])

    assert await value_of(store, "key") == b"1"
    assert await value_of(store, "large") is None
    assert isinstance((await store.write([Write("key", b"2", ANY), Write("large", b"1" * 500_000, ANY)]))[0], Written)
    await store.close()
    await store.open()
    assert await value_of(store, "key") == b"2"
    await store.close()


async def test_a_checkpoint_that_fails_loses_nothing(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = SqliteStore(path)
    await store.open()
    await store.write([Write(f"key:{number}", b"1" * 10_000, ABSENT) for number in range(100)])
    with file_size_limit(path.stat().st_size):
        await store.close()
    assert path.with_name("runs.db-wal").exists()

    await store.open()

    assert len(await store.read([f"key:{number}" for number in range(100)])) == 100
    await store.close()
    assert not caplog.records


async def test_a_checkpoint_that_fails_meanwhile_is_logged_and_tried_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("QUIET_SECONDS", "RETRY_SECONDS"):
        monkeypatch.setattr(sqlite_file, name, 0.0)
    await filled(path, count=1_000)
    store = SqliteStore(path)
    await store.open()
    await store.read([])
    size = path.stat().st_size

    with file_size_limit(size):
        await store.write([Write(f"large:{number}", b"1" * 10_000, ABSENT) for number in range(size // 15_000)])
        await store.read([])
        assert "the log could not be moved into the file yet" in caplog.text
        assert path.stat().st_size == size  # looked at before the limit goes: it is tried again at once

    await put(store, "key:0", b"1")
    await store.read([])
    assert path.stat().st_size > size
    assert await value_of(store, "large:0") == b"1" * 10_000
    await store.close()


async def test_a_file_that_was_moved_or_deleted_takes_no_writes_until_it_is_back(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    await put(store, "a", b"1")

    away = path.rename(path.with_name("away.db"))
    with pytest.raises(StoreUnavailableError, match=r"runs\.db was moved or deleted while it was open"):
        await put(store, "a", b"2")
    path.write_bytes(b"another")
    with pytest.raises(StoreUnavailableError, match="was moved or deleted"):
        await put(store, "a", b"2")
    away.replace(path)

    await put(store, "a", b"3")
    assert await value_of(store, "a") == b"3"
    await store.close()
