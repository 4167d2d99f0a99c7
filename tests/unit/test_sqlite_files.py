"""What the SQLite store does with files that are not its own, or not whole: it says so and leaves them alone."""
# ruff: noqa: ASYNC240 - a test's loop has nothing else to do while the test looks at a file

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from holdfast.core.errors import CorruptDocumentError, StoreError, StoreUnavailableError
from holdfast.ports import ABSENT, ANY, Write, Written
from holdfast.stores import SqliteStore, sqlite_file, sqlite_format
from tests.unit.sqlite_kit import filled, folder_bytes, value_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


def text_file(path: Path) -> None:
    path.write_text("a shopping list\n" * 500)


def scrap(path: Path) -> None:
    path.write_bytes(b"x")


def half_a_header(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\x00" + bytes(30))


def empty_sqlite_file(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("vacuum")


def sqlite_file_of_others(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("create table users (id integer); insert into users values (1)")


def sqlite_file_of_others_with_a_log(path: Path) -> None:
    """Leave what a killed process leaves: commits that are only in the log."""
    with closing(sqlite3.connect(path.parent / "scratch.db")) as connection:
        connection.executescript("pragma journal_mode = wal; create table users (id integer)")
        for suffix in ("", "-wal", "-shm"):
            scratch = path.parent / f"scratch.db{suffix}"
            path.with_name(path.name + suffix).write_bytes(scratch.read_bytes())
    (path.parent / "scratch.db").unlink()


def sqlite_file_with_an_id(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("pragma application_id = 4711; create table documents (key text)")


def our_id_on_tables_of_others(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            f"pragma application_id = {sqlite_format.APPLICATION_ID}; pragma user_version = 1;"
            "create table documents (key text); create table meta (name text); create table invoices (id integer)"
        )


def newer_schema(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            f"pragma application_id = {sqlite_format.APPLICATION_ID}; pragma user_version = 2;"
            "create table pages (number integer)"
        )


def log_without_its_file(path: Path) -> None:
    path.with_name("runs.db-wal").write_bytes(b"commits")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (text_file, "runs.db is not an SQLite file"),
        (scrap, "runs.db is not an SQLite file"),
        (half_a_header, "runs.db is not an SQLite file"),
        (empty_sqlite_file, "runs.db is an SQLite file of another application"),
        (sqlite_file_of_others, "runs.db is an SQLite file of another application"),
        (sqlite_file_of_others_with_a_log, "runs.db is an SQLite file of another application"),
        (sqlite_file_with_an_id, r"runs.db is an SQLite file of another application \(application_id 0x1267\)"),
        (our_id_on_tables_of_others, "runs.db holds tables that are not ours: invoices"),
        (newer_schema, "runs.db was written by a newer Holdfast: its schema is 2, this one knows up to 1"),
        (log_without_its_file, "runs.db is missing or empty, but .*runs.db-wal holds commits that belong to it"),
        (Path.mkdir, "runs.db is a folder"),
    ],
)
async def test_a_file_that_is_not_ours_is_refused_and_left_as_it_was(
    path: Path, make: Callable[[Path], None], reason: str
) -> None:
    make(path)
    before = folder_bytes(path)

    store = SqliteStore(path, busy_timeout=0)
    with pytest.raises(StoreError, match=reason) as refused:
        await store.open()

    assert not isinstance(refused.value, StoreUnavailableError)  # trying again would not help
    assert folder_bytes(path) == before
    with pytest.raises(StoreError, match="not open"):
        await store.read(["key"])


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"the folder .*missing does not exist"):
        await SqliteStore(tmp_path / "missing" / "runs.db").open()

    assert list(tmp_path.iterdir()) == []


def name_too_long(folder: Path) -> Path:
    return folder / ("x" * 300)


def link_to_nowhere(folder: Path) -> Path:
    link = folder / "runs.db"
    link.symlink_to(folder / "missing" / "runs.db")
    return link


@pytest.mark.parametrize("make", [name_too_long, link_to_nowhere])
async def test_a_path_where_no_file_can_be_is_no_outage(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    with pytest.raises(StoreError, match="cannot be opened") as refused:
        await SqliteStore(make(tmp_path)).open()

    assert not isinstance(refused.value, StoreUnavailableError)


def test_memory_is_refused_with_a_hint() -> None:
    with pytest.raises(StoreError, match="MemoryStore keeps documents in memory"):
        SqliteStore(":memory:")


async def test_an_empty_file_and_an_odd_name_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "runs of ?mode=ro & 100% #1.db"
    path.touch()

    await filled(path)
    await filled(tmp_path / "as text.db")
    store = SqliteStore(str(path))
    await store.open()

    assert await value_of(store, "key:1") == b'"value"'
    await store.close()


async def test_a_file_cut_off_in_a_checkpoint_opens_and_is_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill in a checkpoint may leave a first page that counts more pages than the file has; the log has the rest."""
    monkeypatch.setattr(sqlite_file, "QUIET_SECONDS", 3_600.0)
    await filled(path)
    before = path.read_bytes()
    store = SqliteStore(path)
    await store.open()
    await store.write([Write(f"large:{number}", b"1" * 5_000, ABSENT) for number in range(200)])
    log = path.with_name("runs.db-wal").read_bytes()
    await store.close()
    (page_size,) = struct.unpack(">I", log[8:12])
    frames = [log[at : at + 24 + page_size] for at in range(32, len(log), 24 + page_size)]
    newest_first_page = [frame[24:] for frame in frames if struct.unpack(">I", frame[:4]) == (1,)][-1]

    path.write_bytes(newest_first_page + before[page_size:])
    path.with_name("runs.db-wal").write_bytes(log)
    again = SqliteStore(path)
    await again.open()

    assert await value_of(again, "large:199") == b"1" * 5_000
    assert await value_of(again, "key:1") == b'"value"'
    await again.close()


async def test_a_file_whose_creation_was_cut_off_is_created_anew(path: Path) -> None:
    """A kill after the tables are laid out and before that is committed leaves the journal that takes them back."""
    scratch = path.with_name("scratch.db")
    with closing(sqlite3.connect(scratch, isolation_level=None)) as connection:
        connection.executescript("pragma cache_size = 1; begin")
        for statement in sqlite_format._CREATE:  # noqa: SLF001 - what the killed process did
            connection.execute(statement)
        connection.execute("insert into documents values ('key', 1, ?)", (bytes(100_000),))  # more than the cache holds
        path.with_name("runs.db-journal").write_bytes(scratch.with_name("scratch.db-journal").read_bytes())
        connection.execute("commit")
    path.write_bytes(scratch.read_bytes())

    store = SqliteStore(path)
    await store.open()

    assert [key async for key in store.keys("")] == []
    assert isinstance((await store.write([Write("key", b"1", ABSENT)]))[0], Written)
    await store.close()


async def test_a_file_that_lost_count_of_its_versions_is_damaged(path: Path) -> None:
    await filled(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("delete from meta")

    with pytest.raises(CorruptDocumentError, match="which versions were handed out is not in it"):
        await SqliteStore(path).open()


async def test_a_damaged_page_is_told_as_damage(path: Path) -> None:
    await filled(path, count=500)
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)

    store = SqliteStore(path)
    with pytest.raises(CorruptDocumentError, match=r"runs\.db is damaged"):
        await store.open()


async def test_a_damaged_page_costs_the_documents_on_it_and_no_others(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    for start in range(0, 1_000, 100):
        await store.write([Write(f"key:{number:04}", b"1" * 3_000, ABSENT) for number in range(start, start + 100)])
    await store.close()
    content = bytearray(path.read_bytes())
    middle = content.index(b"key:0500") // 4_096 * 4_096
    content[middle : middle + 4_096] = b"\xff" * 4_096
    path.write_bytes(content)
    await store.open()

    damaged = 0
    for number in range(1_000):
        try:
            assert set(await store.read([f"key:{number:04}"])) <= {f"key:{number:04}"}
        except CorruptDocumentError:
            damaged += 1
    assert 0 < damaged < 500
    assert isinstance((await store.write([Write("key:0001", b"2", ANY)]))[0], Written)
    await store.close()
