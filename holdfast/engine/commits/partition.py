"""Who may write: the owner of a partition, its epoch, and the sequence of commits that proves it.

Each batch creates the record of its commit, which only one process can: a second one meets the record that is there.
A new owner takes the next epoch and creates the next record before anything else, so whatever a former owner still
tries to write collides with it. That record, and the one before it, are never deleted: they are the only keys a
process that has slept through its replacement can still try to create.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from holdfast.core.errors import CorruptDocumentError, FencedError, StoreUnavailableError
from holdfast.engine.commits.lease import PATIENCE_SECONDS, Lease
from holdfast.engine.commits.letters import Letters
from holdfast.engine.records.documents import checkpoint_key, commit_key, owner_key, seal_object, segment_key, unseal
from holdfast.ports import ABSENT, ANY, Conflict, Document, Expectation, Write

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from holdfast.engine.commits.index import Index
    from holdfast.engine.commits.letters import Told
    from holdfast.engine.commits.reader import Reader
    from holdfast.ports import StateStore

__all__ = ["RENEW_SECONDS", "Partition"]

RENEW_SECONDS: Final = 3.0
_LOOK_SECONDS: Final = 0.5
_RECORDS_PER_READ: Final = 100


class Partition:
    """The right to write a set of runs, and the place where its commits stand.

    Attributes:
        name: Which partition.
        epoch: The number of this ownership; a higher one fences it.
        token: Names this opening, and no other.
        seq: The newest commit.
        checkpointed: Up to which commit the newest checkpoint goes.
        swept: Up to which commit the needless records were deleted when the last checkpoint was written.
        was_released: The owner before this one has ended in good order.
        kept: Commits that are never deleted: the first of each epoch, and the one before it.
        sign: The key of the owner's record.
        lease: For how long it may be trusted that nobody else has taken it.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place, by the parts that it stands between
        self, store: StateStore, reader: Reader, name: str, instance: str, token: str, log: logging.Logger
    ) -> None:
        """Describe a claim; `take` makes it good.

        Args:
            store: Where the runs are.
            reader: Reads from it with patience.
            name: Which partition.
            instance: Names this process across its restarts: a successor of the same name does not wait.
            token: Names this opening, and no other.
            log: Where it says what it waits for.
        """
        self.name = name
        self.epoch = 0
        self.seq = 0
        self.swept = 0
        self.checkpointed = 0
        self.was_released = False
        self.kept: set[int] = set()
        self.lease = Lease()
        self.sign = owner_key(name)
        self._store = store
        self._reader = reader
        self._instance = instance
        self.token = token
        self._log = log
        self._renewals = 0
        self._versions: dict[str, str] = {}
        self._letters = Letters()

    # Taking it.

    async def take(self, index: Index, letters: Letters) -> None:
        """Wait until the partition may be taken, take it, and fill index and letters with what is stored of it.

        Raises:
            StoreError: The store cannot be read or written.
        """
        while True:
            owner = await self._free_owner()
            self.was_released = owner is not None and owner["released"]
            self.seq, self.swept, self.epoch, self.kept = 0, 0, 0, set()
            index.clear()
            letters.clear()
            self._letters = letters
            await self._load(index)
            if await self._claim(owner, index) and not await self._slept_through_a_checkpoint():
                return

    async def _free_owner(self) -> dict[str, Any] | None:
        """Wait until nobody else owns the partition, and give what is left of the last owner."""
        loop = asyncio.get_running_loop()
        sign, still_since = None, loop.time()
        while True:
            owner = await self._read_owner()
            if owner is None or owner["released"] or owner["name"] == self._instance:
                return owner
            if self._store.capabilities.exclusive or loop.time() - still_since >= PATIENCE_SECONDS:
                return owner
            if sign != (owner["epoch"], owner["renewals"]):
                sign, still_since = (owner["epoch"], owner["renewals"]), loop.time()
                self._log.info("partition %s is owned by %r: waiting for it to end", self.name, owner["name"])
            await asyncio.sleep(_LOOK_SECONDS)

    async def _read_owner(self) -> dict[str, Any] | None:
        key = self.sign
        document = (await self._reader.read([key])).get(key)
        if document is None:
            self._versions.pop(key, None)
            return None
        self._versions[key] = document.version
        return unseal(key, document.value)

    async def _load(self, index: Index) -> None:
        """Read the newest checkpoint, then the records after it until there is none."""
        key = checkpoint_key(self.name)
        found = (await self._reader.read([key])).get(key)
        if found is not None:
            self._versions[key] = found.version
            checkpoint = unseal(key, found.value)
            self.seq, self.swept, self.kept = checkpoint["seq"], checkpoint["swept"], set(checkpoint["kept"])
            self.checkpointed = self.seq
            keys = [segment_key(self.name, number) for number in range(checkpoint["segments"])]
            documents = await self._reader.read(keys)
            for segment in keys:
                if segment not in documents:
                    message = f"document {segment!r}, a part of the index, is missing"
                    raise CorruptDocumentError(message)
                self._versions[segment] = documents[segment].version
                index.load(unseal(segment, documents[segment].value)["entries"])
            index.loaded()
            self._letters.load(checkpoint.get("letters", {}))
        while await self._load_records(index):
            pass

    async def _load_records(self, index: Index) -> bool:
        first = self.seq + 1
        keys = [commit_key(self.name, seq) for seq in range(first, first + _RECORDS_PER_READ)]
        documents = await self._reader.read(keys)
        for key in keys:
            if key not in documents:
                return False
            self._take_in(unseal(key, documents[key].value), index)
        return True

    def _take_in(self, record: dict[str, Any], index: Index) -> None:
        self.seq += 1
        if record["epoch"] > self.epoch:
            self.kept |= {self.seq - 1, self.seq}
        self.epoch = max(self.epoch, record["epoch"])
        index.load(record["deltas"])
        self._letters.take_over(record.get("letters", {}))

    async def _claim(self, owner: dict[str, Any] | None, index: Index) -> bool:
        """Create the first record of a new epoch; False where another process was faster."""
        loop = asyncio.get_running_loop()
        while True:
            sent = loop.time()
            epoch = max(self.epoch, owner["epoch"] if owner else 0) + 1
            writes = [
                self.record_write(self.seq + 1, self.token, epoch, [], {}),
                self._owner_write(epoch, released=False),
            ]
            try:
                results = await self._store.write(writes)
            except StoreUnavailableError as error:
                await self._reader.pause(error)
                continue
            key = writes[0].key
            record = (await self._reader.read([key])).get(key) if isinstance(results[0], Conflict) else None
            if record is None and not any(isinstance(result, Conflict) for result in results):
                break
            stored = unseal(key, record.value) if record is not None else None
            if stored is not None and stored["write_id"] == self.token:
                break
            owner = await self._read_owner()
            if (owner["epoch"] if owner else 0) >= epoch or (stored is not None and stored["epoch"] >= epoch):
                return False
            if stored is not None:
                self._take_in(stored, index)
        self.kept |= {self.seq, self.seq + 1}
        self.epoch = epoch
        self.committed(sent, is_sign=True)
        await self._read_owner()
        return True

    async def _slept_through_a_checkpoint(self) -> bool:
        """Say whether the place of the claim lies before a checkpoint: then the record there had only been deleted."""
        key = checkpoint_key(self.name)
        found = (await self._reader.read([key])).get(key)
        return found is not None and unseal(key, found.value)["seq"] >= self.seq

    # Proving it.

    def committed(self, sent: float, *, is_sign: bool) -> None:
        """Note that the next commit was made.

        Args:
            sent: When the store was called, by the loop's time.
            is_sign: The owner's record was in it: only of that can a newcomer see that there still is an owner.
        """
        self.seq += 1
        if is_sign:
            self.lease.proved(sent)

    def record_write(self, seq: int, write_id: str, epoch: int, deltas: Sequence[Any], told: Told) -> Write:
        """Make the record of a commit."""
        record: dict[str, Any] = {"epoch": epoch, "write_id": write_id, "deltas": deltas}
        if told:
            record["letters"] = told
        return Write(commit_key(self.name, seq), seal_object(record), ABSENT)

    def next_record(self, write_id: str, deltas: Sequence[Any], told: Told) -> Write:
        """Make the record of the next commit."""
        return self.record_write(self.seq + 1, write_id, self.epoch, deltas, told)

    def renewal(self) -> Write:
        """Make the write that shows the owner alive."""
        self._renewals += 1
        return self._owner_write(self.epoch, released=False)

    def release(self) -> Write:
        """Make the write that lets a successor begin at once."""
        return self._owner_write(self.epoch, released=True)

    def _owner_write(self, epoch: int, *, released: bool) -> Write:
        owner = {
            "epoch": epoch,
            "name": self._instance,
            "token": self.token,
            "renewals": self._renewals,
            "released": released,
        }
        return Write(self.sign, seal_object(owner), self.expected(self.sign))

    def segment_write(self, number: int, entries: Sequence[Any]) -> Write:
        """Make the write of a part of the index."""
        key = segment_key(self.name, number)
        return Write(key, seal_object({"entries": entries}), self.expected(key))

    def checkpoint_write(self, seq: int, segments: int) -> Write:
        """Make the write that says up to which commit the segments go."""
        key = checkpoint_key(self.name)
        kept = sorted(number for number in self.kept if number <= seq)
        letters = self._letters.to_json()
        checkpoint = {"seq": seq, "swept": self.swept, "segments": segments, "kept": kept, "letters": letters}
        return Write(key, seal_object(checkpoint), self.expected(key))

    def expected(self, key: str) -> str | Expectation:
        """Say what a write of one of the partition's own documents expects."""
        version = self._versions.get(key)
        if version is None:
            return ABSENT
        return version if self._store.capabilities.guard == "key" else ANY

    def written(self, key: str, version: str) -> None:
        """Note the version of one of the partition's own documents."""
        self._versions[key] = version

    def check_fence(self, documents: dict[str, Document], record_key: str) -> None:
        """Look for a newer owner, in what was read after a batch was refused.

        Raises:
            FencedError: There is one.
        """
        for key in (self.sign, record_key):
            if key in documents and unseal(key, documents[key].value)["epoch"] > self.epoch:
                message = f"partition {self.name} was taken over by another process: this one stops"
                raise FencedError(message)
