"""A log in memory that plays a topic of Kafka: what a `KafkaStore` writes to and reads from without a broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from holdfast.core.errors import StoreError, StoreUnavailableError
from holdfast.stores.kafka import Committed, Entry, KafkaStore


class MemoryTopic:
    """Records, and who may append to them.

    Attributes:
        entries: The records, with the gaps that the markers of transactions leave in their offsets.
        owner: The writer that has claimed it last.
        is_away: Nobody gets an answer.
        keeps_answers: Commits count, and nobody is told.
        refuses: Commits are refused for good.
        reads: From where to where was read, each time.
        has_gaps: Markers stand between the records of a commit as well.
        markers: How many offsets the end of a commit takes.
        claims: How many have claimed it.
        on_claim: Called when it has been claimed.
    """

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.owner: object = None
        self.is_away = False
        self.keeps_answers = False
        self.refuses = False
        self.reads: list[tuple[int, int]] = []
        self.has_gaps = False
        self.markers = 1
        self.claims = 0
        self.on_claim: Callable[[], None] = lambda: None
        self.end = 0

    def store(self, max_cached_bytes: int | None = None) -> KafkaStore:
        """A store on this topic, not open yet."""
        return KafkaStore.with_writer_reader(MemoryWriter(self), MemoryReader(self), max_cached_bytes=max_cached_bytes)

    def append(self, records: Sequence[tuple[str, bytes | None]]) -> list[int]:
        for number, (key, value) in enumerate(records):
            if number and self.has_gaps:
                self.end += 1
            self.entries.append(Entry(self.end, key, value))
            self.end += 1
        self.end += self.markers
        return [entry.offset for entry in self.entries[-len(records) :]]

    def check(self) -> None:
        if self.is_away:
            raise StoreUnavailableError("the broker is away")


class MemoryWriter:
    def __init__(self, topic: MemoryTopic) -> None:
        self._topic = topic
        self.closed = 0

    def claim(self) -> None:
        self._topic.check()
        self._topic.claims += 1
        self._topic.owner = self
        self._topic.on_claim()

    def commit(self, records: Sequence[tuple[str, bytes | None]]) -> Committed:
        topic = self._topic
        topic.check()
        if topic.owner is not self:
            raise StoreUnavailableError("fenced")
        if topic.refuses:
            raise StoreError("refused for good")
        offsets = topic.append(records)
        if topic.keeps_answers:
            raise StoreUnavailableError("no answer")
        return Committed(offsets[0], offsets[-1], topic.end)

    def close(self) -> None:
        self.closed += 1


class MemoryReader:
    def __init__(self, topic: MemoryTopic) -> None:
        self._topic = topic
        self.closed = 0

    def end(self) -> int:
        self._topic.check()
        return self._topic.end

    def read(self, start: int, end: int) -> Iterator[Entry]:
        self._topic.reads.append((start, end))
        for entry in list(self._topic.entries):
            self._topic.check()
            if start <= entry.offset < end:
                yield entry

    def close(self) -> None:
        self.closed += 1
