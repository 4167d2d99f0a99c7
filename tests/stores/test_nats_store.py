"""The NATS store against a real server: the contract, deletions, other people's buckets, limits and outages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import uuid4

import pytest

from holdfast.ports import StateStore
from holdfast.stores.nats import NatsStore
from holdfast.testing.store_conformance import CHECKS, Check, StoreFactory
from tests.integration.processes import Backend, Server

pytestmark = pytest.mark.stores


def url_of(backend: Backend) -> str:
    return f"nats://127.0.0.1:{backend[1]}"


class NatsFactory(StoreFactory):
    """Stores in buckets of their own; an outage is a server that was killed."""

    def __init__(self, backend: Backend) -> None:
        self._server, _ = backend
        self._url = url_of(backend)
        self._buckets: dict[StateStore, str] = {}

    def create(self) -> StateStore:
        return self._in(f"check-{uuid4().hex}")

    def again(self, store: StateStore) -> StateStore | None:
        return self._in(self._buckets[store])

    def outage(self, store: StateStore) -> AbstractAsyncContextManager[None] | None:
        return killed(self._server)

    def _in(self, bucket: str) -> StateStore:
        store = NatsStore(self._url, bucket=bucket)
        self._buckets[store] = bucket
        return store


@asynccontextmanager
async def killed(server: Server) -> AsyncIterator[None]:
    """Take a server away, and start it again."""
    server.kill()
    try:
        yield
    finally:
        server.start()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_it_keeps_the_contract(check: Check, nats: Backend) -> None:
    await check(NatsFactory(nats))
