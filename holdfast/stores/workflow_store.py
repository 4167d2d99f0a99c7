"""Whole workflow states by id, over any state store: for those who want to keep states and nothing more."""

from __future__ import annotations

import asyncio
import re
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime  # noqa: TC003 - read at run time, to decode
from typing import TYPE_CHECKING, Any, Final

from holdfast.core.codec import decoder_for, encode
from holdfast.core.errors import (
    CorruptDocumentError,
    InvalidIdError,
    PayloadError,
    StoreError,
    StoreUnavailableError,
)
from holdfast.ports import ANY, Write
from holdfast.stores.workflow_ids import RESERVED, IndexedIds, ListedIds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from holdfast.ports import StateStore
    from holdfast.stores.workflow_ids import WorkflowIds

__all__ = ["WorkflowFilter", "WorkflowState", "WorkflowStore"]

_ID: Final = re.compile(r"[A-Za-z0-9_.:-]+")
_READ_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class WorkflowState:
    """All that is known of a workflow.

    Attributes:
        workflow_id: Whose state it is; ``[A-Za-z0-9_.:-]``, not empty.
        status: Such as ``running``, ``completed``, ``failed`` or ``canceled``.
        run_id: Which run of the workflow.
        input: What it was started with: any JSON value, dataclass or model; it is loaded as JSON.
        result: What it returned, likewise.
        error: Why it failed.
        history: What happened, in order: one JSON object for each event.
        created_at: When it was started; the store sets no times of its own.
        updated_at: When it last changed.
    """

    workflow_id: str
    status: str = "running"
    run_id: str = ""
    input: Any = None
    result: Any = None
    error: str | None = None
    history: tuple[dict[str, Any], ...] = ()
    created_at: datetime | None = None
    updated_at: datetime | None = None

    def __post_init__(self) -> None:
        """Take any sequence of events for the history."""
        object.__setattr__(self, "history", tuple(self.history))


@dataclass(frozen=True, slots=True)
class WorkflowFilter:
    """Which states to list.

    Attributes:
        status: Those of this status; all without it.
        limit: At most so many; all without it, or with 0.
    """

    status: str | None = None
    limit: int | None = None


_STATE_FIELDS: Final = tuple(field.name for field in fields(WorkflowState))
_States = list[WorkflowState]
_Ids = list[str]
_decode = decoder_for(WorkflowState, "workflow state")


