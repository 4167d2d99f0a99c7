"""Writing to a bucket: each key only if its newest revision is the expected one."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

from holdfast.core.errors import StoreUnavailableError
from holdfast.ports import ANY, Conflict, Written
from holdfast.stores.nats_errors import client_errors, is_conflict, refusal
from holdfast.stores.nats_keys import encode
from holdfast.stores.nats_link import parsed
from holdfast.stores.nats_targets import Unsure, first_target, is_unsure, target_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.ports import Write
    from holdfast.stores.nats_bucket import Bucket
    from holdfast.stores.nats_link import Link
    from holdfast.stores.nats_reads import Reader
    from holdfast.stores.nats_targets import Target

__all__ = ["Writer"]

_EXPECT: Final = "Nats-Expected-Last-Subject-Sequence"
_BATCH: Final = "Nats-Batch-Id"
_PLACE: Final = "Nats-Batch-Sequence"
_COMMIT: Final = "Nats-Batch-Commit"
_MARKER: Final = {"KV-Operation": "DEL"}
_EXPIRING_MARKER: Final = {**_MARKER, "Nats-TTL": "60s"}
"""Long enough for other clients that watch the bucket; this store has no need of what marks a deletion."""

_SINGLE_WRITES: Final = 64
"""How many documents are written at once where each goes alone: all of them would wait for the disk in one time-out."""

_LOOKS: Final = 3


class _Item(NamedTuple):
    """A write and the subject that it goes to."""

    subject: str
    write: Write


class Writer:
    """Writes batches, each as a whole where the bucket can do that."""

    def __init__(self, link: Link, bucket: Bucket, reader: Reader) -> None:
        """Write to this bucket over this link; the reader looks what stands in the way of a refused batch."""
        self._link = link
        self._bucket = bucket
        self._reader = reader
        self._marker = _EXPIRING_MARKER if bucket.expiring else _MARKER
        self._name = secrets.token_hex(6)
        self._numbers = itertools.count(1)
        self._newest = 0
        self._replaced = False

    def require_same_bucket(self) -> None:
        """Check that the bucket is still the one that was opened, as far as its answers to writes have shown.

        Raises:
            StoreUnavailableError: It is not; this store has no use of it any more.
        """
        if self._replaced:
            msg = (
                f"the bucket of {self._bucket.stream} was replaced while it was in use, or went back to an earlier "
                "state: what was acknowledged is no longer there; restart the process to work with what is"
            )
            raise StoreUnavailableError(msg)

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        """Write a batch; see `StateStore.write`. A key that NATS cannot have is refused before anything is sent."""
        items = [_Item(self._bucket.prefix + encode(write.key), write) for write in writes]
        whole = self._bucket.atomic or len(items) == 1
        results = await (self._write_whole(items) if whole else self._write_apart(items))
        self.require_same_bucket()  # another write may have found out meanwhile
        return results

    async def _write_apart(self, items: Sequence[_Item]) -> list[Written | Conflict]:
        """Write one by one as far as order counts: the first document, the others, then what is deleted.

        Nothing follows a first document that is refused.
        """
        upserts = [place for place, (_, write) in enumerate(items) if write.value is not None]
        deletions = [place for place, (_, write) in enumerate(items) if write.value is None]
        results: list[Written | Conflict] = [Conflict()] * len(items)
        gate = asyncio.Semaphore(_SINGLE_WRITES)

        async def write_one(place: int) -> list[Written | Conflict]:
            async with gate:
                return await self._write_whole([items[place]])

        for part in (upserts[:1], upserts[1:], deletions):
            answers = await asyncio.gather(*map(write_one, part), return_exceptions=True)
            for place, answer in zip(part, answers, strict=True):
                if isinstance(answer, BaseException):
                    raise answer
                (results[place],) = answer
            if part and part == upserts[:1] and isinstance(results[part[0]], Conflict):
                break
        return results

    async def _write_whole(self, items: Sequence[_Item]) -> list[Written | Conflict]:
        """Write all or nothing.

        A key that was deleted is not absent to the server as long as a marker stands in its place, and deleting an
        absent key at a version is refused. So a refused batch is looked into, and sent once more with what is there
        if that is no real conflict; a look is out of date when somebody else writes, or a marker expires, just then.
        """
        targets = [first_target(write) for _, write in items]
        for _ in range(_LOOKS):
            if Unsure.UNKNOWN not in targets:
                results = await self._send(items, targets)
                if results is not None:
                    return results
            looked = await self._look(items, targets)
            if looked is None or looked == targets:
                break
            targets = looked
        return [Conflict()] * len(items)

    async def _look(self, items: Sequence[_Item], targets: Sequence[Target]) -> list[Target] | None:
        """Say what to expect of each key, now that a batch was refused; None where there is a conflict."""
        unsure = {write.key for _, write in items if is_unsure(write)}
        found = await self._reader.read(sorted(unsure)) if unsure else {}
        looked: list[Target] = []
        for (_, write), target in zip(items, targets, strict=True):
            now = target_of(write, found.get(write.key)) if write.key in unsure else target
            if now is None:
                return None
            looked.append(now)
        return looked

    async def _send(self, items: Sequence[_Item], targets: Sequence[Target]) -> list[Written | Conflict] | None:
        """Send what there is to write, in one go; None if it is refused."""
        sent = [(item, target) for item, target in zip(items, targets, strict=True) if target is not Unsure.GONE]
        if not sent:
            return [Written("")] * len(items)
        last = await self._publish(sent)
        if last is None:
            return None
        revisions = itertools.count(last - len(sent) + 1)
        numbers = ("" if target is Unsure.GONE else str(next(revisions)) for target in targets)
        # The version of a deletion is nobody's to know: naming it, an update would create the key.
        return [
            Written(number if write.value is not None else "")
            for (_, write), number in zip(items, numbers, strict=True)
        ]

    async def _publish(self, sent: Sequence[tuple[_Item, Target]]) -> int | None:
        """Publish messages, as a batch unless it is one alone, and say which number the last of them got."""
        doing = f"writing {len(sent)} documents"
        messages = self._messages(sent)
        newest_before = self._newest
        with client_errors(doing):
            for message in messages[:-1]:
                await self._link.publish(*message)
        answer = parsed(await self._link.ask(*messages[-1], doing=doing), doing)
        if "error" not in answer:
            last = int(answer["seq"])
            # Numbers only grow, so one that is not newer than what was answered before comes from another stream.
            self._replaced = self._replaced or last - len(sent) < newest_before
            self.require_same_bucket()
            self._newest = max(self._newest, last)
            return last
        if is_conflict(answer["error"]):
            return None
        raise refusal(answer["error"], doing)

    def _messages(self, sent: Sequence[tuple[_Item, Target]]) -> list[tuple[str, bytes, dict[str, str]]]:
        """Make the messages of a batch: the subject, payload and headers of each."""
        batch = f"{self._name}-{next(self._numbers)}"
        messages = []
        for place, ((subject, write), target) in enumerate(sent, start=1):
            headers = {} if write.value is not None else dict(self._marker)
            if target is not ANY:
                headers[_EXPECT] = str(target)
            if len(sent) > 1:
                headers[_BATCH] = batch
                headers[_PLACE] = str(place)
                if place == len(sent):
                    headers[_COMMIT] = "1"
            messages.append((subject, write.value or b"", headers))
        return messages
