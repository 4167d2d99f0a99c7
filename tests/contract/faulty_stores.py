"""Stores that break the contract, each in one way: the conformance suite has to catch every one of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

import orjson

from holdfast.core.errors import StoreError, StoreUnavailableError
from holdfast.ports import ABSENT, ANY, Capabilities, Conflict, Document, StateStore, Write, Written
from holdfast.stores import MemoryStore
from holdfast.testing.store_conformance import StoreFactory


class MemoryFactory(StoreFactory):
    """Stores of one class; the object itself is the second handle on its data."""

    def __init__(self, kind: type[MemoryStore] = MemoryStore) -> None:
        self._kind = kind

    def create(self) -> StateStore:
        return self._kind()

    def again(self, store: StateStore) -> StateStore | None:
        return store


class _Durable(MemoryStore):
    """Claims to be durable, as far as reopening the same object goes."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, durable=True)


class IgnoresVersions(MemoryStore):
    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        return await super().write(
            [write._replace(expected=ANY) if isinstance(write.expected, str) else write for write in writes]
        )


class IgnoresVersionsOfDeletions(MemoryStore):
    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        return await super().write([write._replace(expected=ANY) if write.value is None else write for write in writes])


class OverwritesOnCreate(MemoryStore):
    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        return await super().write(
            [write._replace(expected=ANY) if write.expected is ABSENT else write for write in writes]
        )


class ChecksBeforeItWrites(MemoryStore):
    """Lets others in between the check of the expectation and the write."""

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        if not self._all_hold(writes):
            return [Conflict()] * len(writes)
        await asyncio.sleep(0)
        return await super().write([write._replace(expected=ANY) for write in writes])


class AppliesHalfABatch(MemoryStore):
    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        return [result for write in writes for result in await super(AppliesHalfABatch, self).write([write])]


class RefusesAsAWholeAndAppliesHalf(MemoryStore):
    """Answers Conflict for the whole batch and has written the part that holds."""

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        results = await super().write(writes)
        if results and isinstance(results[0], Conflict):
            for write in writes:
                await super().write([write])
        return results


class LosesDeletions(MemoryStore):
    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        results = await super().write([write for write in writes if write.value is not None])
        return results if len(results) == len(writes) else [Written("0")] * len(writes)


class RefusesToDeleteWhatIsAbsent(MemoryStore):
    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        there = await self.read([write.key for write in writes])
        if any(write.value is None and write.key not in there for write in writes):
            return [Conflict()] * len(writes)
        return await super().write(writes)


class ResurrectsWhatWasDeleted(MemoryStore):
    """Takes an update of an absent key for its creation, as Redis behind a sidecar does."""

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        there = await self.read([write.key for write in writes])
        return await super().write(
            [
                write._replace(expected=ABSENT)
                if isinstance(write.expected, str) and write.value is not None and write.key not in there
                else write
                for write in writes
            ]
        )


class AnswersWrongVersions(MemoryStore):
    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        results = await super().write(writes)
        return [Written(f"{result.version}1") if isinstance(result, Written) else result for result in results]


class CountsVersionsFromOneAgain(MemoryStore):
    """Counts the versions of a key anew once it was deleted, so a version comes to mean another value."""

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        if not self._documents:
            self._version = 0
        return await super().write(writes)


class CountsVersionsFromOneAfterReopening(_Durable):
    async def open(self) -> None:
        await super().open()
        self._version = max((int(version) for _, version in self._documents.values()), default=0)


class DropsTheLastWrite(MemoryStore):
    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        if len(writes) < 4:
            return await super().write(writes)
        results = await super().write(writes[:-1])
        return [*results, results[0]]


class ForgetsOnReopening(_Durable):
    async def close(self) -> None:
        await super().close()
        self._documents.clear()


class RewritesValues(MemoryStore):
    """Reads JSON and writes it anew, as a backend with a JSON column does."""

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        return await super().write(
            [
                write if write.value is None else write._replace(value=orjson.dumps(orjson.loads(write.value)))
                for write in writes
            ]
        )


class CutsLargeValues(MemoryStore):
    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        return await super().write(
            [write if write.value is None else write._replace(value=write.value[:65_536]) for write in writes]
        )


class TakesValuesOverItsLimit(MemoryStore):
    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, max_value_bytes=1_000)


class CallsALargeValueAnOutage(MemoryStore):
    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        try:
            return await super().write(writes)
        except StoreError as error:
            raise StoreUnavailableError(str(error)) from error


class AnswersForAbsentKeys(MemoryStore):
    async def read(self, keys: Sequence[str]) -> dict[str, Document]:
        return {key: Document(b"null", "") for key in keys} | await super().read(keys)


class ListsEveryKey(MemoryStore):
    async def keys(self, prefix: str) -> AsyncIterator[str]:
        async for key in super().keys(""):
            if prefix in key:
                yield key


class AnswersWhenClosed(MemoryStore):
    def _require_open(self) -> None:
        return


class ListsWhenClosed(MemoryStore):
    async def keys(self, prefix: str) -> AsyncIterator[str]:
        for key in [key for key in self._documents if key.startswith(prefix)]:
            yield key


class ListsWithoutSayingSo(MemoryStore):
    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, list_keys=False)


class Shaky(MemoryStore):
    """Can be taken away; then it does not answer, and needs a few more calls to come back."""

    is_away = False
    calls_to_come_back = 2

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        if not self.is_away and self.calls_to_come_back == 0:
            return await super().write(writes)
        if not self.is_away:
            self.calls_to_come_back -= 1
        message = "nobody answers"
        raise StoreUnavailableError(message)

    async def open(self) -> None:
        await super().open()
        self.calls_to_come_back = 0

    def come_back(self) -> None:
        self.is_away, self.calls_to_come_back = False, type(self).calls_to_come_back


class HidesAnOutage(Shaky):
    """Loses a write during an outage, and says that it was written."""

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        return [Written("0")] * len(writes) if self.is_away else await super().write(writes)


class NeverComesBack(Shaky):
    calls_to_come_back = -1


class ForgetsInAnOutage(Shaky):
    def come_back(self) -> None:
        super().come_back()
        self._documents.clear()


class ShakyFactory(MemoryFactory):
    """Stores that can be taken away."""

    def __init__(self, kind: type[Shaky] = Shaky) -> None:
        super().__init__(kind)

    def outage(self, store: StateStore) -> AbstractAsyncContextManager[None] | None:
        assert isinstance(store, Shaky)
        return _away(store)


@asynccontextmanager
async def _away(store: Shaky) -> AsyncIterator[None]:
    store.is_away = True
    yield
    store.come_back()
