"""One partition of a Kafka topic as a log: the clients that append to it and read it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from holdfast.core.errors import StoreError, StoreUnavailableError
from holdfast.stores.kafka_log import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from confluent_kafka import Message

__all__ = ["PartitionReader", "PartitionWriter", "translated"]

_MIB: Final = 1024 * 1024
_READ_AT_ONCE: Final = 1_000
_READ_SECONDS: Final = 0.005  # a read waits as long for a thousand records: at the end of the log it waits in vain
_QUIET: Final = {"log_level": 2}  # what goes wrong is told by the calls, and logged once, by whoever made them
_FOR_GOOD: Final = {
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.RECORD_LIST_TOO_LARGE,
    KafkaError.INVALID_RECORD,
    KafkaError.POLICY_VIOLATION,
}


class PartitionWriter:
    """Appends to a partition in transactions, whose ids keep every other process out that uses them as well.

    Two ids take turns. A broker still ends a transaction when it has answered that it is committed, and makes a client
    wait 20 ms that wants the next one of the same id too early.
    """

    def __init__(self, config: Mapping[str, Any], topic: str, partition: int, max_bytes: int, timeout: float) -> None:
        """Describe it; `claim` connects.

        Args:
            config: How to reach the brokers.
            topic: The topic.
            partition: The number of the partition.
            max_bytes: The largest batch of records that the topic takes.
            timeout: How many seconds a call may take.
        """
        self._config = {
            **config,
            **_QUIET,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 0,
            "batch.size": min(_MIB, max_bytes),
            "message.max.bytes": max_bytes,
        }
        self._ids = [f"holdfast-{topic}-{partition}-{number}" for number in range(2)]
        self._topic = topic
        self._partition = partition
        self._timeout = timeout
        self._producers: list[Producer] = []
        self._turn = 0

    def claim(self) -> None:
        """Fence whoever has used the ids before, and end what they had begun.

        Raises:
            StoreUnavailableError: The brokers did not answer.
            StoreError: They refuse it.
        """
        self.close()
        with _errors("claiming the topic"):
            for name in self._ids:
                producer = Producer({**self._config, "transactional.id": name})
                self._producers.append(producer)
                producer.init_transactions(self._timeout)

    def commit(self, records: Sequence[tuple[str, bytes | None]]) -> Sequence[int]:
        """Append records in one transaction.

        Raises:
            StoreUnavailableError: It is not known whether they count, or another process has claimed the topic.
            StoreError: The broker refuses them for good.
        """
        offsets: list[int] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            offset = message.offset()
            if error is None and offset is not None:
                offsets.append(offset)

        self._turn = (self._turn + 1) % len(self._producers)
        producer = self._producers[self._turn]
        produce = partial(producer.produce, self._topic, partition=self._partition, on_delivery=delivered)
        try:
            with _errors(f"committing {len(records)} records"):
                producer.begin_transaction()
                for key, value in records:
                    produce(value, key)
                producer.commit_transaction(self._timeout)
        except StoreError:
            self.close()
            raise
        return offsets

    def close(self) -> None:
        """Let go of the brokers; a transaction that is open is left to the next claim."""
        producers, self._producers = self._producers, []
        for producer in producers:
            producer.purge()
            producer.close()


class PartitionReader:
    """Reads a partition as far as transactions are committed."""

    def __init__(self, config: Mapping[str, Any], topic: str, partition: int, timeout: float) -> None:
        """Connect in the background.

        Args:
            config: How to reach the brokers.
            topic: The topic.
            partition: The number of the partition.
            timeout: How many seconds the brokers may be silent.
        """
        self._place = partial(TopicPartition, topic, partition)
        self._timeout = timeout
        self._consumer = Consumer(
            {
                **config,
                **_QUIET,
                "group.id": f"holdfast-{topic}",  # one has to be named; nothing is ever committed to it
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "fetch.message.max.bytes": 4 * _MIB,
                "fetch.queue.backoff.ms": 2,  # the default waits a whole second once the queue has been full
                "fetch.wait.max.ms": 5,
                "queued.max.messages.kbytes": 32 * 1024,
            }
        )

    def end(self) -> int:
        """Ask for the offset behind the last record that is committed.

        Raises:
            StoreUnavailableError: The brokers did not answer.
        """
        with _errors("asking for the end of the topic"):
            offsets = self._consumer.get_watermark_offsets(self._place(), self._timeout, cached=False)
        return int(offsets[1])

    def read(self, start: int, end: int) -> Iterator[Entry]:
        """Read from an offset up to another one; records that have no key are nobody's documents.

        Raises:
            StoreUnavailableError: The brokers were silent for too long.
        """
        with _errors("reading the topic"):
            try:
                self._consumer.assign([self._place(start)])
                heard, position = time.monotonic(), start
                while position < end:
                    messages = self._consumer.consume(_READ_AT_ONCE, _READ_SECONDS)
                    yield from _entries(messages, end)
                    before, position = position, max(start, self._consumer.position([self._place()])[0].offset)
                    now = time.monotonic()
                    if messages or position > before:
                        heard = now
                    elif now - heard > self._timeout:
                        msg = f"Kafka sent nothing for {self._timeout:g} s, at offset {position} of {end}"
                        raise StoreUnavailableError(msg)
            finally:
                self._consumer.unassign()

    def close(self) -> None:
        """Let go of the brokers."""
        self._consumer.close()


def _entries(messages: Sequence[Message], end: int) -> Iterator[Entry]:
    for message in messages:
        error, offset, key = message.error(), message.offset(), message.key()
        if error is not None:
            raise KafkaException(error)
        if key is not None and offset is not None and offset < end:
            yield Entry(offset, key.decode(errors="replace"), message.value())


@contextmanager
def _errors(doing: str) -> Iterator[None]:
    try:
        yield
    except (KafkaException, BufferError) as error:
        raise translated(error, doing) from error


def translated(error: KafkaException | BufferError, doing: str) -> StoreError:
    """Say what a failed call means: try again, or never.

    Args:
        error: What the client raised.
        doing: What was done, for the text: ``committing 5 records``.

    Returns:
        `StoreUnavailableError` where the outcome is unknown or the brokers are away, else `StoreError`.
    """
    cause = error.args[0] if error.args else error
    text = f"Kafka failed {doing}: {cause.str() if isinstance(cause, KafkaError) else cause}"
    if isinstance(cause, KafkaError) and cause.code() in _FOR_GOOD:
        return StoreError(text)
    return StoreUnavailableError(text)
