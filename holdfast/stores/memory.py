"""Documents in a dictionary: for tests, and for runs that need not outlive the process."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Final

from holdfast.core.errors import StoreError
from holdfast.ports import ABSENT, ANY, Capabilities, Conflict, Document, Written
from holdfast.stores.limits import check_reads, check_writes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from holdfast.ports import Write

__all__ = ["MemoryStore"]

_MIB = 1024 * 1024


class MemoryStore:
    """A `StateStore` whose data lives as long as the object does, through any number of `close` and `open`.

    Several engines of one process may share one object: it is closed once each of them has closed it.

    Args:
        max_value_bytes: The largest value it takes; smaller in tests of limits.
        max_batch: The most writes, or keys read, of one call.
        max_batch_bytes: The most bytes of keys and values of one call.
    """

    name: Final = "memory"

    def __init__(
        self,
        *,
        max_value_bytes: int = 16 * _MIB,
        max_batch: int = 1_000,
        max_batch_bytes: int = 64 * _MIB,
    ) -> None:
        """Make an empty store; `open` it before use."""
        self._capabilities = Capabilities(
            durable=False,
            guard="key",
            atomic_batch=True,
            list_keys=True,
            max_value_bytes=max_value_bytes,
            max_batch=max_batch,
            max_batch_bytes=max_batch_bytes,
        )
        self._documents: dict[str, tuple[bytes, str]] = {}
        # One count for the whole store, which deleting does not turn back: a version never comes to mean another value.
        self._version = 0
        self._users = 0
        self._lock = Lock()  # the engines that share the store may each have a thread of their own

    @property
    def capabilities(self) -> Capabilities:
        """What this store can do, and its limits."""
        return self._capabilities

    async def open(self) -> None:
        """Let one more user in."""
        self._users += 1

    async def read(self, keys: Sequence[str]) -> dict[str, Document]:
        """Read documents; keys that do not exist are left out of the answer.

        Raises:
            StoreError: The store is closed, or more than ``max_batch`` keys were asked for.
        """
        self._require_open()
        check_reads(self._capabilities, keys)
        documents = self._documents
        with self._lock:
            return {key: Document(*documents[key]) for key in keys if key in documents}

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        """Write a batch as a whole, or at the first conflict nothing of it.

        Raises:
            StoreError: The store is closed, or the batch is over a limit; nothing was written.
        """
        self._require_open()
        check_writes(self._capabilities, writes)
        with self._lock:
            if not self._all_hold(writes):
                return [Conflict()] * len(writes)
            self._version += 1
            version = str(self._version)
            documents = self._documents
            for key, value, _ in writes:
                if value is None:
                    documents.pop(key, None)
                else:
                    documents[key] = (value, version)
        return [Written(version)] * len(writes)

    async def keys(self, prefix: str) -> AsyncIterator[str]:
        """List the keys that begin with a prefix, as they were when listing began.

        Raises:
            StoreError: The store is closed.
        """
        self._require_open()
        with self._lock:
            found = [key for key in self._documents if key.startswith(prefix)]
        for key in found:
            yield key

    async def close(self) -> None:
        """Let one user go; with the last of them the store is closed."""
        self._users = max(0, self._users - 1)

    def _all_hold(self, writes: Sequence[Write]) -> bool:
        get = self._documents.get
        for key, value, expected in writes:
            if expected is ANY:
                continue
            document = get(key)
            if document is None:
                if expected is not ABSENT and value is not None:
                    return False
            elif document[1] != expected:
                return False
        return True

    def _require_open(self) -> None:
        if not self._users:
            msg = "the memory store is not open"
            raise StoreError(msg)
