"""Appending to one partition of a Kafka topic, in transactions that keep every other process out."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Producer

from holdfast.core.errors import StoreError
from holdfast.stores.kafka_errors import translating
from holdfast.stores.kafka_log import Committed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from confluent_kafka import KafkaError, Message

__all__ = ["PartitionWriter"]

_MIB: Final = 1024 * 1024
_MARKER: Final = 1
"""Each transaction ends with a record of Kafka's own, which takes an offset and is not read."""


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
            "log_level": 2,  # what goes wrong is told by the calls, and logged once, by whoever made them
            "acks": "all",
            "allow.auto.create.topics": False,  # one that was deleted must not come back as one that forgets
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
        with translating("claiming the topic"):
            for name in self._ids:
                producer = Producer({**self._config, "transactional.id": name})
                self._producers.append(producer)
                producer.init_transactions(self._timeout)

    def commit(self, records: Sequence[tuple[str, bytes | None]]) -> Committed:
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
        producer, last = self._producers[self._turn], len(records) - 1
        produce = partial(producer.produce, self._topic, partition=self._partition)
        try:
            with translating(f"committing {len(records)} records"):
                producer.begin_transaction()
                for place, (key, value) in enumerate(records):
                    # A report of each record would stop this thread as often, until the interpreter is free.
                    if 0 < place < last:
                        produce(value, key)
                    else:
                        produce(value, key, on_delivery=delivered)
                producer.commit_transaction(self._timeout)
        except StoreError:
            self.close()
            raise
        return Committed(offsets[0], offsets[-1], offsets[-1] + 1 + _MARKER)

    def close(self) -> None:
        """Let go of the brokers; a transaction that is open is left to the next claim.

        The producers' own `close` would try to abort it, and warn where that cannot be.
        """
        for producer in self._producers:
            producer.purge()
        self._producers = []
