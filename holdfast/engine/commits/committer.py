"""Group commit: while one batch is in flight the next one gathers, and each is proved to be written or not.

The committer has no opinion about runs. It is given changes, and says of each in the end one of three things: it is
durable; it was lost to something else that was written for its run; the store refuses it for good.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol, cast

from holdfast.core.errors import FencedError, StoreError, StoreUnavailableError
from holdfast.engine.commits.batch import Batch, Chore, ChoreWrite, fill, unversioned
from holdfast.engine.commits.numbers import CommitNumbers
from holdfast.engine.records.documents import unseal
from holdfast.ports import ABSENT, ANY, Conflict, Write, Written

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Sequence

    from holdfast.engine.commits.index import IndexEntry
    from holdfast.engine.commits.letters import Told
    from holdfast.engine.commits.numbers import CommitStats
    from holdfast.engine.commits.partition import Partition
    from holdfast.engine.commits.reader import Reader
    from holdfast.engine.runs.change import Change
    from holdfast.ports import Document, StateStore

__all__ = ["Committer", "Verdicts", "settle"]

_MAX_ROUNDS: Final = 5


class Verdicts(Protocol):
    """Whoever gave the changes, and hears what became of them."""

    def delta_of(self, entry: IndexEntry) -> list[object]:
        """Give the form in which a record tells what changes in the index."""

    def late_deltas(self) -> list[list[object]]:
        """Give the entries that could not be told before the heads they speak of were written."""

    def durable(self, change: Change, version: str) -> None:
        """It is written; the head has that version now."""

    def lost(self, change: Change) -> None:
        """Something else was written for its run: what is stored counts."""

    def refused(self, change: Change, error: StoreError) -> None:
        """The store will not take it, however often it is tried."""

    def fenced(self, error: FencedError) -> None:
        """Another process owns the partition now."""


class Committer:
    """Writes changes in batches, one call of the store at a time.

    Attributes:
        commits: How many batches have been written.
        written: How many changes of runs they held.
        numbers: How they went.
        on_commit: Called after each.
    """

    def __init__(
        self, store: StateStore, partition: Partition, reader: Reader, verdicts: Verdicts, log: logging.Logger
    ) -> None:
        """Write to a store in the name of a partition's owner."""
        self.commits = 0
        self.written = 0
        self.numbers = CommitNumbers()
        self.on_commit: Callable[[], None] = lambda: None
        self._store = store
        self._partition = partition
        self._reader = reader
        self._verdicts = verdicts
        self._log = log
        self._queue: deque[Change] = deque()
        self._chores: deque[Chore] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._write_ids = 0
        self._began = 0.0
        self._loop = asyncio.get_running_loop()
        self._sent = 0.0

    def add(self, change: Change) -> None:
        """Queue the change of a run."""
        if not self._queue:
            self._idle.clear()
            self._wake.set()
        self._queue.append(change)

    def add_chore(
        self,
        writes: Sequence[Write],
        done: Callable[[], None] | None = None,
        refused: Callable[[StoreError], None] | None = None,
        told: Told | None = None,
    ) -> None:
        """Queue documents of the engine itself; they go out in order, behind what runs have to write.

        Args:
            writes: At least one document.
            done: Called once all of them are durable.
            refused: Called once, instead, if the store will not take some of them.
            told: What the record of their commit tells of them.
        """
        self._chores.append(Chore(writes, done, refused, told))
        self._idle.clear()
        self._wake.set()

    def write(self, writes: Sequence[Write], told: Told | None = None) -> asyncio.Future[None]:
        """Queue documents as `add_chore` does, for somebody who waits for them as long as they like.

        Returns:
            Done once all of them are durable; it fails with `StoreError` if the store will not take some of them.
        """
        future: asyncio.Future[None] = self._loop.create_future()
        self.add_chore(writes, lambda: settle(future), lambda error: settle(future, error), told)
        return future

    def stats(self) -> CommitStats:
        """Say how commits went so far, and what waits for the next one."""
        return self.numbers.stats(len(self._queue), sum(len(chore.waiting) for chore in self._chores))

    @property
    def idle(self) -> bool:
        """Whether everything is written."""
        return self._idle.is_set()

    async def drained(self) -> None:
        """Wait until everything is written."""
        await self._idle.wait()

    async def run(self) -> None:
        """Write batches until cancelled."""
        limits = self._store.capabilities
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._queue or self._chores:
                    await self._commit(fill(self._queue, self._chores, limits))
                self._idle.set()
        except FencedError as error:
            self._partition.lease.revoke()
            self._verdicts.fenced(error)

    async def _commit(self, batch: Batch) -> None:
        """Write a batch, or what is left of it, until all of it has a verdict."""
        batch.late = self._verdicts.late_deltas()
        for _ in range(_MAX_ROUNDS):
            write_id = self._next_write_id()
            batch.deltas = self._deltas(batch.changes)
            record = self._partition.next_record(
                write_id, batch.late + batch.deltas, batch.told() if batch.chores else {}
            )
            writes = batch.writes(record)
            if self._store.capabilities.guard != "key":
                writes = [unversioned(write) for write in writes]
            self._began = monotonic()
            try:
                results = await self._write(writes)
            except StoreError as error:
                await self._split(batch, error)
                return
            if Conflict in map(type, results):
                self.numbers.conflicts += 1
                await self._judge(batch, record)
            else:
                sign = self._partition.sign
                is_sign = any(item.write.key == sign for item in batch.chores) if batch.chores else False
                self._partition.committed(self._sent, is_sign=is_sign)
                self._succeed(batch, cast("Sequence[Written]", results))
            if not batch:
                return
        self._give_up(batch, StoreError("the store reports conflicts that it does not have"))

    def _deltas(self, changes: Sequence[Change]) -> list[list[object]]:
        return [self._verdicts.delta_of(change.entry) for change in changes if change.entry is not None]

    def _next_write_id(self) -> str:
        self._write_ids += 1
        return f"{self._partition.token}:{self._write_ids}"

    async def _write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        """Write, and where the outcome is not told try the same bytes again until one is."""
        while True:
            self._sent = self._loop.time()
            try:
                results = await self._store.write(writes)
            except StoreUnavailableError as error:
                self.numbers.unknown += 1
                await self._reader.pause(error)
            else:
                self._reader.answered()
                return results

    def _succeed(self, batch: Batch, results: Sequence[Written]) -> None:
        """Hand out good news; the results stand in the order of `Batch.writes`."""
        versions = [result.version for result in results]
        self.numbers.wrote(monotonic() - self._began, len(batch.changes), len(results))
        start = len(results) - len(batch.chores) - len(batch.changes)
        durable = self._verdicts.durable
        self.written += len(batch.changes)
        for change, version in zip(batch.changes, versions[start:], strict=False):
            durable(change, version)
        for chore, version in zip(batch.chores, versions[start + len(batch.changes) :], strict=True):
            self._finish(chore, version)
        batch.changes, batch.chores, batch.ahead = [], [], []
        self._count()

    def _finish(self, item: ChoreWrite, version: str) -> None:
        if item.write.value is not None:
            self._partition.written(item.write.key, version)
        item.chore.written()

    def _count(self) -> None:
        self.commits += 1
        self.on_commit()

    async def _split(self, batch: Batch, error: StoreError) -> None:
        """Find out what of a refused batch the store refuses, by halves."""
        changes, chores = batch.changes, batch.chores
        if changes and chores:
            await self._commit(Batch(changes=changes))
            await self._commit(Batch(chores=chores))
        elif len(changes) > 1 or len(chores) > 1:
            half = max(len(changes), len(chores)) // 2
            await self._commit(Batch(changes=changes[:half], chores=chores[:half]))
            await self._commit(Batch(changes=changes[half:], chores=chores[half:]))
        else:
            self._give_up(batch, error)

    def _give_up(self, batch: Batch, error: StoreError) -> None:
        """Say of all that is left in a batch that the store will not take it."""
        self.numbers.refused += len(batch.changes)
        for change in batch.changes:
            self._verdicts.refused(change, error)
        if batch.ahead_of is not None:
            self.numbers.refused += 1
            self._queue.remove(batch.ahead_of)
            self._verdicts.refused(batch.ahead_of, error)
        for item in batch.chores:
            self._log.error("the store refused %s, a document of the engine: %s", item.write.key, error)
            item.chore.refuse(error)

    async def _judge(self, batch: Batch, record: Write) -> None:
        """Find out what became of a batch of which something was refused, and leave in it what is to be tried again.

        Raises:
            FencedError: Another process owns the partition.
        """
        keys = [self._partition.sign, *(write.key for write in batch.writes(record))]
        documents = await self._reader.read(list(dict.fromkeys(keys)))
        self._partition.check_fence(documents, record.key)
        if record.key in documents:
            self._require_own(record.key, documents[record.key])
            self._partition.seq += 1
            self.numbers.wrote(monotonic() - self._began, len(batch.changes), len(keys) - 1)
            self._count()
        again = []
        for change in batch.changes:
            stored = documents.get(change.head.key)
            if stored is not None and unseal(change.head.key, stored.value).get("write_id") == change.write_id:
                self.written += 1
                self._verdicts.durable(change, stored.version)
            elif self._stands_as_expected(change.head, stored):
                change.early = self._left(change.early, documents)
                again.append(change)
            else:
                self.numbers.lost += 1
                self._verdicts.lost(change)
        batch.changes = again
        batch.ahead = self._left(batch.ahead, documents)
        self._judge_chores(batch, documents)

    def _judge_chores(self, batch: Batch, documents: dict[str, Document]) -> None:
        left = []
        for item in batch.chores:
            stored = documents.get(item.write.key)
            if _is_stored(item.write, documents):
                self._finish(item, stored.version if stored is not None else "")
            else:
                item.write = self._renewed(item.write, documents)
                left.append(item)
        batch.chores = left

    def _require_own(self, key: str, record: Document) -> None:
        """Check that the record at the next place is of this process: of this batch, or of one that was refused."""
        own = unseal(key, record.value)["write_id"].startswith(f"{self._partition.token}:")
        if not own and self._store.capabilities.guard != "none":
            message = f"commit {key!r} was made by another process: this one stops"
            raise FencedError(message)

    def _stands_as_expected(self, write: Write, stored: Document | None) -> bool:
        """Say whether a refused write could still go through as it is."""
        if write.expected is ABSENT:
            return stored is None
        if self._store.capabilities.guard != "key":
            return True
        return stored is not None and stored.version == write.expected

    def _left(self, writes: Sequence[Write], documents: dict[str, Document]) -> list[Write]:
        """Give the writes that are not stored yet, each expecting what is there now: none but the owner writes them."""
        return [self._renewed(write, documents) for write in writes if not _is_stored(write, documents)]

    def _renewed(self, write: Write, documents: dict[str, Document]) -> Write:
        stored = documents.get(write.key)
        if write.value is None or stored is None:
            return write._replace(expected=ABSENT if write.value is not None else ANY)
        return write._replace(expected=stored.version if self._store.capabilities.guard == "key" else ANY)


def settle(future: asyncio.Future[None], error: StoreError | FencedError | None = None) -> None:
    """Tell whoever waits for a write how it went, unless they have been told or have given up."""
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
        future.exception()  # whoever waits hears of it; nobody need


def _is_stored(write: Write, documents: dict[str, Document]) -> bool:
    stored = documents.get(write.key)
    return stored is None if write.value is None else stored is not None and stored.value == write.value
