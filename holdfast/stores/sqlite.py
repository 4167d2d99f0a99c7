"""Documents in one SQLite file, for one process on one machine."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from holdfast.core.durations import seconds_of
from holdfast.core.errors import StoreError, StoreUnavailableError
from holdfast.ports import Capabilities
from holdfast.stores.limits import check_reads, check_writes
from holdfast.stores.sqlite_file import SqliteFile
from holdfast.stores.sqlite_format import FileInUseError
from holdfast.stores.store_thread import StoreThread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import timedelta
    from os import PathLike

    from holdfast.ports import Conflict, Document, Write, Written

__all__ = ["SqliteStore"]

_MIB = 1024 * 1024
_CAPABILITIES = Capabilities(
    durable=True,
    guard="key",
    atomic_batch=True,
    list_keys=True,
    exclusive=True,
    max_value_bytes=16 * _MIB,
    max_batch=1_000,
    max_batch_bytes=64 * _MIB,
)
_KEYS_PER_PAGE = 1_000
_RETRY_SECONDS = (0.02, 0.1)  # at random, so that two processes that start together do not keep each other out


class _Session(NamedTuple):
    """A file and the thread that alone touches it."""

    file: SqliteFile
    thread: StoreThread

    def end(self) -> asyncio.Future[None]:
        """Close the file after the jobs that are under way, and end the thread, whether or not anybody waits."""
        closed = self.thread.call(self.file.close)
        self.thread.stop()
        return closed


class SqliteStore:
    """A `StateStore` in one file: every batch is a transaction that is on the disk before `write` returns.

    The file belongs to one process at a time. SQLite runs on a thread of its own, so the event loop never waits for
    the disk.

    Args:
        path: The file; it is created if it does not exist, its folder is not.
        busy_timeout: How long `open` waits for another process to let go of the file; seconds or a `timedelta`.

    Raises:
        StoreError: ``:memory:`` was given.
    """

    name: Final = "sqlite"

    def __init__(self, path: str | PathLike[str], *, busy_timeout: timedelta | float = 30.0) -> None:
        """Remember the path; `open` opens it."""
        if str(path) in {":memory:", ""}:
            msg = f"SqliteStore needs the path of a file, not {str(path)!r}; MemoryStore keeps documents in memory"
            raise StoreError(msg)
        self._path = Path(path)
        self._busy_timeout_seconds = seconds_of(busy_timeout)
        self._session: _Session | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What this store can do, and its limits."""
        return _CAPABILITIES

    async def open(self) -> None:
        """Open the file and keep every other process out of it; opening it again does nothing.

        Raises:
            StoreError: The folder is missing, or the file is unreadable, not ours or of a newer version; it and its
                siblings are left as they were.
            StoreUnavailableError: Another process still had it open after the busy time-out, or the disk refused.
        """
        if self._session is not None:
            return
        file = SqliteFile(self._path)
        session = _Session(file, StoreThread("holdfast-sqlite", file.tend))
        try:
            await self._wait_for_file(session)
        except BaseException:
            session.end()
            raise
        self._session = session

    async def read(self, keys: Sequence[str]) -> dict[str, Document]:
        """Read documents as of one instant; keys that do not exist are left out of the answer.

        Raises:
            StoreUnavailableError: The disk did not answer.
            CorruptDocumentError: The file is damaged.
            StoreError: The store is closed, or more than ``max_batch`` keys were asked for.
        """
        session = self._require_open()
        check_reads(_CAPABILITIES, keys)
        return await session.thread.call(session.file.read, tuple(keys))

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        """Commit a batch as a whole, or at the first conflict nothing of it. A cancelled call is carried out.

        Raises:
            StoreUnavailableError: The disk is full or failed; the same bytes may be tried again.
            CorruptDocumentError: The file is damaged.
            StoreError: The store is closed, or the batch is over a limit; nothing was written.
        """
        session = self._require_open()
        check_writes(_CAPABILITIES, writes)
        return await session.thread.call(session.file.write, tuple(writes))

    async def keys(self, prefix: str) -> AsyncIterator[str]:
        """List the keys that begin with a prefix, in order; what is written meanwhile may or may not be among them.

        Raises:
            StoreUnavailableError: The disk did not answer.
            StoreError: The store is closed.
        """
        start = prefix
        while True:
            session = self._require_open()
            page = await session.thread.call(session.file.keys, prefix, start, _KEYS_PER_PAGE)
            for key in page:
                yield key
            if len(page) < _KEYS_PER_PAGE:
                return
            start = page[-1] + "\0"

    async def close(self) -> None:
        """Finish what is under way, move the log into the file and let go of it. Closing twice is harmless."""
        session, self._session = self._session, None
        if session is not None:
            await session.end()

    async def _wait_for_file(self, session: _Session) -> None:
        give_up_at = time.monotonic() + self._busy_timeout_seconds
        while True:
            try:
                await session.thread.call(session.file.open)
            except FileInUseError as error:
                if time.monotonic() >= give_up_at:
                    msg = f"{error}; waited {self._busy_timeout_seconds:g} s for it"
                    raise StoreUnavailableError(msg) from error
            else:
                return
            await asyncio.sleep(random.uniform(*_RETRY_SECONDS))  # noqa: S311 - jitter, not a secret

    def _require_open(self) -> _Session:
        if self._session is None:
            msg = f"{self._path} is not open"
            raise StoreError(msg)
        return self._session
