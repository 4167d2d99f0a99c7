"""An engine on a real sidecar: runs go on through everything that happens to the sidecar and its backend."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import requests

from holdfast import Engine, FencedError
from holdfast.stores.dapr import DaprStore
from tests.integration.conftest import KINDS
from tests.integration.outage_flows import (
    Climb,
    check_all,
    double,
    signal_all,
    start_all,
    steps,
    until_unavailable,
)
from tests.integration.processes import Backend, Server, until
from tests.integration.sidecar import Sidecar, StateComponent
from tests.service.kit import Process

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

ENDS = 5
on_every_component = pytest.mark.parametrize("component", KINDS, indirect=True)
on_durable_ones = pytest.mark.parametrize("component", ["redis", "sqlite", "postgresql"], indirect=True)


def engine_on(sidecar: Sidecar, on_fenced: Callable[[FencedError], None] | None = None) -> Engine:
    """An engine of the one name that all here have, so that a second one does not wait for the first."""
    store = DaprStore(address=sidecar.address, timeout=3.0)
    return Engine(store, workflows=[steps], activities=[double], instance="twin", on_fenced=on_fenced)


@on_every_component
async def test_runs_go_on_where_they_were_after_the_engine_was_closed_and_opened_again(sidecar: Sidecar) -> None:
    async with engine_on(sidecar) as engine:
        await start_all(engine)

    async with engine_on(sidecar) as engine:
        await signal_all(engine)
        await check_all(engine)


@on_durable_ones
async def test_runs_go_on_when_the_sidecar_is_killed_and_started_again(sidecar: Sidecar) -> None:
    async with engine_on(sidecar) as engine:
        await start_all(engine)
        sidecar.kill()
        telling = asyncio.create_task(signal_all(engine))
        await until_unavailable(engine)
        sidecar.start()
        await telling
        await check_all(engine)

    async with engine_on(sidecar) as engine:
        await check_all(engine)


@on_every_component
async def test_runs_go_on_when_the_sidecar_hangs_for_a_while(sidecar: Sidecar) -> None:
    async with engine_on(sidecar) as engine:
        await start_all(engine)
        sidecar.halt()
        telling = asyncio.create_task(signal_all(engine))
        await until_unavailable(engine)
        sidecar.resume()
        await telling
        await check_all(engine)


@on_durable_ones
@pytest.mark.parametrize("how", ["kill", "stop"])
async def test_nothing_is_lost_or_done_twice_when_the_sidecar_ends_again_and_again(sidecar: Sidecar, how: str) -> None:
    await climb_through(sidecar, sidecar.kill if how == "kill" else sidecar.stop, sidecar.start)


@pytest.mark.parametrize("component", ["redis", "postgresql"], indirect=True)
async def test_nothing_is_lost_or_done_twice_when_the_backend_is_killed_again_and_again(
    request: pytest.FixtureRequest, sidecar: Sidecar
) -> None:
    server = backend_of(request)
    await climb_through(sidecar, server.kill, server.start)


async def climb_through(sidecar: Sidecar, end: Callable[[], None], start: Callable[[], None]) -> None:
    """Take 800 steps while something ends and starts again five times, and hold what was done against what is due."""
    climb = Climb()
    store = DaprStore(address=sidecar.address, timeout=3.0)
    async with Engine(store, workflows=[climb.workflow], activities=[climb.activity], instance="twin") as engine:
        running = climb.start(engine, 40)
        for number in range(1, ENDS + 1):
            await asyncio.to_thread(until, partial(climb.is_under_way, 100 * number), "the runs go on")
            await asyncio.to_thread(end)
            await asyncio.to_thread(start)
        results = await running

    climb.check(results, 40)


@pytest.mark.parametrize("component", ["redis", "postgresql"], indirect=True)
async def test_runs_go_on_when_the_backend_is_killed_and_started_again(
    request: pytest.FixtureRequest, sidecar: Sidecar
) -> None:
    server = backend_of(request)
    async with engine_on(sidecar) as engine:
        await start_all(engine)
        server.kill()
        telling = asyncio.create_task(signal_all(engine))
        await until_unavailable(engine)
        server.start()
        await telling
        await check_all(engine)


@pytest.mark.parametrize("component", ["redis"], indirect=True)
async def test_11_a_component_that_vanishes_and_comes_back_while_runs_go_on_is_an_outage(
    sidecar: Sidecar, component: StateComponent, redis: Backend
) -> None:
    async with engine_on(sidecar) as engine:
        await start_all(engine)
        sidecar.remove(component)
        number = 0
        while engine.not_ready() == "":  # the sidecar takes a moment to see that the file is gone
            starting = asyncio.create_task(engine.start(steps, 0, id=f"other-{number}"))
            await asyncio.wait([starting], timeout=0.2)
            number += 1
        sidecar.add(component)
        await signal_all(engine)
        await check_all(engine)


@on_every_component
async def test_an_owner_that_was_replaced_is_fenced_at_its_next_commit(sidecar: Sidecar) -> None:
    told: list[FencedError] = []
    async with engine_on(sidecar, told.append) as old:
        await start_all(old)
        async with engine_on(sidecar) as new:
            with pytest.raises(FencedError):
                await old.start(steps, 1, id="too-late")

            assert len(told) == 1
            await signal_all(new)
            await check_all(new)


def backend_of(request: pytest.FixtureRequest) -> Server:
    """The server behind the component that a test is parametrized with."""
    kind = request.node.callspec.params["component"]
    server, _ = request.getfixturevalue({"redis": "redis", "postgresql": "postgres"}[kind])
    assert isinstance(server, Server)
    return server


@pytest.mark.parametrize("component", ["sqlite"], indirect=True)
def test_the_service_keeps_its_runs_in_the_component_that_its_setting_names(
    sidecar: Sidecar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAPR_GRPC_PORT", sidecar.address.rpartition(":")[2])
    settings = {"store": "dapr:statestore", "workflows": "tests.integration.flows"}
    for is_first in (True, False):
        service = Process(tmp_path / "service", **settings).ready()
        try:
            if is_first:
                body = {"id": "hello", "input": 21}
                started = requests.post(f"{service.url}/v1/workflows/one_step/runs?wait=20s", json=body, timeout=30)
                assert started.status_code == 201
            assert requests.get(f"{service.url}/v1/runs/hello", timeout=30).json()["result"] == 42
        finally:
            service.stop()


@pytest.mark.parametrize("component", ["sqlite"], indirect=True)
def test_a_service_that_is_there_before_its_sidecar_waits_for_it(
    sidecar: Sidecar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAPR_GRPC_PORT", sidecar.address.rpartition(":")[2])
    sidecar.kill()
    service = Process(tmp_path / "service", store="dapr:statestore", workflows="tests.integration.flows")
    try:
        until(lambda: "still waiting for the sidecar to answer" in service.out, "the service says what it waits for")
        sidecar.start()

        service.ready()
    finally:
        service.stop()
