"""The store behind an HTTP server keeps the contract, as far as its protocol lets it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from holdfast.ports import StateStore
from holdfast.stores.inngest import InngestStore
from holdfast.testing.inngest_server import reference_server
from holdfast.testing.store_conformance import CHECKS, Check, CheckNotApplicableError, StoreFactory, run_conformance

KEY = "s3cret-event-key"
NOT_APPLICABLE = {
    "creating_what_exists_is_refused",
    "of_racing_creators_one_wins",
    "of_racing_updates_one_wins",
    "written_versions_are_those_read",
    "stale_versions_are_refused",
    "stale_deletions_are_refused",
    "a_late_update_brings_nothing_back",
    "versions_never_return",
    "a_refused_write_and_its_siblings",
    "a_stale_write_and_its_siblings",
}
"""The protocol guards nothing: `guard` says so."""


class InngestFactory(StoreFactory):
    """Stores on one server; an outage is a server that has ended, with its file left as it is."""

    def __init__(self, folder: Path) -> None:
        self._database = folder / "documents.db"
        self._server = ExitStack()
        self._url = self._server.enter_context(reference_server(self._database, event_key=KEY))

    def create(self) -> StateStore:
        return InngestStore(self._url, event_key=KEY, timeout=5.0)

    def again(self, store: StateStore) -> StateStore | None:
        return self.create()

    def outage(self, store: StateStore) -> AbstractAsyncContextManager[None] | None:
        return self._ended()

    def end(self) -> None:
        self._server.close()

    @asynccontextmanager
    async def _ended(self) -> AsyncIterator[None]:
        await asyncio.to_thread(self._server.close)
        yield
        again = reference_server(self._database, event_key=KEY, port=urlsplit(self._url).port or 0)
        self._server.enter_context(again)


@pytest.fixture
def factory(tmp_path: Path) -> Iterator[InngestFactory]:
    found = InngestFactory(tmp_path)
    yield found
    found.end()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: str(check.__name__))
async def test_the_store_keeps_the_contract(check: Check, factory: InngestFactory) -> None:
    if check.__name__ in NOT_APPLICABLE:
        with pytest.raises(CheckNotApplicableError):
            await check(factory)
    else:
        await check(factory)


async def test_what_is_left_out_is_what_the_protocol_cannot_do(factory: InngestFactory) -> None:
    report = await run_conformance(factory)

    assert set(report.left_out) == NOT_APPLICABLE
    assert set(report.passed) == {check.__name__ for check in CHECKS} - NOT_APPLICABLE
