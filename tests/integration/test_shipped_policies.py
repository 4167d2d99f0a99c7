"""The policies and subscriptions of this repository, while service and backend come and go."""

from __future__ import annotations

import asyncio

import pytest
import requests

from holdfast import Engine, WorkflowContext, activity
from holdfast.ports import StateStore
from holdfast.stores.dapr import DaprStore
from holdfast.testing.store_conformance import CHECKS, CheckNotApplicableError, StoreFactory
from tests.integration.application import Application
from tests.integration.conftest import Ship
from tests.integration.processes import Backend, until
from tests.integration.shipped import ShippedSidecar, redis_at
from tests.integration.test_dapr_store import REDIS_FORGETS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


def test_a_message_that_the_service_cannot_take_comes_again_until_it_can(
    ship: Ship, own_redis: Backend, application: Application
) -> None:
    sidecar = ship(
        "components/pubsub/redis",
        "dapr/subscriptions",
        instead=redis_at(own_redis[1]),
        app_port=application.server_port,
    )
    until(lambda: requests.get(f"{sidecar.url}/healthz", timeout=10).ok, "the sidecar has found the application")
    numbers = list(range(20))
    application.refusals = 3

    for number in numbers:
        topic = "workflow-signals" if number % 2 else "workflow-resume"
        requests.post(f"{sidecar.url}/publish/pubsub/{topic}", json=number, timeout=10).raise_for_status()

    until(lambda: len(application.taken) >= len(numbers), "every message was taken")
    assert application.refusals == 0
    assert sorted(event["data"] for event in application.taken) == numbers
    assert {path for path in application.asked if "pubsub" in path} == {
        "/dapr/pubsub/workflow-signals",
        "/dapr/pubsub/workflow-resume",
    }


class Factory(StoreFactory):
    """Stores on a sidecar with these policies."""

    def __init__(self, sidecar: ShippedSidecar) -> None:
        self._sidecar = sidecar

    def create(self) -> StateStore:
        return DaprStore(address=self._sidecar.address, timeout=3.0)

    def again(self, store: StateStore) -> StateStore:
        return self.create()


@pytest.mark.parametrize("kind", ["redis", "sqlite"])
async def test_the_store_keeps_its_contract_with_the_breaker_in_between(ship: Ship, redis: Backend, kind: str) -> None:
    sidecar = ship(f"components/state/{kind}", instead=redis_at(redis[1]))
    broken = {}

    for check in CHECKS:
        try:
            await check(Factory(sidecar))
        except CheckNotApplicableError:
            continue
        except AssertionError as failure:
            broken[check.__name__] = str(failure)

    assert set(broken) == (set(REDIS_FORGETS) if kind == "redis" else set()), broken


@activity
async def double(number: int) -> int:
    return 2 * number


async def waits(ctx: WorkflowContext, number: int) -> int:
    told: int = await ctx.receive_signal("next", type=int)
    return await ctx.execute_activity(double, number + told)


async def test_the_breaker_opens_while_the_backend_is_away_and_the_engine_goes_on_after_it(
    ship: Ship, postgres: Backend
) -> None:
    """On PostgreSQL: reads of many keys from Redis count as done even where Redis is away, and keep it closed."""
    server, port = postgres
    place = {"holdfast@127.0.0.1:5432/holdfast": f"postgres@127.0.0.1:{port}/postgres"}
    sidecar = ship("components/state/postgresql", instead=place)
    async with Engine(DaprStore(address=sidecar.address), workflows=[waits], activities=[double]) as engine:
        await engine.start(waits, 1, id="waits")
        server.kill()
        telling = asyncio.create_task(engine.signal("waits", "next", 20, id="told"))
        await asyncio.to_thread(until, lambda: opened(sidecar), "the breaker is open")

        server.start()

        await telling
        assert await engine.handle("waits").result(timeout=60) == 42


def opened(sidecar: ShippedSidecar) -> bool:
    return "from closed to open" in sidecar.said()
