"""Documents in a key-value bucket of NATS JetStream."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from holdfast.core.durations import seconds_of
from holdfast.core.errors import StoreError
from holdfast.ports import Document
from holdfast.stores.limits import check_reads, check_writes
from holdfast.stores.nats_bucket import Bucket, bucket_capabilities, find_bucket
from holdfast.stores.nats_connection import Connection
from holdfast.stores.nats_link import Link
from holdfast.stores.nats_listing import list_keys
from holdfast.stores.nats_reads import Reader
from holdfast.stores.nats_writes import Writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from os import PathLike

    from nats.aio.client import Client

    from holdfast.core.durations import Duration
    from holdfast.ports import Capabilities, Conflict, Write, Written

__all__ = ["NatsStore"]

_BUCKET: Final = re.compile(r"[A-Za-z0-9_-]{1,200}")


class NatsStore:
    """A `StateStore` in a JetStream bucket: the version of a document is its revision there.

    The bucket is created if it is not there, and used as it is if it is: what it cannot do `capabilities` tell. A
    batch is one atomic publication where the server can (2.12) and the bucket allows it (``allow_atomic``); else its
    documents are written one by one. What is acknowledged survives a killed server; the loss of power as well only
    with the server's ``sync_interval: always``, or replicas.

    All calls are made on the loop that opened the store.

    Args:
        servers: The URL of a server, or of several of one cluster.
        bucket: The name of the bucket: letters, digits, ``_`` and ``-``.
        replicas: How many servers keep the bucket, if it has to be created.
        credentials: A file with a user's JWT and key.
        timeout: How long one call may take; seconds or a `timedelta`.
        connect_timeout: How long `open` waits for a server.

    Source: docs/adr/0031-nats-store.md.
    """

    name: Final = "nats"

    def __init__(  # noqa: PLR0913 - each is a property of the bucket or of the way to it
        self,
        servers: str | Sequence[str] = "nats://localhost:4222",
        *,
        bucket: str = "beluga_workflows",
        replicas: int = 1,
        credentials: str | PathLike[str] | None = None,
        timeout: Duration = 5.0,
        connect_timeout: Duration = 30.0,
    ) -> None:
        """Remember where the bucket is; `open` looks for it.

        Raises:
            StoreError: No bucket can have that name.
        """
        if not _BUCKET.fullmatch(bucket):
            msg = f"a bucket of NATS is named with letters, digits, '_' and '-', not {bucket!r}"
            raise StoreError(msg)
        self._bucket_name = bucket
        self._replicas = replicas
        self._connect_seconds = seconds_of(connect_timeout)
        self._link = Link(seconds_of(timeout))
        self._given: Client | None = None
        self._connection: Connection | None = Connection(
            [servers] if isinstance(servers, str) else list(servers),
            None if credentials is None else Path(credentials),
            connected=self._link.attach,
            failed=self._link.fail_calls,
        )
        self._opened: _Opened | None = None
        self._capabilities = bucket_capabilities(Bucket("", ""))

    @classmethod
    def with_connection(
        cls, connection: Client, *, bucket: str = "beluga_workflows", replicas: int = 1, timeout: Duration = 5.0
    ) -> Self:
        """Make a store that uses a connection of yours.

        It is not closed, and how it connects again is yours to say. Calls that are under way when it is lost wait for
        their time-out.

        Args:
            connection: Connected, to a server with JetStream.
            bucket: As in the constructor.
            replicas: As in the constructor.
            timeout: As in the constructor.
        """
        store = cls(bucket=bucket, replicas=replicas, timeout=timeout, connect_timeout=timeout)
        store._given, store._connection = connection, None
        return store

    @property
    def capabilities(self) -> Capabilities:
        """What the bucket can do, and its limits; before the store was opened, the least that any can."""
        return self._capabilities

    async def open(self) -> None:
        """Connect and find or create the bucket; opening it again does nothing.

        Raises:
            StoreUnavailableError: No server answered within ``connect_timeout``, or none with JetStream.
            StoreError: The server does not let us in, or the bucket would lose documents.
        """
        if self._opened is not None:
            return
        due = time.monotonic() + self._connect_seconds
        try:
            if self._given is not None:
                await self._link.attach(self._given)
            elif self._connection is not None:
                await self._connection.open(self._connect_seconds)
            bucket = await find_bucket(self._link, self._bucket_name, self._replicas, due=due)
        except BaseException:
            await self.close()
            raise
        if self._connection is not None:
            self._connection.opened()
        self._capabilities = bucket_capabilities(bucket)
        reader = Reader(self._link, bucket)
        self._opened = _Opened(bucket, reader, Writer(self._link, bucket, reader))

    async def read(self, keys: Sequence[str]) -> dict[str, Document]:
        """Read documents; keys that do not exist are left out of the answer.

        Raises:
            StoreUnavailableError: The server did not answer, or is away.
            StoreError: The store is closed, a key is too long, or more than ``max_batch`` keys were asked for.
        """
        reader = self._require_open().reader
        check_reads(self._capabilities, keys)
        found = await reader.read(list(dict.fromkeys(keys))) if keys else {}
        return {key: Document(value, str(number)) for key, (number, value) in found.items() if value is not None}

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        """Write a batch, as a whole where the bucket can do that.

        Where it cannot, the first document is written alone, and nothing else if it is refused.

        Raises:
            StoreUnavailableError: The outcome is unknown, or the server is away.
            StoreError: The store is closed, the batch is over a limit, or the server refused it.
        """
        writer = self._require_open().writer
        check_writes(self._capabilities, writes)
        return await writer.write(writes) if writes else []

    async def keys(self, prefix: str) -> AsyncIterator[str]:
        """List the keys that begin with a prefix, those that other processes wrote as well.

        Raises:
            StoreUnavailableError: The server did not answer, or is away.
            StoreError: The store is closed.
        """
        async for key in list_keys(self._link, self._require_open().bucket, prefix):
            yield key

    async def close(self) -> None:
        """Let go of the server, and of a given connection without closing it. Closing twice is harmless."""
        self._opened = None
        await self._link.detach()
        if self._connection is not None:
            await self._connection.close()

    def _require_open(self) -> _Opened:
        if self._opened is None:
            msg = f"the bucket {self._bucket_name!r} is not open"
            raise StoreError(msg)
        self._opened.writer.require_same_bucket()
        return self._opened


class _Opened(NamedTuple):
    """What an open store works with."""

    bucket: Bucket
    reader: Reader
    writer: Writer
