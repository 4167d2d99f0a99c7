"""Reading the documents of a bucket."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from holdfast.core.errors import StoreUnavailableError
from holdfast.stores.nats_errors import refusal, status_of, unexpected
from holdfast.stores.nats_keys import encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nats.aio.msg import Msg

    from holdfast.stores.nats_bucket import Bucket
    from holdfast.stores.nats_link import Link

__all__ = ["Reader", "Revision", "marks_deletion"]

_SUBJECTS_AT_ONCE: Final = 1_024
"""The most that the server takes in one request."""

_REQUEST_BYTES: Final = 256 * 1024
_ANSWER_BYTES: Final = 8 * 1024 * 1024
"""After so many the server ends its answer; it cuts off who has 64 MiB waiting for him."""

_SINGLE_READS: Final = 16
"""How many documents are read at once where each needs a request of its own."""

_NO_MESSAGE: Final = 10037
_NOT_FOUND: Final = "404"
_DONE: Final = "204"
_NOT_UNDERSTOOD: Final = "408"
_DELETIONS: Final = {"DEL", "PURGE"}


class Revision(NamedTuple):
    """The newest of a key: its number in the stream, and the value; None where it marks that the key was deleted."""

    number: int
    value: bytes | None


def marks_deletion(headers: Mapping[str, str] | None) -> bool:
    """Say whether a message marks a deletion: one by a client, or by the server itself."""
    return headers is not None and (headers.get("KV-Operation") in _DELETIONS or "Nats-Marker-Reason" in headers)


class Reader:
    """Reads the newest revisions of keys, as many with one request as the bucket allows."""

    def __init__(self, link: Link, bucket: Bucket) -> None:
        """Read this bucket over this link."""
        self._link = link
        self._bucket = bucket
        self._read_one = self._read_past_leader if bucket.direct else self._read_from_leader
        self._batched = bucket.direct

    async def read(self, keys: Sequence[str]) -> dict[str, Revision]:
        """Read the newest revision of each key; those that never had one, or none any more, are left out."""
        subjects = {self._bucket.prefix + encode(key): key for key in keys}
        found: dict[str, Revision] = {}
        for part in _parts(list(subjects)):
            found |= await (self._read_many(part) if self._batched and len(part) > 1 else self._read_each(part))
        return {subjects[subject]: revision for subject, revision in found.items()}

    async def _read_many(self, subjects: Sequence[str]) -> dict[str, Revision]:
        """Read with as many requests as the size of the documents demands."""
        found: dict[str, Revision] = {}
        missing = list(subjects)
        while missing:
            *messages, end = await self._link.ask_for_many(
                f"$JS.API.DIRECT.GET.{self._bucket.stream}",
                orjson.dumps({"multi_last": missing, "max_bytes": _ANSWER_BYTES}),
                is_last=status_of,
                doing=f"reading {len(subjects)} documents",
            )
            found |= dict(_revision(message) for message in messages)
            if _is_whole(end):
                break
            if status_of(end) == _NOT_UNDERSTOOD and not found:  # by a server before 2.11
                self._batched = False
                return await self._read_each(subjects)
            if status_of(end) != _DONE or not messages:
                raise unexpected(end, f"reading {len(subjects)} documents")
            missing = [subject for subject in missing if subject not in found]
        return found

    async def _read_each(self, subjects: Sequence[str]) -> dict[str, Revision]:
        gate = asyncio.Semaphore(_SINGLE_READS)

        async def gated(subject: str) -> Revision | None:
            async with gate:
                return await self._read_one(subject)

        if len(subjects) == 1:
            revisions = [await self._read_one(subjects[0])]
        else:
            revisions = await asyncio.gather(*(gated(subject) for subject in subjects))
        return {subject: found for subject, found in zip(subjects, revisions, strict=True) if found is not None}

    async def _read_past_leader(self, subject: str) -> Revision | None:
        doing = "reading a document"
        message = await self._link.ask(f"$JS.API.DIRECT.GET.{self._bucket.stream}.{subject}", doing=doing)
        status = status_of(message)
        if status and status != _NOT_FOUND:
            raise unexpected(message, doing)
        return None if status else _revision(message)[1]

    async def _read_from_leader(self, subject: str) -> Revision | None:
        doing = "reading a document"
        request = {"last_by_subj": subject}
        answer = await self._link.call_api(f"STREAM.MSG.GET.{self._bucket.stream}", request, doing=doing)
        if "error" in answer:
            if answer["error"].get("err_code") == _NO_MESSAGE:
                return None
            raise refusal(answer["error"], doing)
        stored = answer["message"]
        if marks_deletion(_headers(base64.b64decode(stored.get("hdrs", "")))):
            return Revision(stored["seq"], None)
        return Revision(stored["seq"], base64.b64decode(stored.get("data", "")))


def _parts(subjects: Sequence[str]) -> Iterator[list[str]]:
    part: list[str] = []
    size = 0
    for subject in subjects:
        if len(part) == _SUBJECTS_AT_ONCE or size + len(subject) > _REQUEST_BYTES:
            yield part
            part, size = [], 0
        part.append(subject)
        size += len(subject) + 3
    if part:
        yield part


def _revision(message: Msg) -> tuple[str, Revision]:
    headers = message.headers or {}
    try:
        subject, number = headers["Nats-Subject"], int(headers["Nats-Sequence"])
    except (KeyError, ValueError) as error:
        msg = f"NATS answered a read with a message that is no document: {headers}"
        raise StoreUnavailableError(msg) from error
    return subject, Revision(number, None if marks_deletion(headers) else message.data)


def _is_whole(end: Msg) -> bool:
    """Say whether an answer is whole that ends with this status, rather than cut off for its size."""
    headers = end.headers or {}
    if status_of(end) == _NOT_FOUND:
        return headers.get("Description") == "No Results"
    return status_of(end) == _DONE and headers.get("Nats-Num-Pending") == "0"


def _headers(block: bytes) -> dict[str, str]:
    """Read the headers of a stored message: a line with the version of the format, then ``name: value`` each."""
    lines = block.decode(errors="replace").split("\r\n")[1:]
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
