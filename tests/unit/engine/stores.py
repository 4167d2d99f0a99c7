"""Stores that misbehave as real ones do: each takes one promise away, or breaks down on cue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace

import orjson

from holdfast import StoreError, StoreUnavailableError
from holdfast.ports import ABSENT, ANY, Capabilities, Conflict, Document, Guard, Write, Written
from holdfast.stores import MemoryStore


class Store:
    """Passes everything on to a memory store, and keeps a log of what was written.

    Attributes:
        inner: Where the documents are.
        batches: The keys of every call of `write`.
    """

    def __init__(self, inner: MemoryStore | None = None, **changes: object) -> None:
        self.inner = inner or MemoryStore()
        self.batches: list[list[str]] = []
        self._changes = changes

    @property
    def capabilities(self) -> Capabilities:
        return replace(self.inner.capabilities, **self._changes)  # type: ignore[arg-type]  # names of fields

    async def open(self) -> None:
        await self.inner.open()

    async def close(self) -> None:
        await self.inner.close()

    async def read(self, keys: Sequence[str]) -> dict[str, Document]:
        return await self.inner.read(keys)

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        keys = [write.key for write in writes]
        assert len(set(keys)) == len(keys), f"twice in one batch: {sorted(key for key in keys if keys.count(key) > 1)}"
        self.batches.append(keys)
        return await self.apply(writes)

    async def apply(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        return await self.inner.write(writes)

    def keys(self, prefix: str) -> AsyncIterator[str]:
        return self.inner.keys(prefix)


class Guarded(Store):
    """A backend with another guard: without versions (``batch``, ``none``), or without atomic batches."""

    def __init__(self, guard: Guard = "key", *, atomic: bool = True, inner: MemoryStore | None = None) -> None:
        super().__init__(inner, guard=guard, atomic_batch=atomic)

    async def apply(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        if self.capabilities.guard != "key":
            assert all(write.expected in (ABSENT, ANY) for write in writes), "it tells no versions, and takes none"
        if self.capabilities.atomic_batch:
            return self._told(await self.inner.write(writes))
        return self._told([result for write in writes for result in await self.inner.write([write])])

    def _told(self, results: Iterable[Written | Conflict]) -> list[Written | Conflict]:
        if self.capabilities.guard == "key":
            return list(results)
        return [Written("") if isinstance(result, Written) else result for result in results]


class Unsure(Guarded):
    """Does not answer for some writes: it has carried them out, or it has not.

    Attributes:
        plan: For each call of `write`: ``ok``, ``lost`` (not carried out) or ``applied``; after its end all is ok.
    """

    def __init__(self, plan: Iterable[str] = (), guard: Guard = "key", *, atomic: bool = True) -> None:
        super().__init__(guard, atomic=atomic)
        self.plan = iter(plan)
        self.sent: list[bytes] = []

    async def apply(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        self.sent.append(repr(list(writes)).encode())
        outcome = next(self.plan, "ok")
        results = await super().apply(writes) if outcome != "lost" else []
        if outcome != "ok":
            message = f"no answer ({outcome})"
            raise StoreUnavailableError(message)
        return results


class Picky(Guarded):
    """Refuses a call for good where a document in it is not to its liking.

    Attributes:
        dislikes: Says of a write whether it is refused.
        partly: Without atomic batches: carry the others out before refusing.
    """

    def __init__(
        self, dislikes: Callable[[Write], bool], guard: Guard = "key", *, atomic: bool = True, partly: bool = False
    ) -> None:
        super().__init__(guard, atomic=atomic)
        self.dislikes = dislikes
        self.partly = partly

    async def apply(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        bad = [write for write in writes if self.dislikes(write)]
        if bad:
            if self.partly:
                await super().apply([write for write in writes if write not in bad])
            message = f"{bad[0].key!r} cannot be stored"
            raise StoreError(message)
        return await super().apply(writes)


class Halting(Guarded):
    """Holds writes back while it is closed to them, as if the process before it had been stopped.

    Attributes:
        gate: Set while writes go through.
        waiting: How many are held back.
    """

    def __init__(self, guard: Guard = "key", *, atomic: bool = True, inner: MemoryStore | None = None) -> None:
        super().__init__(guard, atomic=atomic, inner=inner)
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0

    async def apply(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        self.waiting += 1
        await self.gate.wait()
        self.waiting -= 1
        return await super().apply(writes)


def documents(store: Store | MemoryStore, prefix: str = "") -> dict[str, bytes]:
    """Give what is stored, by key."""
    inner = store if isinstance(store, MemoryStore) else store.inner
    return {key: value for key, (value, _) in inner._documents.items() if key.startswith(prefix)}  # noqa: SLF001


def content(store: Store | MemoryStore, key: str) -> dict[str, object]:
    """Read a stored document."""
    found: dict[str, object] = orjson.loads(documents(store)[key])
    return found


def put(store: Store | MemoryStore, key: str, value: bytes | None) -> None:
    """Change a stored document behind everybody's back."""
    inner = store if isinstance(store, MemoryStore) else store.inner
    if value is None:
        del inner._documents[key]  # noqa: SLF001
    else:
        inner._documents[key] = (value, inner._documents[key][1])  # noqa: SLF001
