"""One open SQLite file of documents, used on one thread: batches, reads, and moving the log into the file."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from typing import TYPE_CHECKING, Final

from holdfast.core.errors import StoreUnavailableError
from holdfast.ports import ABSENT, ANY, Conflict, Document, Written
from holdfast.stores.sqlite_format import LOG_BYTES, VERSIONS_PER_OPEN, open_file, translated

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from holdfast.ports import Write

__all__ = ["SqliteFile"]

QUIET_SECONDS: Final = 0.2
"""Without a write for this long, the log is moved into the file."""
RETRY_SECONDS: Final = 5.0
"""A checkpoint that failed (the disk is full) is tried again after this long; the log keeps what it holds."""

_CREATE = "insert into documents values (?, ?, ?) on conflict do nothing"
_UPDATE = "update documents set version = ?, value = ? where key = ? and version = ?"
_PUT = """insert into documents values (?, ?, ?)
    on conflict (key) do update set version = excluded.version, value = excluded.value"""
_DELETE = "delete from documents where key = ? and version = ?"
_DROP = "delete from documents where key = ?"
_RESERVE = "update meta set value = ? where name = 'versions_reserved'"
_EXISTS = "select 1 from documents where key = ?"
_READ = "select value, version from documents where key = ?"
_KEYS = "select key from documents where key >= ? and key < ? order by key limit ?"
_AFTER_ALL = "\U0010ffff"

_Row = tuple[object, ...]

_logger = logging.getLogger(__name__)


class SqliteFile:
    """The documents of one file; while it is open no other process can open it.

    Every method raises `StoreError` or a kind of it, and leaves no transaction open.
    """

    def __init__(self, path: Path) -> None:
        """Remember the path; nothing but `tend` and `close` may be called before `open`."""
        self._path = path
        self._log_path = path.with_name(path.name + "-wal")
        self._connection: sqlite3.Connection
        self._version = self._reserved = 0
        self._place: tuple[int, int] | None = None
        self._is_open = self._log_in_use = False
        self._quiet_at = self._retry_at = 0.0

    def open(self) -> None:
        """Open the file, or create it; see `open_file` for the errors."""
        self._connection, self._version = open_file(self._path)
        self._reserved = self._version + VERSIONS_PER_OPEN
        self._is_open = self._log_in_use = True
        self._quiet_at = time.monotonic() + QUIET_SECONDS
        self._place = _place(self._path)

    def _check_place(self) -> None:
        """Refuse to write into a file that nobody will find again."""
        if _place(self._path) != self._place:
            msg = f"{self._path} was moved or deleted while it was open: put it back, or stop this process"
            raise StoreUnavailableError(msg)

    def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        """Commit a batch, with fsync, or at the first conflict nothing of it."""
        self._check_place()
        connection = self._connection
        version = self._version = self._version + 1
        try:
            connection.execute("begin immediate")
            if not self._apply(writes, version):
                connection.execute("rollback")
                return [Conflict()] * len(writes)
            if version >= self._reserved:
                connection.execute(_RESERVE, (version + VERSIONS_PER_OPEN,))
            connection.execute("commit")
        except BaseException as error:
            self._roll_back()
            if isinstance(error, sqlite3.Error):
                raise translated(error, self._path) from error
            raise
        if version >= self._reserved:
            self._reserved = version + VERSIONS_PER_OPEN
        self._log_in_use, self._quiet_at = True, time.monotonic() + QUIET_SECONDS
        return [Written(str(version))] * len(writes)

    def read(self, keys: Sequence[str]) -> dict[str, Document]:
        """Read documents; keys that do not exist are left out."""
        execute = self._connection.execute
        found: dict[str, Document] = {}
        try:
            for key in keys:
                row = execute(_READ, (key,)).fetchone()
                if row is not None:
                    found[key] = Document(row[0], str(row[1]))
        except sqlite3.Error as error:
            raise translated(error, self._path) from error
        return found

    def keys(self, prefix: str, start: str, limit: int) -> list[str]:
        """List up to so many keys with a prefix, from one on, in order."""
        try:
            rows = self._connection.execute(_KEYS, (start, prefix + _AFTER_ALL, limit)).fetchall()
        except sqlite3.Error as error:
            raise translated(error, self._path) from error
        return [key for (key,) in rows]

    def tend(self) -> float | None:
        """Move the log into the file once it is quiet, or large; answer in how many seconds to ask again."""
        if not self._log_in_use:
            return None
        now = time.monotonic()
        due = self._retry_at if self._log_is_large() else max(self._quiet_at, self._retry_at)
        if now < due:
            return due - now
        try:
            self._connection.execute("pragma wal_checkpoint(passive)").fetchone()
        except sqlite3.Error as error:
            _logger.warning("%s: the log could not be moved into the file yet: %s", self._path, error)
            self._retry_at = now + RETRY_SECONDS
            return RETRY_SECONDS
        self._log_in_use = False
        return None

    def close(self) -> None:
        """Move the log into the file and let go of it. What cannot be moved now stays in the log, safe."""
        if not self._is_open:
            return
        self._is_open = self._log_in_use = False
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("pragma wal_checkpoint(truncate)").fetchone()
        self._connection.close()

    def _apply(self, writes: Sequence[Write], version: int) -> bool:
        """Carry out a batch, statement by statement; answer whether every expectation held."""
        rows_by_statement: dict[str, list[_Row]] = {}
        for write in writes:
            statement, row = _statement(write, version)
            rows_by_statement.setdefault(statement, []).append(row)
        for statement, rows in rows_by_statement.items():
            changed = self._connection.executemany(statement, rows).rowcount
            if changed != len(rows) and not (statement is _DROP or self._all_absent(statement, rows)):
                return False
        return True

    def _all_absent(self, statement: str, rows: list[_Row]) -> bool:
        """Answer whether what a versioned delete left out was absent already, which counts as deleted."""
        exists = self._connection.execute
        return statement is _DELETE and not any(exists(_EXISTS, row[:1]).fetchone() for row in rows)

    def _log_is_large(self) -> bool:
        try:
            return self._log_path.stat().st_size > LOG_BYTES
        except OSError:
            return False

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("rollback")


def _place(path: Path) -> tuple[int, int] | None:
    """Say which file stands at a path; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _statement(write: Write, version: int) -> tuple[str, _Row]:
    key, value, expected = write
    if value is None:
        return (_DROP, (key,)) if expected is ANY else (_DELETE, (key, None if expected is ABSENT else expected))
    if expected is ABSENT:
        return _CREATE, (key, version, value)
    if expected is ANY:
        return _PUT, (key, version, value)
    return _UPDATE, (version, value, key, expected)