class WorkflowStore:
    """Saves, loads, lists and deletes workflow states; the newest save of an id wins.

    Errors read ``<provider>/<operation>: <what>: <cause>``, such as ``sqlite/save: write: disk is full``. The first
    use opens the store, unless `open` did.

    Args:
        state_store: Where the states are kept, under their ids; it is opened and closed by this object.
    """

    def __init__(self, state_store: StateStore) -> None:
        """Put the store to use; nothing is opened yet."""
        self._store = state_store
        self._provider: str = getattr(state_store, "name", type(state_store).__name__)
        self._ids: WorkflowIds | None = None
        self._closed = False
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Open the backend; also after `close`. Opening an open store does nothing.

        Raises:
            StoreError: The backend cannot be used.
        """
        self._closed = False
        await self._opened("open")

    async def save(self, state: WorkflowState) -> None:
        """Store a state, in place of an earlier one of the same id.

        Raises:
            InvalidIdError: The id is empty, or not one that a backend can keep.
            PayloadError: The state has no JSON form, or is larger than the backend takes.
            StoreError: The backend refused, or did not answer (`StoreUnavailableError`).
        """
        self._check_id("save", state.workflow_id)
        ids = await self._opened("save")
        with self._errors("save", "encode"):
            limit = self._store.capabilities.max_value_bytes
            value = encode({name: getattr(state, name) for name in _STATE_FIELDS}, "the state", limit=limit)
        with self._errors("save", "index"):
            await ids.add(state.workflow_id)
        with self._errors("save", "write"):
            await self._store.write([Write(state.workflow_id, value, ANY)])

    async def load(self, workflow_id: str) -> WorkflowState | None:
        """Read a state; None if the id has none.

        Raises:
            InvalidIdError: The id is empty, or not one that a backend can keep.
            CorruptDocumentError: What is stored under the id is not a workflow state.
            StoreError: The backend refused, or did not answer.
        """
        self._check_id("load", workflow_id)
        await self._opened("load")
        return (await self._read("load", [workflow_id])).get(workflow_id)

    async def list(self, filter: WorkflowFilter | None = None) -> _States:  # noqa: A002 - the contract's name
        """Read the states that pass a filter, in the order of their ids.

        Raises:
            CorruptDocumentError: What is stored under one of the ids is not a workflow state.
            StoreError: The backend refused, or did not answer.
        """
        wanted = filter or WorkflowFilter()
        ids = await self._opened("list")
        with self._errors("list", "index"):
            known = await ids.all()
        found: _States = []
        step = min(_READ_AT_ONCE, self._store.capabilities.max_batch)
        for start in range(0, len(known), step):
            chunk = known[start : start + step]
            states = await self._read("list", chunk)
            found += [states[key] for key in chunk if key in states and wanted.status in (None, "", states[key].status)]
            if wanted.limit and len(found) >= wanted.limit:
                return found[: wanted.limit]
        return found

    async def delete(self, workflow_id: str) -> None:
        """Remove a state for good; one that is absent already counts as removed.

        Raises:
            InvalidIdError: The id is empty, or not one that a backend can keep.
            StoreError: The backend refused, or did not answer.
        """
        self._check_id("delete", workflow_id)
        ids = await self._opened("delete")
        with self._errors("delete", "write"):
            await self._store.write([Write(workflow_id, None, ANY)])
        with self._errors("delete", "index"):
            await ids.remove(workflow_id)

    async def close(self) -> None:
        """Let go of the backend; closing twice is harmless."""
        async with self._lock:
            self._closed = True
            if self._ids is not None:
                self._ids = None
                await self._store.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _opened(self, operation: str) -> WorkflowIds:
        async with self._lock:
            if self._ids is None:
                if self._closed:
                    msg = f"{self._provider}/{operation}: open: the store has been closed"
                    raise StoreError(msg)
                with self._errors(operation, "open"):
                    await self._store.open()
                self._ids = (ListedIds if self._store.capabilities.list_keys else IndexedIds)(self._store)
            return self._ids

    async def _read(self, operation: str, ids: _Ids) -> dict[str, WorkflowState]:
        with self._errors(operation, "read"):
            documents = await self._store.read(ids)
        states = {}
        for workflow_id, document in documents.items():
            try:
                states[workflow_id] = _decode(document.value)
            except PayloadError as error:
                msg = f"{self._provider}/{operation}: decode: {workflow_id!r}: {error}"
                raise CorruptDocumentError(msg) from error
        return states

    def _check_id(self, operation: str, workflow_id: str) -> None:
        if not workflow_id:
            cause = "the workflow id is empty"
        elif not _ID.fullmatch(workflow_id):
            cause = f"{workflow_id!r} may hold letters and digits of ASCII, '_', '.', ':' and '-' only"
        elif workflow_id.startswith(RESERVED):
            cause = f"{workflow_id!r} begins like the key of an internal document; choose another beginning"
        else:
            return
        msg = f"{self._provider}/{operation}: id: {cause}"
        raise InvalidIdError(msg)

    @contextmanager
    def _errors(self, operation: str, what: str) -> Iterator[None]:
        """Say in the text of an error who was doing what."""
        try:
            yield
        except StoreUnavailableError as error:
            text = f"{self._provider}/{operation}: {what}: {error}"
            raise StoreUnavailableError(text, retry_after=error.retry_after) from error
        except PayloadError as error:
            text = f"{self._provider}/{operation}: {what}: {error}"
            raise PayloadError(text, field=error.field, too_large=error.too_large) from error
        except StoreError as error:
            text = f"{self._provider}/{operation}: {what}: {error}"
            raise type(error)(text) from error
