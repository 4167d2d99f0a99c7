"""What a Holdfast file is: how it is recognised, created and opened, and what SQLite's errors mean."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

from holdfast.core.errors import CorruptDocumentError, StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LOG_BYTES", "VERSIONS_PER_OPEN", "FileInUseError", "open_file", "translated"]

APPLICATION_ID: Final = 0x486F6C64
"""``Hold`` in ASCII, at byte 68 of the file."""
SCHEMA: Final = 1
VERSIONS_PER_OPEN: Final = 1_000_000
"""Document versions are handed out from blocks of this size; a block is reserved in the file before its first use."""

# A table with row ids: documents that are written together lie together, and a search never has to load a large value.
# The same table without row ids takes twice as long for a batch of 50 documents of 2 KB.
_CREATE = (
    "create table documents (key text not null primary key, version integer not null, value blob not null)",
    "create table meta (name text not null primary key, value integer not null)",
    "insert into meta values ('versions_reserved', 0)",
    f"pragma application_id = {APPLICATION_ID}",
    f"pragma user_version = {SCHEMA}",
)
LOG_BYTES: Final = 64 * 1024 * 1024
"""A log larger than this is moved into the file right after the commit that made it so, and shrinks to this."""
_TABLES = {"documents", "meta"}
# No busy time-out: two openers that wait while each keeps its share of the lock would wait for ever, so the caller
# closes the connection before it tries again.
_CONNECT = (
    "pragma synchronous = full",
    "pragma fullfsync = on",
    "pragma wal_autocheckpoint = 0",
    f"pragma journal_size_limit = {LOG_BYTES}",
)
_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}
_NOT_OPENABLE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}


class FileInUseError(StoreUnavailableError):
    """Another connection, as a rule of another process, holds the file."""


def translated(error: sqlite3.Error, path: Path) -> StoreError:
    """Say what a driver's error means for the caller: try again, never, or damaged data."""
    code = _primary_code(error)
    if code in _UNAVAILABLE:
        return StoreUnavailableError(f"{path}: {error}")
    if code == sqlite3.SQLITE_CORRUPT:
        return CorruptDocumentError(f"{path} is damaged: {error}")
    return StoreError(f"{path}: {error}")


def open_file(path: Path) -> tuple[sqlite3.Connection, int]:
    """Open a file of documents for this process alone; create it where there is none.

    Returns:
        The connection, and the last version that an earlier opening may have handed out.

    Raises:
        StoreError: The file cannot be opened or is not ours; it and its siblings are as they were.
        FileInUseError: Somebody else has it open.
        StoreUnavailableError: The disk refused.
    """
    try:
        fresh = _inspect(path)
        connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    except sqlite3.Error as error:
        raise _refusal(error, path) from error
    except OSError as error:
        msg = f"{path} cannot be opened: {error.strerror}"
        raise StoreError(msg) from error
    try:
        return connection, _prepare(connection, path, fresh=fresh)
    except sqlite3.Error as error:
        connection.close()
        raise _refusal(error, path) from error
    except BaseException:
        connection.close()
        raise


def _prepare(connection: sqlite3.Connection, path: Path, *, fresh: bool) -> int:
    for pragma in _CONNECT:
        connection.execute(pragma)
    if fresh:
        _create(connection)
    connection.execute("pragma locking_mode = exclusive")
    (mode,) = connection.execute("pragma journal_mode = wal").fetchone()
    if mode != "wal":
        msg = f"{path}: its file system cannot hold a write-ahead log"
        raise StoreError(msg)
    connection.execute("begin immediate")
    reserved = connection.execute("select value from meta where name = 'versions_reserved'").fetchone()
    if reserved is None:
        msg = f"{path} is damaged: which versions were handed out is not in it"
        raise CorruptDocumentError(msg)
    connection.execute("update meta set value = value + ? where name = 'versions_reserved'", (VERSIONS_PER_OPEN,))
    connection.execute("commit")
    return int(reserved[0])


def _create(connection: sqlite3.Connection) -> None:
    """Lay the tables out with a rollback journal: a crash leaves whose file it is on its own first page, or nothing."""
    connection.execute("begin immediate")
    (schema,) = connection.execute("pragma user_version").fetchone()
    if schema == 0:  # else another process was faster
        for statement in _CREATE:
            connection.execute(statement)
    connection.execute("commit")


def _inspect(path: Path) -> bool:
    """Look at a file without touching it; answer whether it has yet to be created.

    The file is read through SQLite: closing a descriptor of our own would drop the locks that this process has on it.
    """
    if not path.parent.is_dir():
        msg = f"{path}: the folder {path.parent} does not exist"
        raise StoreError(msg)
    if path.is_dir():
        msg = f"{path} is a folder"
        raise StoreError(msg)
    if not _has_content(path):
        _refuse_orphans(path)
        return True
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        # Lets SQLite look at a file that is shorter than its first page says: a checkpoint may have been cut off.
        connection.execute("pragma writable_schema = on")
        _refuse_foreign(connection, path)
    # A rollback journal is what a crash while creating leaves; rolling it back may empty the file.
    return path.with_name(path.name + "-journal").exists()


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def _refuse_orphans(path: Path) -> None:
    log = path.with_name(path.name + "-wal")
    if _has_content(log):
        msg = f"{path} is missing or empty, but {log} holds commits that belong to it: restore {path}, or remove {log}"
        raise StoreError(msg)


def _refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    (pages,) = connection.execute("pragma page_count").fetchone()
    (application,) = connection.execute("pragma application_id").fetchone()
    (schema,) = connection.execute("pragma user_version").fetchone()
    tables = {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
    foreign = sorted(name for name in tables - _TABLES if not name.startswith("sqlite_"))
    if pages == 0:  # a few bytes, which SQLite would overwrite as if they were none
        msg = f"{path} is not an SQLite file"
    elif application != APPLICATION_ID:
        msg = f"{path} is an SQLite file of another application (application_id {application:#x})"
    elif schema > SCHEMA:
        msg = f"{path} was written by a newer Holdfast: its schema is {schema}, this one knows up to {SCHEMA}"
    elif foreign:
        msg = f"{path} holds tables that are not ours: {', '.join(foreign)}"
    else:
        return
    raise StoreError(msg)


def _refusal(error: sqlite3.Error, path: Path) -> StoreError:
    """Say why a file does not open; what is unavailable to a file in use may be final for one that is not open yet."""
    code = _primary_code(error)
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return FileInUseError(f"another process has {path} open")
    if code == sqlite3.SQLITE_NOTADB:
        return StoreError(f"{path} is not an SQLite file")
    if code in _NOT_OPENABLE:
        return StoreError(f"{path} cannot be opened: {error}")
    return translated(error, path)


def _primary_code(error: sqlite3.Error) -> int:
    """Return the error's primary result code; 0 where the driver raised it without asking SQLite."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
