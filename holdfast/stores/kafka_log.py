"""What a `KafkaStore` needs of Kafka: a log with one writer at a time; without a broker, tests can play it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Committed", "Entry", "Reader", "Writer"]


class Entry(NamedTuple):
    """A record of the log: the newest of its key counts.

    Attributes:
        offset: Where it stands; offsets only grow, with gaps.
        key: The key of the document.
        value: The document, or None where it was deleted.
    """

    offset: int
    key: str
    value: bytes | None


class Committed(NamedTuple):
    """Where the records of a commit stand.

    Attributes:
        first: The offset of the first.
        last: The offset of the last; there are gaps between if they are more apart than records.
        next: The least offset that a later record can have.
    """

    first: int
    last: int
    next: int


class Writer(Protocol):
    """Appends to a log. It blocks; a store calls it on one thread."""

    def claim(self) -> None:
        """Become the only writer: nothing that a former one has not committed yet will ever count.

        Raises:
            StoreUnavailableError: The broker did not answer.
            StoreError: It refuses this writer.
        """
        ...

    def commit(self, records: Sequence[tuple[str, bytes | None]]) -> Committed:
        """Append records, all of them or none.

        Args:
            records: At least one: a key and its value, or None to delete it.

        Raises:
            StoreUnavailableError: It is not known whether they count, or another writer has claimed the log.
            StoreError: The broker refuses them for good; none counts.
        """
        ...

    def close(self) -> None:
        """Let go of the broker."""
        ...


class Reader(Protocol):
    """Reads a log, as far as it is committed. It blocks; a store calls it on one thread."""

    def end(self) -> int:
        """Ask for the offset behind the last record that counts.

        Raises:
            StoreUnavailableError: The broker did not answer.
        """
        ...

    def read(self, start: int, end: int) -> Iterator[Entry]:
        """Read the records from an offset up to, and without, another one.

        Raises:
            StoreUnavailableError: The broker did not answer.
        """
        ...

    def close(self) -> None:
        """Let go of the broker."""
        ...
