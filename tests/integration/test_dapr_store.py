"""DaprStore keeps the contract of the port on real sidecars, over every component that it accepts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from holdfast.ports import ABSENT, StateStore, Write, Written
from holdfast.stores.dapr import DaprStore
from holdfast.testing.store_conformance import CHECKS, Check, CheckNotApplicableError, StoreFactory
from tests.integration.conftest import KINDS
from tests.integration.processes import Backend
from tests.integration.sidecar import Sidecar

pytestmark = pytest.mark.integration

# The engine gives no key a second life, and puts a tombstone where a run was.
REDIS_FORGETS = {
    "a_late_update_brings_nothing_back": "brought a deleted key back|deleted key took effect",
    "versions_never_return": "once more|of a life before, took effect",
}
NEEDS_VERSIONS = {
    "of_racing_updates_one_wins",
    "written_versions_are_those_read",
    "stale_versions_are_refused",
    "stale_deletions_are_refused",
    "a_late_update_brings_nothing_back",
    "versions_never_return",
    "a_stale_write_and_its_siblings",
}
Outage = Callable[[], AbstractAsyncContextManager[None]]


class Factory(StoreFactory):
    """Stores on one component of a sidecar."""

    def __init__(self, sidecar: Sidecar, outage: Outage | None = None) -> None:
        self._sidecar = sidecar
        self._outage = outage

    def create(self) -> StateStore:
        return DaprStore(address=self._sidecar.address, timeout=3.0)

    def again(self, store: StateStore) -> StateStore:
        return self.create()

    def outage(self, store: StateStore) -> AbstractAsyncContextManager[None] | None:
        return self._outage() if self._outage else None


@asynccontextmanager
async def killed(*servers: Sidecar) -> AsyncIterator[None]:
    for server in servers:
        server.kill()
    yield
    for server in servers:
        server.start()


@asynccontextmanager
async def stopped(sidecar: Sidecar) -> AsyncIterator[None]:
    sidecar.halt()
    try:
        yield
    finally:
        sidecar.resume()


def by_name(name: str) -> Check:
    return next(check for check in CHECKS if check.__name__ == name)


on_every_component = pytest.mark.parametrize("component", KINDS, indirect=True)


@on_every_component
async def test_the_contract_is_kept(request: pytest.FixtureRequest, sidecar: Sidecar) -> None:
    kind = request.node.callspec.params["component"]
    broken: dict[str, str] = {}
    left_out = set()

    for check in CHECKS:
        try:
            await check(Factory(sidecar))
        except CheckNotApplicableError:
            left_out.add(check.__name__)
        except AssertionError as failure:
            broken[check.__name__] = str(failure)

    assert set(broken) == (set(REDIS_FORGETS) if kind == "redis" else set()), broken
    forgotten = {"a_store_reopened_has_its_data"} if kind == "in-memory" else set()
    versions = set() if kind == "redis" else NEEDS_VERSIONS
    assert left_out == {"an_outage_is_told_and_passes"} | forgotten | versions


@pytest.mark.parametrize("component", ["redis", "sqlite", "postgresql"], indirect=True)
async def test_a_sidecar_that_is_killed_and_started_again_is_an_outage_that_passes(sidecar: Sidecar) -> None:
    await by_name("an_outage_is_told_and_passes")(Factory(sidecar, lambda: killed(sidecar)))


@on_every_component
async def test_a_sidecar_that_hangs_is_an_outage_that_passes(sidecar: Sidecar) -> None:
    await by_name("an_outage_is_told_and_passes")(Factory(sidecar, lambda: stopped(sidecar)))


@pytest.mark.parametrize("component", ["redis", "postgresql"], indirect=True)
async def test_a_backend_that_is_killed_and_started_again_is_an_outage_that_passes(
    request: pytest.FixtureRequest, sidecar: Sidecar
) -> None:
    backend: Backend = request.getfixturevalue(
        request.node.callspec.params["component"].replace("postgresql", "postgres")
    )

    @asynccontextmanager
    async def killed_backend() -> AsyncIterator[None]:
        backend[0].kill()
        yield
        backend[0].start()

    await by_name("an_outage_is_told_and_passes")(Factory(sidecar, killed_backend))


@on_every_component
async def test_closing_waits_for_the_writes_that_are_under_way(sidecar: Sidecar) -> None:
    store = DaprStore(address=sidecar.address)
    await store.open()
    writing = [asyncio.ensure_future(store.write([Write(f"key:{number}", b"1", ABSENT)])) for number in range(20)]
    await asyncio.sleep(0)  # they are begun

    await store.close()

    assert all(isinstance(result, Written) for (result,) in await asyncio.gather(*writing))
    await store.open()
    assert len(await store.read([f"key:{number}" for number in range(20)])) == 20
    await store.close()


@on_every_component
async def test_many_reads_at_a_time_are_all_answered(sidecar: Sidecar) -> None:
    store = DaprStore(address=sidecar.address)
    await store.open()
    await store.write([Write("a", b"1", ABSENT)])

    reads = await asyncio.gather(*(store.read(["a", f"absent:{number}"]) for number in range(100)))

    assert all(set(found) == {"a"} for found in reads)
    await store.close()
