"""The stores keep the contract of the port, and the suite that says so sees when one does not."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from holdfast.core.errors import StoreUnavailableError, UnsupportedOperationError
from holdfast.ports import ANY, Capabilities, Conflict, Document, Guard, StateStore, Write, Written
from holdfast.stores import MemoryStore, SqliteStore
from holdfast.testing import conformance_lifecycle
from holdfast.testing.store_conformance import (
    CHECKS,
    Check,
    CheckNotApplicableError,
    ConformanceError,
    StoreFactory,
    run_conformance,
)
from tests.contract import faulty_stores
from tests.contract.faulty_stores import MemoryFactory, Shaky, ShakyFactory

NOTHING_LEFT_OUT: dict[str, str] = {}


class SqliteFactory(StoreFactory):
    """Stores on files of a temporary folder; an outage is a disk that is full."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths: dict[StateStore, Path] = {}

    def create(self) -> StateStore:
        return self._on(self._folder / f"{uuid4().hex}.db")

    def again(self, store: StateStore) -> StateStore | None:
        return self._on(self._paths[store])

    def outage(self, store: StateStore) -> AbstractAsyncContextManager[None] | None:
        assert isinstance(store, SqliteStore)
        return disk_full(store)

    def _on(self, path: Path) -> StateStore:
        store = SqliteStore(path, busy_timeout=0)
        self._paths[store] = path
        return store


@asynccontextmanager
async def disk_full(store: SqliteStore) -> AsyncIterator[None]:
    """Let the file of a store grow no further."""
    session = store._session  # noqa: SLF001 - a full disk cannot be had from outside without a file system of our own
    assert session is not None

    def limit(pages: int) -> None:
        connection: sqlite3.Connection = session.file._connection  # noqa: SLF001 - as above
        connection.execute(f"pragma max_page_count = {pages}")

    await session.thread.call(limit, 1)
    try:
        yield
    finally:
        await session.thread.call(limit, 2**30)


def by_name(name: str) -> Check:
    return next(check for check in CHECKS if check.__name__ == name)


every_check = pytest.mark.parametrize("check", CHECKS, ids=lambda check: str(check.__name__))


@every_check
async def test_the_memory_store_keeps_the_contract(check: Check) -> None:
    not_applicable = {"a_store_reopened_has_its_data", "an_outage_is_told_and_passes"}

    if check.__name__ in not_applicable:
        with pytest.raises(CheckNotApplicableError):
            await check(MemoryFactory())
    else:
        await check(MemoryFactory())


@every_check
async def test_the_sqlite_store_keeps_the_whole_contract(check: Check, tmp_path: Path) -> None:
    await check(SqliteFactory(tmp_path))


async def test_no_check_is_left_out_for_sqlite(tmp_path: Path) -> None:
    report = await run_conformance(SqliteFactory(tmp_path))

    assert report.left_out == NOTHING_LEFT_OUT
    assert set(report.passed) == {check.__name__ for check in CHECKS}


@pytest.mark.parametrize(
    ("fault", "catcher"),
    [
        (faulty_stores.IgnoresVersions, "stale_versions_are_refused"),
        (faulty_stores.IgnoresVersions, "of_racing_updates_one_wins"),
        (faulty_stores.IgnoresVersionsOfDeletions, "stale_deletions_are_refused"),
        (faulty_stores.OverwritesOnCreate, "creating_what_exists_is_refused"),
        (faulty_stores.ChecksBeforeItWrites, "of_racing_creators_one_wins"),
        (faulty_stores.ChecksBeforeItWrites, "of_racing_updates_one_wins"),
        (faulty_stores.AppliesHalfABatch, "a_refused_write_and_its_siblings"),
        (faulty_stores.RefusesAsAWholeAndAppliesHalf, "a_refused_write_and_its_siblings"),
        (faulty_stores.RefusesAsAWholeAndAppliesHalf, "a_stale_write_and_its_siblings"),
        (faulty_stores.LosesDeletions, "what_is_deleted_stays_deleted"),
        (faulty_stores.RefusesToDeleteWhatIsAbsent, "deleting_what_is_absent_succeeds"),
        (faulty_stores.ResurrectsWhatWasDeleted, "a_late_update_brings_nothing_back"),
        (faulty_stores.AnswersWrongVersions, "written_versions_are_those_read"),
        (faulty_stores.CountsVersionsFromOneAgain, "versions_never_return"),
        (faulty_stores.CountsVersionsFromOneAfterReopening, "versions_never_return"),
        (faulty_stores.DropsTheLastWrite, "batches_are_written_whole"),
        (faulty_stores.ForgetsOnReopening, "a_store_reopened_has_its_data"),
        (faulty_stores.RewritesValues, "values_come_back_byte_for_byte"),
        (faulty_stores.CutsLargeValues, "large_values_are_kept"),
        (faulty_stores.TakesValuesOverItsLimit, "values_over_the_limit_are_refused"),
        (faulty_stores.CallsALargeValueAnOutage, "values_over_the_limit_are_refused"),
        (faulty_stores.AnswersForAbsentKeys, "reading_leaves_out_what_is_absent"),
        (faulty_stores.ListsEveryKey, "keys_are_listed_by_prefix"),
        (faulty_stores.ListsWithoutSayingSo, "keys_are_listed_by_prefix"),
        (faulty_stores.ListsWhenClosed, "a_closed_store_refuses"),
        (faulty_stores.AnswersWhenClosed, "a_closed_store_refuses"),
    ],
)
async def test_a_store_with_a_fault_is_caught_by_the_check_for_it(fault: type[MemoryStore], catcher: str) -> None:
    with pytest.raises(AssertionError, match=r"\w+ \w+"):
        await by_name(catcher)(MemoryFactory(fault))

    with pytest.raises(ConformanceError) as caught:
        await run_conformance(MemoryFactory(fault))
    assert catcher in caught.value.failures
    assert caught.value.failures[catcher] in str(caught.value)


