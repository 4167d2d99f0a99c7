"""Engines on a real NATS server: who was replaced is fenced, and runs go on through what happens to the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from holdfast import Engine, FencedError
from holdfast.stores.nats import NatsStore
from tests.integration.outage_flows import check_all, double, signal_all, start_all, steps, until_unavailable
from tests.integration.processes import Backend
from tests.stores.nats_kit import BARE_BUCKET, create_stream, url_of

pytestmark = [pytest.mark.stores, pytest.mark.timeout(180)]


def engine_on(backend: Backend, on_fenced: Callable[[FencedError], None] | None = None) -> Engine:
    """An engine of the one name that all here have, so that a second one does not wait for the first."""
    store = NatsStore(url_of(backend), timeout=2.0)
    return Engine(store, workflows=[steps], activities=[double], instance="twin", on_fenced=on_fenced)


@pytest.fixture(params=[None, BARE_BUCKET], ids=["batches", "no-batches"])
def server(request: pytest.FixtureRequest, own_nats: Backend) -> Backend:
    """A server where the bucket is made as the store likes it, or has been there and can do nothing of that."""
    if request.param is not None:
        asyncio.run(create_stream(own_nats, "beluga_workflows", request.param))
    return own_nats


async def test_a_process_that_was_replaced_loses_its_compare_and_set_and_is_fenced(server: Backend) -> None:
    told: list[FencedError] = []
    async with engine_on(server, told.append) as old:
        await start_all(old)
        async with engine_on(server) as new:
            with pytest.raises(FencedError):
                await old.start(steps, 1, id="too-late")

            assert len(told) == 1
            await signal_all(new)
            await check_all(new)


async def test_runs_go_on_after_the_engine_was_closed_and_opened_again(server: Backend) -> None:
    async with engine_on(server) as engine:
        await start_all(engine)

    async with engine_on(server) as engine:
        await signal_all(engine)
        await check_all(engine)


async def test_runs_go_on_when_the_server_is_killed_and_started_again(server: Backend) -> None:
    process, _ = server
    async with engine_on(server) as engine:
        await start_all(engine)
        process.kill()
        telling = asyncio.create_task(signal_all(engine))
        await until_unavailable(engine)
        process.start()
        await telling
        await check_all(engine)

    async with engine_on(server) as engine:
        await check_all(engine)


async def test_runs_go_on_when_the_server_hangs_for_longer_than_a_call_may_take(server: Backend) -> None:
    """What timed out is carried out later: the engine has to see that it was its own."""
    process, _ = server
    async with engine_on(server) as engine:
        await start_all(engine)
        process.halt()
        telling = asyncio.create_task(signal_all(engine))
        await until_unavailable(engine)
        process.resume()
        await telling
        await check_all(engine)
