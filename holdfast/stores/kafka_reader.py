"""Reading one partition of a Kafka topic, as far as transactions are committed."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from holdfast.core.errors import StoreUnavailableError
from holdfast.stores.kafka_errors import translating
from holdfast.stores.kafka_log import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from confluent_kafka import Message

__all__ = ["PartitionReader"]

_MIB: Final = 1024 * 1024
_READ_AT_ONCE: Final = 1_000
_READ_SECONDS: Final = 0.005  # a read waits as long for a thousand records: at the end of the log it waits in vain


class PartitionReader:
    """Reads a partition, as far as transactions are committed."""

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
                "log_level": 2,  # what goes wrong is told by the calls, and logged once, by whoever made them
                "group.id": f"holdfast-{topic}",  # one has to be named; nothing is ever committed to it
                "enable.auto.commit": False,
                "allow.auto.create.topics": False,
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
        with translating("asking for the end of the topic"):
            offsets = self._consumer.get_watermark_offsets(self._place(), self._timeout, cached=False)
        return int(offsets[1])

    def read(self, start: int, end: int) -> Iterator[Entry]:
        """Read from an offset up to another one; records that have no key are nobody's documents.

        Raises:
            StoreUnavailableError: The brokers were silent for too long.
        """
        with translating("reading the topic"):
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
