"""End to end: what another application publishes through its sidecar is applied once, or dead, to the last one."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.integration.accounts import check_dead_letters
from tests.integration.beside import Beside
from tests.integration.conftest import Ship, StartSidecar
from tests.integration.load import Plan, arguments
from tests.integration.processes import Backend, until
from tests.integration.pubsub import left_over, redis_pubsub
from tests.integration.shipped import ON_REDIS, redis_at
from tests.integration.sidecar import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


def test_10_000_signals_for_1_000_runs_are_applied_once_and_the_malformed_ones_dead(
    own_redis: Backend, ship: Ship, start_sidecar: StartSidecar, service: Beside
) -> None:
    _, port = own_redis
    sidecar = ship(*ON_REDIS, instead=redis_at(port), app_port=service.port)
    service.start(sidecar).ready()
    shop = start_sidecar(redis_pubsub(port), app_id="shop")
    plan = Plan(shop.http_port, service.url, "collect_numbers", seed=12, runs=1_000, signals=10, generations=1)

    said = json.loads(run_load(plan))

    until(lambda: left_over(port) == {"holdfast": (0, 0)}, "all messages are done")
    expected = plan.expected(0)
    assert {run: sorted(service.result(run)) for run in expected} == expected
    check_dead_letters(service, plan, said["sent"])
    assert service.held() == []
    assert said["messages"] == 10_000 + sum(plan.is_doubled(number) for number in range(10_000))


def run_load(plan: Plan) -> str:
    command = [sys.executable, "-m", "tests.integration.load", arguments(plan)]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=ROOT, stdin=subprocess.DEVNULL
    ).stdout
