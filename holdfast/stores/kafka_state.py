"""The documents that a log of changes amounts to, held in memory and kept up with what is appended."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from holdfast.core.errors import StoreError, StoreUnavailableError
from holdfast.ports import ABSENT, ANY, Document, Written
from holdfast.stores.kafka_documents import Documents
from holdfast.stores.kafka_extent import Extent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.ports import Write
    from holdfast.stores.kafka_log import Committed, Reader, Writer

__all__ = ["LogState"]

_log = logging.getLogger("holdfast.stores.kafka")

_PROGRESS_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.1


class LogState:
    """Documents by key, as of the last look at their log. It blocks, and belongs to one thread.

    Every offset of a document is its version. Whoever writes first becomes the only writer, reads what others have
    appended until then, and only then compares; so what it compares with is what is there.
    """

    def __init__(self, writer: Writer, reader: Reader, max_cached_bytes: int | None, tombstone_seconds: float) -> None:
        """Begin at the start of the log; nothing is read yet.

        Args:
            writer: Appends to the log.
            reader: Reads it.
            max_cached_bytes: How many bytes of values may stay in memory; None for all of them.
            tombstone_seconds: For how long the log remembers that a document was deleted.
        """
        self._writer = writer
        self._reader = reader
        self._tombstone_seconds = tombstone_seconds
        self._documents = Documents(max_cached_bytes)
        self._next = 0
        self._extent = Extent()
        self._looked = time.monotonic()
        self._claimed = False

    def catch_up(self) -> None:
        """Take in what was appended since the last look.

        Raises:
            StoreUnavailableError: The broker did not answer, or what was in the log is gone.
        """
        self._extent.check()
        if time.monotonic() - self._looked > self._tombstone_seconds / 2:
            self._documents.clear()  # by now the log may have forgotten what was deleted in it
            self._next = 0
        end, began = self._reader.end(), time.monotonic()
        self._extent.ends(end)
        if end > self._next:
            start, told = self._next, began
            for count, (offset, key, value) in enumerate(self._reader.read(start, end), 1):
                self._documents.take(key, value, offset)
                self._next = offset + 1
                if not count % 10_000 and time.monotonic() - told > _PROGRESS_SECONDS:
                    told = time.monotonic()
                    share = (offset - start) * 100 // (end - start)
                    _log.info("reading the log: %d records, %d %% of it", count, share)
            self._next = end
        self._looked = began

    def load(self, seconds: float) -> None:
        """Read the log for the first time, from brokers that may have no leader for it yet; close it if that fails.

        Args:
            seconds: For how long to try.

        Raises:
            StoreUnavailableError: The brokers did not answer until then.
        """
        due = time.monotonic() + seconds
        try:
            while True:
                try:
                    return self.catch_up()
                except StoreUnavailableError:
                    if time.monotonic() >= due:
                        raise
                time.sleep(_PAUSE_SECONDS)
        except StoreError:
            self.close()
            raise

    def read(self, keys: Sequence[str]) -> dict[str, Document]:
        """Read documents as they are now; keys that do not exist are left out.

        Raises:
            StoreUnavailableError: The broker did not answer.
        """
        self.catch_up()
        found = {key: self._documents.offsets[key] for key in keys if key in self._documents.offsets}
        return {key: Document(self._value(key, offset), str(offset)) for key, offset in found.items()}

    def write(self, writes: Sequence[Write]) -> list[Written] | None:
        """Append writes in one transaction; None where the expectation of one does not hold.

        Raises:
            StoreUnavailableError: It is not known whether they count.
            StoreError: The broker refuses them for good.
        """
        offsets = self._documents.offsets
        if not self._claimed or any(value is None and key not in offsets for key, value, _ in writes):
            self.catch_up()
        if not self._claimed and self._all_hold(writes):
            self._writer.claim()
            self.catch_up()
            self._claimed = True
        if not self._all_hold(writes):
            return None
        return self._append(writes)

    def _append(self, writes: Sequence[Write]) -> list[Written]:
        records = [(key, value) for key, value, _ in writes if value is not None or key in self._documents.offsets]
        versions = self._commit(records) if records else {}
        return [Written(str(versions.get(write.key, ""))) for write in writes]

    def _commit(self, records: Sequence[tuple[str, bytes | None]]) -> dict[str, int]:
        """Commit records, take them in, and give the offset of each key."""
        try:
            done = self._writer.commit(records)
            self._extent.committed(done.first, done.last)
            offsets = self._offsets_of(len(records), done)
        except StoreError:
            self._claimed = False
            raise
        for (key, value), offset in zip(records, offsets, strict=True):
            self._documents.take(key, value, offset)
        self._next = done.next
        self._looked = time.monotonic()
        return {key: offset for (key, _), offset in zip(records, offsets, strict=True)}

    def _offsets_of(self, count: int, done: Committed) -> Sequence[int]:
        """Give the offsets of the records of a commit: one after the other, unless a marker came between them."""
        if done.last - done.first == count - 1:
            return range(done.first, done.last + 1)
        offsets = [entry.offset for entry in self._reader.read(done.first, done.last + 1)]
        if len(offsets) != count:
            self._extent.lose(f"{count} records were committed from offset {done.first}, and {len(offsets)} are there")
        return offsets

    def keys(self, prefix: str) -> list[str]:
        """List the keys that begin with a prefix, in order.

        Raises:
            StoreUnavailableError: The broker did not answer.
        """
        self.catch_up()
        return sorted(key for key in self._documents.offsets if key.startswith(prefix))

    def close(self) -> None:
        """Let go of the broker."""
        self._writer.close()
        self._reader.close()

    def _all_hold(self, writes: Sequence[Write]) -> bool:
        offsets = self._documents.offsets
        for key, value, expected in writes:
            if expected is ANY:
                continue
            offset = offsets.get(key)
            if offset is None:
                if expected is not ABSENT and value is not None:
                    return False
            elif expected is ABSENT or str(offset) != expected:
                return False
        return True

    def _value(self, key: str, offset: int) -> bytes:
        """Give a value, from memory or once more from the log."""
        value = self._documents.value(key)
        if value is None:
            entry = next(self._reader.read(offset, offset + 1), None)
            if entry is None or entry.key != key or entry.value is None:
                msg = f"{key!r} was replaced while it was being read"
                raise StoreUnavailableError(msg)
            value = entry.value
            self._documents.take(key, value, offset)
        return value
