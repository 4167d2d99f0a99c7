"""Places where runs are kept, each of which gives a store over the same documents again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from holdfast import StoreUnavailableError
from holdfast.ports import ANY, Capabilities, Conflict, Document, StateStore, Write, Written
from holdfast.stores import MemoryStore, SqliteStore
from holdfast.stores.dapr import DaprStore
from holdfast.testing import TestEnvironment
from tests.integration.sidecar import Sidecar
from tests.play import Anything
from tests.unit.engine.kit import died

WATCHED_TURNS = 50


class Home(Protocol):
    """Where runs are kept, whoever runs them.

    Attributes:
        is_shared: A second process can open it while the first has it open.
    """

    @property
    def is_shared(self) -> bool: ...

    def store(self) -> StateStore:
        """A store over what is kept there; the one before it is closed, or belongs to a process that is gone."""

    def interrupt(self) -> None:
        """Cut everybody off from it for a moment, if anything can: what is kept stays."""


class MemoryHome:
    """A store in memory, opened again each time."""

    is_shared = True

    def __init__(self) -> None:
        self._store = MemoryStore()

    def store(self) -> StateStore:
        return self._store

    def interrupt(self) -> None:
        """Nothing stands between a process and its memory."""


class SqliteHome:
    """A file."""

    is_shared = False

    def __init__(self, path: Path) -> None:
        self._path = path

    def store(self) -> StateStore:
        return SqliteStore(self._path)

    def interrupt(self) -> None:
        """Nothing stands between a process and its file."""


class DaprHome:
    """A state component of a sidecar."""

    is_shared = True

    def __init__(self, sidecar: Sidecar, *, is_durable: bool) -> None:
        self._sidecar = sidecar
        self._is_durable = is_durable

    def store(self) -> StateStore:
        return DaprStore(address=self._sidecar.address, timeout=3.0)

    def interrupt(self) -> None:
        """Kill the sidecar and start it again; one that has the state is put to sleep and woken."""
        if self._is_durable:
            self._sidecar.kill()
            self._sidecar.start()
        else:
            self._sidecar.halt()
            self._sidecar.resume()


class Watched:
    """Passes everything on to a store, and notes what it is asked; it can lose answers on cue.

    Attributes:
        calls: How often it was asked for anything, apart from an owner's signs of life.
        keys_written: Every key that was ever written.
        deletions_refused: How often it was kept from deleting.
        plan: What becomes of the next calls of `write`: ``ok``, ``lost`` (not carried out) or ``applied`` (carried
            out, and not told); after its end all is ok.
    """

    def __init__(self, inner: StateStore, plan: Iterable[str] = ()) -> None:
        self.calls = 0
        self.keys_written: set[str] = set()
        self.deletions_refused = 0
        self.plan = iter(plan)
        self._inner = inner
        self._refuses_deletions = False

    @property
    def capabilities(self) -> Capabilities:
        return self._inner.capabilities

    async def open(self) -> None:
        await self._inner.open()

    async def close(self) -> None:
        await self._inner.close()

    async def read(self, keys: Sequence[str]) -> dict[str, Document]:
        self.calls += 1
        return await self._inner.read(keys)

    def refuse_deletions(self) -> None:
        """From now on do as a store that does not answer whenever something is to be deleted."""
        self._refuses_deletions = True

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        self.calls += any(not write.key.startswith(("owner:", "commit:")) for write in writes)
        if self._refuses_deletions and any(write.value is None for write in writes):
            self.deletions_refused += 1
            raise StoreUnavailableError("no answer to a deletion")
        self.keys_written.update(write.key for write in writes)
        outcome = next(self.plan, "ok")
        results = await self._inner.write(writes) if outcome != "lost" else []
        if outcome != "ok":
            message = f"no answer ({outcome})"
            raise StoreUnavailableError(message)
        return results

    def keys(self, prefix: str) -> AsyncIterator[str]:
        return self._inner.keys(prefix)


async def change(home: Home, key: str, new: Callable[[bytes], bytes | None]) -> None:
    """Change a document, or delete it, while no engine is there to see it."""
    store = home.store()
    await store.open()
    document = (await store.read([key]))[key]
    expected = document.version if store.capabilities.guard == "key" else ANY
    (result,) = await store.write([Write(key, new(document.value), expected)])
    assert isinstance(result, Written)
    await store.close()


async def stored(home: Home, keys: Iterable[str]) -> set[str]:
    """Say which of some documents there are."""
    store = home.store()
    await store.open()
    wanted, step = sorted(keys), store.capabilities.max_batch
    found = [set(await store.read(wanted[start : start + step])) for start in range(0, len(wanted), step)]
    await store.close()
    return set().union(*found)


@asynccontextmanager
async def life(store: StateStore, *, dies: bool = False, **options: Anything) -> AsyncIterator[TestEnvironment]:
    """An engine with time that skips, from its opening to its end: in good order, or as a killed process ends."""
    environment = TestEnvironment(store=store, instance="one", drain=0.2, **options)
    await environment.engine.open()
    try:
        yield environment
    finally:
        await (died(environment.engine) if dies else environment.engine.close())


def go_forward(environment: TestEnvironment, seconds: float) -> None:
    """Let time go by while activities run, which `TestEnvironment.skip` would wait for."""
    environment.clock.skip_to(environment.clock.now() + int(seconds * 1000))


async def is_at_rest(environment: TestEnvironment, store: Watched) -> bool:
    """Let nothing but a day go by, and watch for a moment; say whether nobody has asked the store for anything."""
    await environment.settled()
    before = store.calls
    await environment.skip(24 * 3600)
    for _ in range(WATCHED_TURNS):
        await asyncio.sleep(0.001)
    return store.calls == before
