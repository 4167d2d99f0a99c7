"""Which workflow ids a store holds: asked of the backend where it can list, else kept in documents of our own."""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING, Final, Protocol

import orjson

from holdfast.core.errors import CorruptDocumentError, StoreError
from holdfast.ports import ABSENT, ANY, Write, Written

if TYPE_CHECKING:
    from holdfast.ports import Document, StateStore

__all__ = ["RESERVED", "IndexedIds", "ListedIds", "WorkflowIds"]

_INDEX: Final = "workflow-ids:"
RESERVED: Final = (
    _INDEX,
    "blob:",
    "commit:",
    "dead:",
    "held:",
    "index:",
    "owner:",
    "page:",
    "past:",
    "run:",
    "seen:",
)
"""How no workflow id may begin: such keys are the index's and, where an engine shares the store, the engine's."""

_SHARDS: Final = 64
_ATTEMPTS: Final = 20


class WorkflowIds(Protocol):
    """The ids that a store of workflow states holds."""

    async def add(self, workflow_id: str) -> None:
        """Know an id, durably; called before its document is written."""
        ...

    async def remove(self, workflow_id: str) -> None:
        """Forget an id; called after its document has been deleted."""
        ...

    async def all(self) -> list[str]:
        """List the ids in order; a few may have no document, where a process died half-way."""
        ...


class ListedIds:
    """The backend lists its keys, and the keys are the ids."""

    def __init__(self, store: StateStore) -> None:
        """Ask this store."""
        self._store = store

    async def add(self, workflow_id: str) -> None:
        """Do nothing: writing the document adds its key."""

    async def remove(self, workflow_id: str) -> None:
        """Do nothing: deleting the document removes its key."""

    async def all(self) -> list[str]:
        """List the keys that are workflow ids."""
        return sorted([key async for key in self._store.keys("") if not key.startswith(RESERVED)])


class IndexedIds:
    """Sets of ids in documents of their own, and in memory the ids that need not be added again.

    Processes that share a backend see each other's ids. One that deletes an id that another has in memory should
    be the only one that uses it from then on: the other would save it again without adding it.
    """

    def __init__(self, store: StateStore) -> None:
        """Keep the index in this store."""
        self._store = store
        self._known: set[str] = set()
        self._lock = asyncio.Lock()

    async def add(self, workflow_id: str) -> None:
        """Put an id into its set, unless this process knows that it is there."""
        if workflow_id not in self._known:
            await self._change(workflow_id, present=True)
            self._known.add(workflow_id)

    async def remove(self, workflow_id: str) -> None:
        """Take an id out of its set."""
        self._known.discard(workflow_id)
        await self._change(workflow_id, present=False)

    async def all(self) -> list[str]:
        """Read all sets."""
        shards = [f"{_INDEX}{number}" for number in range(_SHARDS)]
        limit = self._store.capabilities.max_batch
        found: set[str] = set()
        for start in range(0, _SHARDS, limit):
            documents = await self._store.read(shards[start : start + limit])
            found.update(*(_decode(key, document) for key, document in documents.items()))
        self._known |= found
        return sorted(found)

    async def _change(self, workflow_id: str, *, present: bool) -> None:
        key = f"{_INDEX}{zlib.crc32(workflow_id.encode()) % _SHARDS}"
        async with self._lock:
            for _ in range(_ATTEMPTS):
                document = (await self._store.read([key])).get(key)
                ids = _decode(key, document)
                if (workflow_id in ids) == present:
                    return
                value = orjson.dumps(sorted(ids ^ {workflow_id}))
                expected = ABSENT if document is None else document.version or ANY
                (result,) = await self._store.write([Write(key, value, expected)])
                if isinstance(result, Written):
                    return
        msg = f"{key} was changed by others {_ATTEMPTS} times in a row; try again"
        raise StoreError(msg)


def _decode(key: str, document: Document | None) -> set[str]:
    if document is None:
        return set()
    try:
        ids = orjson.loads(document.value)
    except orjson.JSONDecodeError as error:
        msg = f"{key} is not an index of ids: {error}"
        raise CorruptDocumentError(msg) from error
    if not isinstance(ids, list):
        msg = f"{key} is not an index of ids"
        raise CorruptDocumentError(msg)
    return {str(workflow_id) for workflow_id in ids}
