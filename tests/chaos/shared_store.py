"""A store that several processes share; `store_server.py` is the process that has the documents."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from multiprocessing.connection import Client, Connection
from typing import NamedTuple

from holdfast import StoreError, StoreUnavailableError
from holdfast.ports import Capabilities, Conflict, Document, Write, Written
from tests.play import Anything


class Entry(NamedTuple):
    """One call of `write`, as the server saw it.

    Attributes:
        applied: The keys of the writes that took effect.
    """

    who: str
    keys: list[str]
    applied: list[str]


class SharedStore:
    """The client's side: a `StateStore` without state of its own."""

    def __init__(self, path: str, who: str) -> None:
        self._path = path
        self._who = who
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self.capabilities = Capabilities(durable=False, guard="key", atomic_batch=True, list_keys=True)

    async def open(self) -> None:
        try:
            self._connection = Client(self._path, "AF_UNIX")
        except OSError as error:
            message = f"shared/open: {error}"
            raise StoreUnavailableError(message) from error
        self.capabilities = self._ask("capabilities")

    async def read(self, keys: Sequence[str]) -> dict[str, Document]:
        return await asyncio.to_thread(self._ask, "read", list(keys))

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        return await asyncio.to_thread(self._ask, "write", list(writes))

    async def keys(self, prefix: str) -> AsyncIterator[str]:
        for key in await asyncio.to_thread(self._ask, "keys", prefix):
            yield key

    async def entries(self) -> list[Entry]:
        """Give the log of the server, the oldest call first."""
        return await asyncio.to_thread(self._ask, "log")

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, *question: Anything) -> Anything:
        with self._lock:
            if self._connection is None:
                message = "shared: the store is closed"
                raise StoreError(message)
            try:
                self._connection.send((self._who, *question))
                return self._connection.recv()
            except (OSError, EOFError) as error:
                message = f"shared/{question[0]}: {error}"
                raise StoreUnavailableError(message) from error