async def test_a_store_that_comes_back_after_an_outage_passes() -> None:
    await by_name("an_outage_is_told_and_passes")(ShakyFactory())


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (faulty_stores.HidesAnOutage, "the backend is away, and a write was answered"),
        (faulty_stores.NeverComesBack, "the store is still unavailable 0 s after an outage: nobody answers"),
        (faulty_stores.ForgetsInAnOutage, "what was written before an outage is gone after it"),
    ],
)
async def test_a_fault_in_an_outage_is_caught(
    fault: type[Shaky], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault is faulty_stores.NeverComesBack:
        monkeypatch.setattr(conformance_lifecycle, "_RECOVERY_SECONDS", 0.0)

    with pytest.raises(AssertionError, match=sentence):
        await by_name("an_outage_is_told_and_passes")(ShakyFactory(fault))


async def test_without_a_second_handle_reopening_is_left_out(tmp_path: Path) -> None:
    class CreateOnly(StoreFactory):
        def create(self) -> StateStore:
            return SqliteStore(tmp_path / f"{uuid4().hex}.db")

    report = await run_conformance(CreateOnly())

    assert report.left_out == {
        "a_store_reopened_has_its_data": "the factory gives no second handle",
        "an_outage_is_told_and_passes": "the factory cannot bring an outage about",
    }


class LikeASidecar(MemoryStore):
    """Guards creations only, tells no versions and cannot list, as the state API of Dapr."""

    guard: Guard = "batch"
    atomic_batch = True

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, guard=self.guard, list_keys=False, atomic_batch=self.atomic_batch)

    async def read(self, keys: Sequence[str]) -> dict[str, Document]:
        return {key: document._replace(version="") for key, document in (await super().read(keys)).items()}

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        unguarded = [w._replace(expected=ANY) if isinstance(w.expected, str) else w for w in writes]
        results = await super().write(unguarded)
        return [Written("") if isinstance(result, Written) else result for result in results]

    def keys(self, prefix: str) -> AsyncIterator[str]:
        raise UnsupportedOperationError(prefix)


class LikeAnUnguardedTable(LikeASidecar):
    """Guards nothing and has no batches."""

    guard = "none"
    atomic_batch = False

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        return await super().write([write._replace(expected=ANY) for write in writes])


class LikeRedis(MemoryStore):
    """Guards by version, and applies what holds of a batch that is refused."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, atomic_batch=False)

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        return [result for write in writes for result in await super(LikeRedis, self).write([write])]


NEEDS_VERSIONS = {
    "of_racing_updates_one_wins",
    "written_versions_are_those_read",
    "stale_versions_are_refused",
    "stale_deletions_are_refused",
    "a_late_update_brings_nothing_back",
    "versions_never_return",
    "a_stale_write_and_its_siblings",
}
NEEDS_GUARDED_CREATIONS = {
    "creating_what_exists_is_refused",
    "of_racing_creators_one_wins",
    "a_refused_write_and_its_siblings",
}
NOT_OF_MEMORY = {"a_store_reopened_has_its_data", "an_outage_is_told_and_passes"}


@pytest.mark.parametrize(
    ("kind", "left_out"),
    [
        (MemoryStore, NOT_OF_MEMORY),
        (LikeRedis, NOT_OF_MEMORY),
        (LikeASidecar, NOT_OF_MEMORY | NEEDS_VERSIONS),
        (LikeAnUnguardedTable, NOT_OF_MEMORY | NEEDS_VERSIONS | NEEDS_GUARDED_CREATIONS),
    ],
)
async def test_checks_ask_no_more_than_a_store_claims(kind: type[MemoryStore], left_out: set[str]) -> None:
    report = await run_conformance(MemoryFactory(kind))

    assert set(report.left_out) == left_out
    assert all(report.left_out.values())


async def test_a_check_can_be_waived_with_a_reason() -> None:
    reason = "the backend counts from one again"

    with pytest.raises(ConformanceError):
        await run_conformance(MemoryFactory(faulty_stores.CountsVersionsFromOneAgain))
    report = await run_conformance(
        MemoryFactory(faulty_stores.CountsVersionsFromOneAgain), waived={"versions_never_return": reason}
    )

    assert report.left_out["versions_never_return"] == reason
    with pytest.raises(ValueError, match="no such checks: versions_always_return"):
        await run_conformance(MemoryFactory(), waived={"versions_always_return": reason})


async def test_what_a_store_must_not_raise_is_its_failure() -> None:
    class Leaky(MemoryStore):
        async def read(self, keys: Sequence[str]) -> dict[str, Document]:
            raise KeyError(keys[0])

    with pytest.raises(ConformanceError, match="large_values_are_kept: KeyError"):
        await run_conformance(MemoryFactory(Leaky))


async def test_a_full_disk_is_an_outage_for_writing_only(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "runs.db")
    await store.open()
    try:
        await store.write([Write("small", b"1", ANY)])
        async with disk_full(store):
            with pytest.raises(StoreUnavailableError, match="full"):
                await store.write([Write("large", b"1" * 1_000_000, ANY), Write("small", b"2", ANY)])
            assert (await store.read(["small", "large"]))["small"].value == b"1"

        await asyncio.gather(store.write([Write("large", b"2", ANY)]), store.write([Write("small", b"3", ANY)]))
        assert {key: document.value for key, document in (await store.read(["small", "large"])).items()} == {
            "small": b"3",
            "large": b"2",
        }
    finally:
        await store.close()
