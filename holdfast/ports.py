"""What the engine needs of the world: Protocols that adapters implement, without policy of their own."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from holdfast.core.trace import Trace

__all__ = [
    "ABSENT",
    "ANY",
    "Capabilities",
    "Clock",
    "Conflict",
    "Document",
    "Expectation",
    "Guard",
    "Publisher",
    "Record",
    "StateStore",
    "Timer",
    "Tracing",
    "Write",
    "Written",
]


class Expectation(Enum):
    """What a write may expect of its key besides a certain version."""

    ABSENT = "absent"
    """The key does not exist: create it."""
    ANY = "any"
    """Whatever is there: overwrite it."""


ABSENT: Final = Expectation.ABSENT
ANY: Final = Expectation.ANY

Guard = Literal["key", "batch", "writer", "none"]
"""How a backend keeps stale writers out.

``key``: each key has a version, known after a write, that the next write can name.
``batch``: create-only writes are refused where the key exists, and that rolls the whole batch back.
``writer``: the backend itself fences all but the newest writer.
``none``: it does not; one process only.
"""


class Document(NamedTuple):
    """A stored value and the version that it was read at."""

    value: bytes
    version: str


class Write(NamedTuple):
    """One key to write, or with no value to delete.

    Deleting asks for ``ANY`` or a version; a key that is absent already counts as deleted.
    """

    key: str
    value: bytes | None
    expected: str | Expectation


class Written(NamedTuple):
    """A write that took effect. The version is empty where the backend does not tell it."""

    version: str


class Conflict(NamedTuple):
    """A write that did not take effect: its expectation did not hold, or (atomic batches) that of another did not."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do, and its limits.

    Attributes:
        durable: What was written survives the end of the process, and with it the loss of power.
        guard: How stale writers are kept out; see `Guard`.
        atomic_batch: A batch is written as a whole or, at the first conflict, not at all.
        list_keys: `StateStore.keys` works.
        exclusive: While it is open, no other process can have the same data open: ownership needs no waiting.
        max_value_bytes: The largest value it takes.
        max_batch: The most writes of one call, and keys of one read.
        max_batch_bytes: The most bytes of keys and values of one call.
    """

    durable: bool
    guard: Guard
    atomic_batch: bool
    list_keys: bool
    exclusive: bool = False
    max_value_bytes: int = 2 * 1024 * 1024
    max_batch: int = 1_000
    max_batch_bytes: int = 4 * 1024 * 1024


class StateStore(Protocol):
    """A key-value store of documents: keys ``[A-Za-z0-9_.:-]``, values JSON as bytes.

    An adapter translates every error of its driver: `StoreUnavailableError` where the outcome is unknown or the
    backend is away, `StoreError` where the backend refused the call for good. It retries nothing.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What this backend can do; complete once `open` has returned."""
        ...

    async def open(self) -> None:
        """Connect and check that the data can be used.

        Raises:
            StoreError: The data is unreadable, or not ours; it is left as it was.
            StoreUnavailableError: The backend did not answer, or another process has it open.
        """
        ...

    async def read(self, keys: Sequence[str]) -> dict[str, Document]:
        """Read documents; keys that do not exist are left out of the answer."""
        ...

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        """Write a batch of documents, each only if its expectation holds.

        Args:
            writes: At most ``capabilities.max_batch``; keys are unique within the batch.

        Returns:
            One result per write, in order. Where batches are atomic either all are `Written` or all are `Conflict`.

        Raises:
            StoreUnavailableError: The outcome is unknown; the same bytes may be tried again.
            StoreError: The backend refused the batch, nothing (atomic) or an unknown part of it was written.
        """
        ...

    def keys(self, prefix: str) -> AsyncIterator[str]:
        """List the keys that begin with a prefix, in any order.

        Raises:
            UnsupportedOperationError: The backend cannot list (``capabilities.list_keys`` is false).
        """
        ...

    async def close(self) -> None:
        """Let go of the backend. Closing twice is harmless; reading or writing afterwards is a `StoreError`."""
        ...


class Record(NamedTuple):
    """An output on its way to a broker.

    Attributes:
        topic: Where it goes.
        key: What the broker may part and order by; None where there is none.
        value: What it carries.
        id: ``<workflow id>/<run id>/<number>``: the same each time the record is published, and no other record's.
        content_type: What the value is: ``application/json``, ``text/plain`` (UTF-8) or ``application/octet-stream``.
        trace: The W3C trace context of its run: the ``traceparent``, and behind a space the ``tracestate`` if there is
            one; empty where the run has none.
    """

    topic: str
    key: str | None
    value: bytes
    id: str
    content_type: str = "application/octet-stream"
    trace: str = ""


class Publisher(Protocol):
    """Where the outputs of runs go. It retries nothing, and need not know a record that it had before.

    The engine makes one call at a time, with at most one record of each workflow id in it, so an adapter may publish
    the records of a call in any order. Whatever it raises, the engine publishes again, under the same ids.
    """

    async def open(self) -> None:
        """Get ready to publish.

        Raises:
            PublishError: It cannot be used: the engine does not open.
        """
        ...

    async def publish(self, records: Sequence[Record]) -> None:
        """Publish records; when this returns, the broker has all of them.

        Args:
            records: At least one; the ids are unique within the call.

        Raises:
            PublishError: Some may be missing; it tells which, and which will never be taken as they are.
        """
        ...

    async def close(self) -> None:
        """Let go of the broker. Closing twice is harmless."""
        ...


class Timer(Protocol):
    """A callback that is due later and can still be called off."""

    def cancel(self) -> None:
        """Do not call."""
        ...


class Clock(Protocol):
    """Where the engine gets the time and its wake-up calls from."""

    def now(self) -> int:
        """Milliseconds since 1970 in UTC; never less than it said before."""
        ...

    def call_at(self, when_ms: int, callback: Callable[[], None]) -> Timer:
        """Call back once `now` has reached an instant, on the loop that is running now."""
        ...


class Tracing(Protocol):
    """Where the spans of what the engine runs go to."""

    def span(
        self, name: str, trace: Trace | None, attributes: Mapping[str, str | int]
    ) -> AbstractContextManager[Trace | None]:
        """Begin a span that ends with the block, and is the current one within.

        Args:
            name: What it is called.
            trace: What it goes on from, and is linked to; None begins a trace of its own.
            attributes: What it is marked with.

        Returns:
            The block's own trace context, to be sent along; None where it has none.
        """
        ...
