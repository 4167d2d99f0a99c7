"""An `InngestStore` on a server that is a process of its own: the contract, and its deaths and standstills."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from holdfast import Engine
from holdfast.ports import StateStore
from holdfast.stores.inngest import InngestStore
from holdfast.testing.store_conformance import StoreFactory, run_conformance
from tests.integration.outage_flows import RUNS, Climb
from tests.integration.processes import Backend, Server
from tests.stores.servers import EVENT_KEY
from tests.unit.engine.kit import eventually

pytestmark = [pytest.mark.stores, pytest.mark.timeout(300)]

STEPS, ENDS = 20, 5
UNGUARDED = {"the store does not guard creations", "the store does not guard each key by a version"}


def store_on(backend: Backend, timeout: float = 3.0) -> InngestStore:
    return InngestStore(f"http://127.0.0.1:{backend[1]}", event_key=EVENT_KEY, timeout=timeout)


class InngestFactory(StoreFactory):
    """Stores on one server; in an outage it has been killed."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def create(self) -> StateStore:
        return store_on(self._backend)

    def again(self, store: StateStore) -> StateStore | None:
        return self.create()

    @asynccontextmanager
    async def outage(self, store: StateStore) -> AsyncIterator[None]:
        self._backend[0].kill()
        yield
        await asyncio.to_thread(self._backend[0].start)


async def test_the_store_keeps_the_contract(own_inngest: Backend) -> None:
    report = await run_conformance(InngestFactory(own_inngest))

    assert set(report.left_out.values()) == UNGUARDED


async def kills(server: Server, _engine: Engine) -> None:
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)


async def stops(server: Server, _engine: Engine) -> None:
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)


async def stands_still(server: Server, engine: Engine) -> None:
    """Let calls be given up and made again meanwhile: all of them are there when the server goes on."""
    await asyncio.to_thread(server.halt)
    before = engine.stats().commit.unknown
    await eventually(lambda: engine.stats().commit.unknown >= before + 3)
    server.resume()


@pytest.mark.parametrize("what", [kills, stops, stands_still], ids=lambda what: str(what.__name__))
async def test_nothing_is_lost_or_done_twice_whatever_the_server_does(
    own_inngest: Backend, what: Callable[[Server, Engine], Awaitable[None]]
) -> None:
    server, _ = own_inngest
    climb = Climb()
    parts: dict[str, Any] = {"workflows": [climb.workflow], "activities": [climb.activity], "instance": "one"}
    async with Engine(store_on(own_inngest, 0.5), **parts) as engine:
        running = climb.start(engine, STEPS)
        for number in range(1, ENDS + 1):
            least = number * RUNS * STEPS // (ENDS + 2)
            await eventually(partial(climb.is_under_way, least), within=60)
            await what(server, engine)
        results = await running
    climb.check(results, STEPS)

    async with Engine(store_on(own_inngest), **parts) as engine:
        page = await engine.list(status="completed", limit=RUNS + 1)
        assert len(page.items) == RUNS
        for number in range(RUNS):
            history = [str(event.type) for event in await engine.history(f"climb-{number}")]
            assert history.count("activity_completed") == STEPS
