"""Writing to a bucket: each key only if its newest revision is the expected one."""

from __future__ import annotations

import asyncio
import itertools
import re
import secrets
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal

from holdfast.ports import ABSENT, ANY, Conflict, Expectation, Written
from holdfast.stores.nats_errors import client_errors, is_conflict, refusal
from holdfast.stores.nats_keys import encode
from holdfast.stores.nats_link import parsed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.ports import Write
    from holdfast.stores.nats_bucket import Bucket
    from holdfast.stores.nats_link import Link
    from holdfast.stores.nats_reads import Reader, Revision

__all__ = ["Writer"]

_EXPECT: Final = "Nats-Expected-Last-Subject-Sequence"
_BATCH: Final = "Nats-Batch-Id"
_PLACE: Final = "Nats-Batch-Sequence"
_COMMIT: Final = "Nats-Batch-Commit"
_MARKER: Final = {"KV-Operation": "DEL"}
_EXPIRING_MARKER: Final = {**_MARKER, "Nats-TTL": "60s"}
"""Long enough for other clients that watch the bucket; this store has no need of what marks a deletion."""

_VERSION: Final = re.compile(r"[1-9][0-9]{0,18}")
_LOOKS: Final = 3


class _Unsure(Enum):
    """What is not a revision to expect."""

    GONE = "gone"
    """There is nothing left to delete."""
    UNKNOWN = "unknown"
    """Reading has to tell."""


_Target = int | Literal[Expectation.ANY, _Unsure.GONE, _Unsure.UNKNOWN]
"""The revision that a key should have, 0 where it should have none; or what there is to say instead."""


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

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        """Write a batch; see `StateStore.write`."""
        if self._bucket.atomic or len(writes) == 1:
            return await self._write_whole(writes)
        return await self._write_apart(writes)

    async def _write_apart(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        """Write one by one as far as order counts: the first document, the others, then what is deleted.

        Nothing follows a first document that is refused.
        """
        upserts = [place for place, write in enumerate(writes) if write.value is not None]
        deletions = [place for place, write in enumerate(writes) if write.value is None]
        results: list[Written | Conflict] = [Conflict()] * len(writes)
        for part in (upserts[:1], upserts[1:], deletions):
            answers = await asyncio.gather(
                *(self._write_whole([writes[place]]) for place in part), return_exceptions=True
            )
            for place, answer in zip(part, answers, strict=True):
                if isinstance(answer, BaseException):
                    raise answer
                (results[place],) = answer
            if part and part == upserts[:1] and isinstance(results[part[0]], Conflict):
                break
        return results

    async def _write_whole(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        """Write all or nothing.

        A key that was deleted is not absent to the server as long as a marker stands in its place, and deleting an
        absent key at a version is refused. So a refused batch is looked into, and sent once more with what is there
        if that is no real conflict; a look is out of date when somebody else writes, or a marker expires, just then.
        """
        targets = [_first_target(write) for write in writes]
        for _ in range(_LOOKS):
            if _Unsure.UNKNOWN not in targets:
                results = await self._send(writes, targets)
                if results is not None:
                    return results
            looked = await self._look(writes, targets)
            if looked is None or looked == targets:
                break
            targets = looked
        return [Conflict()] * len(writes)

    async def _look(self, writes: Sequence[Write], targets: Sequence[_Target]) -> list[_Target] | None:
        """Say what to expect of each key, now that a batch was refused; None where there is a conflict."""
        unsure = {write.key for write in writes if _is_unsure(write)}
        found = await self._reader.read(sorted(unsure)) if unsure else {}
        looked: list[_Target] = []
        for write, target in zip(writes, targets, strict=True):
            now = _target_of(write, found.get(write.key)) if write.key in unsure else target
            if now is None:
                return None
            looked.append(now)
        return looked

    async def _send(self, writes: Sequence[Write], targets: Sequence[_Target]) -> list[Written | Conflict] | None:
        """Send what there is to write, in one go; None if it is refused."""
        sent = [(write, target) for write, target in zip(writes, targets, strict=True) if target is not _Unsure.GONE]
        if not sent:
            return [Written("")] * len(writes)
        last = await self._publish(sent)
        if last is None:
            return None
        revisions = itertools.count(last - len(sent) + 1)
        numbers = ("" if target is _Unsure.GONE else str(next(revisions)) for target in targets)
        # The version of a deletion is nobody's to know: naming it, an update would create the key.
        return [Written("" if write.value is None else number) for write, number in zip(writes, numbers, strict=True)]

    async def _publish(self, sent: Sequence[tuple[Write, _Target]]) -> int | None:
        """Publish messages, as a batch unless it is one alone, and say which number the last of them got."""
        doing = f"writing {len(sent)} documents"
        batch = f"{self._name}-{next(self._numbers)}"
        prefix, count = self._bucket.prefix, len(sent)
        with client_errors(doing):
            for place, (write, target) in enumerate(sent, start=1):
                headers = {} if write.value is not None else dict(self._marker)
                if target is not ANY:
                    headers[_EXPECT] = str(target)
                if count > 1:
                    headers[_BATCH] = batch
                    headers[_PLACE] = str(place)
                if place < count:
                    await self._link.publish(prefix + encode(write.key), write.value or b"", headers)
            if count > 1:
                headers[_COMMIT] = "1"
        message = await self._link.ask(prefix + encode(write.key), write.value or b"", headers, doing=doing)
        answer = parsed(message, doing)
        if "error" not in answer:
            return int(answer["seq"])
        if is_conflict(answer["error"]):
            return None
        raise refusal(answer["error"], doing)


def _first_target(write: Write) -> _Target:
    """Say what to expect before anything was read."""
    expected = write.expected
    if expected is ANY:
        return ANY
    if expected is ABSENT:
        return 0 if write.value is not None else _Unsure.UNKNOWN
    return int(expected) if _VERSION.fullmatch(expected) else _Unsure.UNKNOWN


def _is_unsure(write: Write) -> bool:
    """Say whether a refused write may hold all the same."""
    if write.expected is ANY:
        return False
    return write.value is None or write.expected is ABSENT or not _VERSION.fullmatch(write.expected)


def _target_of(write: Write, found: Revision | None) -> _Target | None:
    """Say what to expect of a key as it was found; None if that is a conflict."""
    exists = found is not None and found.value is not None
    if write.value is None:
        if not exists:
            return _Unsure.GONE
        return found.number if found is not None and str(found.number) == write.expected else None
    if exists or write.expected is not ABSENT:
        return None
    return 0 if found is None else found.number
