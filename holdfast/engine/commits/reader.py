"""Reading documents with patience: split to the store's limits, tried again until it answers."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from holdfast.core.errors import CorruptDocumentError, StoreUnavailableError
from holdfast.core.history import OUTCOMES, EventType, RunStatus
from holdfast.engine.records.documents import (
    decode_event,
    missing_document,
    page_key,
    past_key,
    run_key,
    unseal,
    unseal_value,
)
from holdfast.engine.records.head import Head
from holdfast.engine.records.seen import Seen

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator, Sequence

    from holdfast.core.history import Event
    from holdfast.ports import Document, StateStore

__all__ = ["Reader", "StoredRun"]

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 5.0
_KEYS_PER_READ: Final = 200


class StoredRun(NamedTuple):
    """A run as it is stored.

    Attributes:
        head: Its head, read as JSON.
        version: The head's version in the store.
        history: Its events; empty where they were not asked for.
        blobs: Its large values, by key.
        seen: Its sealed lists of ids, by key.
    """

    head: dict[str, Any]
    version: str
    history: Sequence[Event]
    blobs: dict[str, bytes]
    seen: dict[str, dict[str, Any]]


class Reader:
    """Reads for the engine. An outage makes it wait; it never makes a document look absent.

    Attributes:
        trouble: Why the store did not answer when it was last asked; empty where it did.
        retries: How many reads got no answer and were made again.
    """

    def __init__(self, store: StateStore, chance: Callable[[], float], log: logging.Logger) -> None:
        """Read from a store.

        Args:
            store: The store.
            chance: Draws a random number in [0, 1), to spread retries.
            log: Is told when the store stops answering, and when it answers again.
        """
        self.trouble = ""
        self.retries = 0
        self._store = store
        self._chance = chance
        self._log = log
        self._failures = 0

    async def read(self, keys: Sequence[str]) -> dict[str, Document]:
        """Read documents, however many; absent ones are left out."""
        documents: dict[str, Document] = {}
        step = min(_KEYS_PER_READ, self._store.capabilities.max_batch)
        for start in range(0, len(keys), step):
            documents.update(await self._read_some(keys[start : start + step]))
        return documents

    async def _read_some(self, keys: Sequence[str]) -> dict[str, Document]:
        while True:
            try:
                documents = await self._store.read(keys)
            except StoreUnavailableError as error:
                self.retries += 1
                await self.pause(error)
            else:
                self.answered()
                return documents

    def answered(self) -> None:
        """Note that the store has answered."""
        if self._failures:
            self._log.warning("the store answers again, after %d calls that failed", self._failures)
            self.trouble, self._failures = "", 0

    async def pause(self, error: StoreUnavailableError) -> None:
        """Wait before the store is asked again, longer after each failure."""
        if not self._failures:
            self._log.warning("the store does not answer, and is asked until it does: %s", error)
        self.trouble = str(error)
        self._failures += 1
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(self._failures, 10))
        await asyncio.sleep(max(error.retry_after or 0, longest * (0.5 + self._chance() / 2)))

    async def run(self, workflow_id: str, *, history: bool | None = None) -> StoredRun | None:
        """Read the newest run of a workflow id; None where there is none.

        Args:
            workflow_id: Which.
            history: Read its events too; None for only while the run is open.

        Raises:
            CorruptDocumentError: One of its documents is damaged or missing.
        """
        return await self._one(run_key(workflow_id), history=history)

    async def past_run(self, run_id: str, *, history: bool) -> StoredRun | None:
        """Read an earlier run of a workflow id; None where there is none.

        Raises:
            CorruptDocumentError: One of its documents is damaged or missing.
        """
        return await self._one(past_key(run_id), history=history)

    async def _one(self, key: str, *, history: bool | None) -> StoredRun | None:
        found = (await self.runs([key], history=history)).get(key)
        if isinstance(found, CorruptDocumentError):
            raise found
        return found

    async def events_after(self, key: str, after: int) -> tuple[dict[str, Any], list[Event]] | None:
        """Read the events of a run past the nth, and its head, without the pages before; None where there is no run.

        Raises:
            CorruptDocumentError: One of its documents is damaged or missing.
        """
        document = (await self.read([key])).get(key)
        if document is None:
            return None
        head = unseal(key, document.value)
        records, page = list(head["tail"]), head["pages"]
        while page and (not records or records[0]["seq"] > after + 1):
            page -= 1
            records = unseal(*await self._one_document(page_key(head["run_id"], page)))["events"] + records
        records = [record for record in records if record["seq"] > after]
        named = [head[name] for name in ("input_blob", "value_blob") if name in head]
        named += [record["blob"] for record in records if "blob" in record]
        blobs = {name: unseal_value(*await self._one_document(name)) for name in dict.fromkeys(named)}
        return head, _events(head, records, blobs)

    async def _one_document(self, key: str) -> tuple[str, bytes]:
        document = (await self.read([key])).get(key)
        if document is None:
            raise missing_document(key)
        return key, document.value

    async def runs(self, keys: Sequence[str], *, history: bool | None) -> dict[str, StoredRun | CorruptDocumentError]:
        """Read many runs in few calls, by the keys of their heads; absent ones are left out.

        Damage to one of them is its own error, and nobody else's.
        """
        found: dict[str, StoredRun | CorruptDocumentError] = {}
        drafts: dict[str, _Draft] = {}
        for key, document in (await self.read(keys)).items():
            try:
                with _known_form(key):
                    drafts[key] = _Draft(unseal(key, document.value), document.version, history=history)
            except CorruptDocumentError as error:
                found[key] = error
        for step in (_Draft.pages, _Draft.rest):
            wanted = {key: step(draft) for key, draft in drafts.items() if draft.error is None}
            documents = await self.read([name for names in wanted.values() for name in names])
            for key, names in wanted.items():
                drafts[key].take(names, documents)
        found.update({key: draft.finish() for key, draft in drafts.items()})
        return found


class _Draft:
    """A run that is being read, in two steps: its pages, then the documents that those and the head name."""

    def __init__(self, head: dict[str, Any], version: str, *, history: bool | None) -> None:
        self.error: CorruptDocumentError | None = None
        self._head = head
        self._version = version
        is_open, is_gone = head["status"] in ("running", "paused"), head["status"] == RunStatus.PURGED
        self._whole = is_open if history is None else history and not is_gone
        self._documents: dict[str, bytes] = {}
        self._records: list[dict[str, Any]] = []

    def pages(self) -> list[str]:
        return [page_key(self._head["run_id"], number) for number in range(self._head["pages"])] if self._whole else []

    def rest(self) -> list[str]:
        try:
            with _known_form(self._head["run_id"]):
                self._records = self._read_records() if self._whole else []
                return [*self._blobs(), *Seen.sealed_keys(self._head.get("seen"))]
        except CorruptDocumentError as error:
            self.error = error
            return []

    def take(self, names: Sequence[str], documents: dict[str, Document]) -> None:
        for name in names:
            if name not in documents:
                self.error = missing_document(name)
            else:
                self._documents[name] = documents[name].value

    def _read_records(self) -> list[dict[str, Any]]:
        head = self._head
        pages = [unseal(key, self._documents[key])["events"] for key in self.pages()]
        records = [*(record for page in pages for record in page), *head["tail"]]
        if [record["seq"] for record in records] != list(range(1, head["events"] + 1)):
            message = f"the history of run {head['run_id']!r} has a gap: {len(records)} events of {head['events']}"
            raise CorruptDocumentError(message)
        return records

    def _blobs(self) -> list[str]:
        named = [self._head[name] for name in ("input_blob", "value_blob") if name in self._head]
        return list(dict.fromkeys([*named, *(record["blob"] for record in self._records if "blob" in record)]))

    def finish(self) -> StoredRun | CorruptDocumentError:
        if self.error is not None:
            return self.error
        try:
            with _known_form(self._head["run_id"]):
                blobs = {key: unseal_value(key, self._documents[key]) for key in self._blobs()}
                sealed = Seen.sealed_keys(self._head.get("seen"))
                seen = {key: unseal(key, self._documents[key]) for key in sealed}
                events = _events(self._head, self._records, blobs)
                return StoredRun(self._head, self._version, events, blobs, seen)
        except CorruptDocumentError as error:
            return error


@contextmanager
def _known_form(name: str) -> Iterator[None]:
    """Let a document that is whole, but not as any release writes it, count as damaged."""
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        message = f"{name!r} is not in a form known here: {error!r}"
        raise CorruptDocumentError(message) from error


def _events(head: dict[str, Any], records: Sequence[dict[str, Any]], blobs: dict[str, bytes]) -> list[Event]:
    """Read the events, and give those that begin and end the run what stands in the head."""
    events = [decode_event(record, blobs) for record in records]
    if events:
        whole = Head.decode(head, blobs)
        if events[0].type is EventType.WORKFLOW_STARTED:
            events[0] = replace(events[0], value=whole.input, details={**(events[0].details or {}), **_identity(whole)})
        if events[-1].type in OUTCOMES:
            events[-1] = replace(events[-1], value=whole.value)
    return events


def _identity(head: Head) -> dict[str, Any]:
    """Say who a run is, as far as replay needs to know."""
    who = {"workflow_id": head.workflow_id, "run_id": head.run_id, "seed": head.seed}
    return {**who, "thread_key": head.thread} if head.thread else who
