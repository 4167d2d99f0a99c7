"""Documents in a compacted topic of Kafka, held in memory besides."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from holdfast.core.durations import seconds_of
from holdfast.core.errors import StoreError
from holdfast.ports import Capabilities, Conflict
from holdfast.stores.kafka_log import Committed, Entry, Reader, Writer
from holdfast.stores.kafka_reader import PartitionReader
from holdfast.stores.kafka_state import LogState
from holdfast.stores.kafka_topic import Topic, prepared
from holdfast.stores.kafka_writer import PartitionWriter
from holdfast.stores.limits import check_reads, check_writes
from holdfast.stores.store_thread import StoreThread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import timedelta

    from holdfast.ports import Document, Write, Written

__all__ = ["Committed", "Entry", "KafkaStore", "Reader", "Writer"]

_MIB: Final = 1024 * 1024
_OVERHEAD_BYTES: Final = 8 * 1024  # what a batch of one record takes besides its value: heads, and the key
_DAY_SECONDS: Final = 86_400.0
_CAPABILITIES: Final = Capabilities(
    durable=True,
    guard="writer",
    atomic_batch=True,
    list_keys=True,
    max_value_bytes=_MIB - _OVERHEAD_BYTES,
    max_batch=10_000,
    max_batch_bytes=64 * _MIB,
)


class _Session(NamedTuple):
    """What the topic holds, and the thread that alone touches it."""

    state: LogState
    thread: StoreThread


class KafkaStore:
    """A `StateStore` in one partition of a compacted topic: every batch is one transaction.

    `open` reads the partition to its end, so reading later on is reading from memory. The first write makes this
    process the only writer; a former one is fenced, and learns with its next write what was written since. Partitions
    of a topic are stores of their own.

    Args:
        bootstrap_servers: Brokers to begin with: ``host:port``, several with commas between them.
        topic: The topic; it is created if it does not exist.
        partition: Which partition of it.
        replicas: How many brokers hold a topic that is created; without it as many as the cluster is set to.
        config: Properties of librdkafka for all connections, such as those of SASL and TLS.
        timeout: How long one call may take; seconds or a `timedelta`.
        connect_timeout: How long `open` waits for a broker.
        max_cached_bytes: How many bytes of documents may stay in memory; without it all of them. One that does not
            is read from the topic each time.

    Raises:
        StoreError: The number of the partition is negative.

    Source: docs/adr/0030-kafka-store.md.
    """

    name: Final = "kafka"

    def __init__(  # noqa: PLR0913 - each is a property of the topic or of the way to it
        self,
        bootstrap_servers: str = "localhost:9092",
        *,
        topic: str = "beluga-workflows",
        partition: int = 0,
        replicas: int | None = None,
        config: Mapping[str, Any] | None = None,
        timeout: timedelta | float = 10.0,
        connect_timeout: timedelta | float = 30.0,
        max_cached_bytes: int | None = None,
    ) -> None:
        """Remember where the topic is; `open` looks for it."""
        if partition < 0:
            msg = f"a topic has no partition {partition}: they are numbered from 0"
            raise StoreError(msg)
        self._config = {**(config or {}), "bootstrap.servers": bootstrap_servers}
        self._topic = topic
        self._partition = partition
        self._replicas = replicas
        self._timeout = seconds_of(timeout)
        self._connect_timeout = seconds_of(connect_timeout)
        self._max_cached_bytes = max_cached_bytes
        self._capabilities = _CAPABILITIES
        self._given: tuple[Writer, Reader] | None = None
        self._session: _Session | None = None

    @classmethod
    def with_writer_reader(cls, writer: Writer, reader: Reader, *, max_cached_bytes: int | None = None) -> Self:
        """Make a store on a log of yours instead of a topic: for tests without a broker.

        Args:
            writer: Appends to the log; it is closed with the store.
            reader: Reads it; it is closed with the store.
            max_cached_bytes: As in the constructor.
        """
        store = cls(max_cached_bytes=max_cached_bytes)
        store._given = writer, reader
        return store

    @property
    def capabilities(self) -> Capabilities:
        """What this store can do, and its limits; the largest value is the topic's once it is open."""
        return self._capabilities

    async def open(self) -> None:
        """Create the topic if need be, and read what it holds; opening it again does nothing.

        Raises:
            StoreUnavailableError: No broker answered within ``connect_timeout``.
            StoreError: The topic is not compacted, lacks the partition, or the brokers refuse this client.
        """
        if self._session is not None:
            return
        thread = StoreThread("holdfast-kafka", lambda: None)
        try:
            self._session = _Session(await thread.call(self._load), thread)
        finally:
            if self._session is None:
                thread.stop()

    async def read(self, keys: Sequence[str]) -> dict[str, Document]:
        """Read documents as they are now, also those that another process has written; absent keys are left out.

        Raises:
            StoreUnavailableError: The brokers did not answer.
            StoreError: The store is closed, or more than ``max_batch`` keys were asked for.
        """
        session = self._require_open()
        check_reads(self._capabilities, keys)
        return await session.thread.call(session.state.read, tuple(keys)) if keys else {}

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        """Write a batch as a whole, or at the first conflict nothing of it. A cancelled call is carried out.

        Raises:
            StoreUnavailableError: The outcome is unknown, or another process has begun to write.
            StoreError: The store is closed, or the batch is over a limit; nothing was written.
        """
        session = self._require_open()
        check_writes(self._capabilities, writes)
        written = await session.thread.call(session.state.write, tuple(writes)) if writes else []
        return [Conflict()] * len(writes) if written is None else [*written]

    async def keys(self, prefix: str) -> AsyncIterator[str]:
        """List the keys that begin with a prefix, in order, as they were when listing began.

        Raises:
            StoreUnavailableError: The brokers did not answer.
            StoreError: The store is closed.
        """
        session = self._require_open()
        for key in await session.thread.call(session.state.keys, prefix):
            yield key

    async def close(self) -> None:
        """Finish what is under way and let go of the brokers. Closing twice is harmless."""
        session, self._session = self._session, None
        if session is not None:
            closed = session.thread.call(session.state.close)
            session.thread.stop()
            await closed

    def _load(self) -> LogState:
        topic, (writer, reader) = self._log()
        state = LogState(writer, reader, self._max_cached_bytes, topic.tombstone_seconds)
        state.load(0.0 if self._given else self._connect_timeout)
        self._capabilities = replace(_CAPABILITIES, max_value_bytes=topic.max_bytes - _OVERHEAD_BYTES)
        return state

    def _log(self) -> tuple[Topic, tuple[Writer, Reader]]:
        if self._given is not None:
            return Topic(_MIB, _DAY_SECONDS), self._given
        topic = prepared(self._config, self._topic, self._partition, self._replicas, self._connect_timeout)
        writer = PartitionWriter(self._config, self._topic, self._partition, topic.max_bytes, self._timeout)
        return topic, (writer, PartitionReader(self._config, self._topic, self._partition, self._timeout))

    def _require_open(self) -> _Session:
        if self._session is None:
            msg = f"the store on topic {self._topic!r} is not open"
            raise StoreError(msg)
        return self._session
