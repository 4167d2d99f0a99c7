"""SIGKILL of the service, of its sidecar and of Redis while signals come in: nothing is lost, nothing is doubled."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.figures import spread
from tests.integration.accounts import Ledger, check_dead_letters, check_ledger, check_results
from tests.integration.beside import Beside
from tests.integration.conftest import Ship
from tests.integration.load import Plan, arguments
from tests.integration.processes import Backend, Server, until
from tests.integration.pubsub import left_over
from tests.integration.shipped import ON_REDIS, ShippedSidecar, redis_at
from tests.integration.sidecar import ROOT

VICTIMS = ("service", "sidecar", "redis")
SECONDS = 600.0
"""For everything to be well again: how long it takes is reported, and a busy machine is no failure."""
LEDGER = "ledger.jsonl"
each_victim = pytest.mark.parametrize("victim", VICTIMS)


@each_victim
@pytest.mark.integration
@pytest.mark.timeout(1_200)
def test_nothing_is_lost_or_doubled_in_3_kills(victim: str, world: World) -> None:
    world.kill_and_check(victim, rounds=3, rate=100)


@each_victim
@pytest.mark.chaos_dapr
@pytest.mark.timeout(7_200)
def test_nothing_is_lost_or_doubled_in_50_kills(victim: str, world: World) -> None:
    world.kill_and_check(victim, rounds=50, rate=int(os.environ.get("CHAOS_RATE", "300")))


@dataclass(slots=True)
class Figures:
    """Seconds, one of each for a kill.

    Attributes:
        back: From the kill until it was ready again.
        recovery: From then until the first signal that was published after it had its effect.
        pending: From the kill until the last one that was published before it had.
    """

    back: list[float] = field(default_factory=list)
    recovery: list[float] = field(default_factory=list)
    pending: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        return "; ".join(f"{name} {spread(seconds)}" for name, seconds in self._named())

    def latest(self) -> str:
        return ", ".join(f"{name} {seconds[-1]:.2f} s" for name, seconds in self._named())

    def _named(self) -> list[tuple[str, list[float]]]:
        return [("back", self.back), ("recovery", self.recovery), ("pending", self.pending)]


class World:
    """All that can be killed, under a steady load."""

    def __init__(self, folder: Path, service: Beside, sidecar: ShippedSidecar, redis: Backend) -> None:
        self._service = service
        self._sidecar = sidecar
        self._redis, self._redis_port = redis
        self._seed = int(os.environ.get("CHAOS_SEED", random.SystemRandom().randrange(10**9)))
        self._chance = random.Random(self._seed)
        self._plan = Plan(sidecar.http_port, service.url, "note_all", seed=self._seed, runs=50, signals=20)
        self._ledger = Ledger(folder / LEDGER, self._plan)

    def kill_and_check(self, victim: str, rounds: int, rate: int) -> None:
        kill: dict[str, Callable[[], None]] = {
            "service": self._kill_service,
            "sidecar": lambda: self._kill_server(self._sidecar),
            "redis": lambda: self._kill_server(self._redis),
        }
        command = [sys.executable, "-m", "tests.integration.load", arguments(replace(self._plan, rate=rate))]
        pipe = subprocess.PIPE
        print(f"seed {self._seed}: {rate} signals/s", flush=True)  # noqa: T201 - to be repeated
        with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as load:
            try:
                figures = Figures()
                for _ in range(rounds):
                    self._round(kill[victim], figures)
                said, _ = load.communicate(timeout=SECONDS)
            finally:
                load.kill()
        self._check(victim, rounds, json.loads(said), figures)

    def _round(self, kill: Callable[[], None], figures: Figures) -> None:
        """Kill at some moment while signals come in, and see that all is well again."""
        self._first_sent_after(time.time())
        time.sleep(self._chance.uniform(0, 1))  # the moment of the kill is what is drawn
        self._ledger.look()
        place, killed = len(self._ledger.lines), time.time()
        kill()
        until(self._service.is_ready, "the service is ready again", SECONDS)
        ready = time.time()
        fresh = self._first_sent_after(ready)
        self._await(lambda: self._ledger.is_complete_below(fresh["number"]), "older signals have had their effect")
        late = [line["done"] for line in self._ledger.lines[place:] if line["sent"] < killed < line["done"]]
        figures.back.append(ready - killed)
        figures.recovery.append(fresh["done"] - ready)
        figures.pending.append(max(late, default=killed) - killed)
        print(f"killed at {killed:.2f}: {figures.latest()}", flush=True)  # noqa: T201 - an hour is long

    def _kill_service(self) -> None:
        """Its supervisor starts it again."""
        process = self._service.process
        assert process is not None
        process.send(signal.SIGKILL)
        until(lambda: not self._service.is_ready(), "the service is not ready", SECONDS)

    def _kill_server(self, server: Server | ShippedSidecar) -> None:
        server.kill()
        until(lambda: self._service.readiness() == "not_ready", "the service says that it is not ready", SECONDS)
        server.start()

    def _first_sent_after(self, moment: float) -> dict[str, Any]:
        place = len(self._ledger.lines)
        self._await(lambda: self._ledger.first_sent_after(moment, place), "a new signal has had its effect")
        found = self._ledger.first_sent_after(moment, place)
        assert found is not None
        return found

    def _await(self, holds: Callable[[], object], what: str) -> None:
        def looks() -> object:
            self._ledger.look()
            return holds()

        until(looks, what, SECONDS)

    def _check(self, victim: str, rounds: int, said: dict[str, int], figures: Figures) -> None:
        until(lambda: set(left_over(self._redis_port).values()) == {(0, 0)}, "all messages are done", SECONDS)
        sent = said["sent"]
        check_results(self._service, self._plan, sent)
        interrupted = check_ledger(self._ledger, self._plan, sent)
        check_dead_letters(self._service, self._plan, sent)
        assert self._service.held() == []
        print(  # noqa: T201 - the figures
            f"\n{rounds} kills of the {victim}; {said}, {interrupted} attempts made again; {figures}"
        )


@pytest.fixture
def world(tmp_path: Path, service: Beside, ship: Ship, own_redis: Backend) -> World:
    _, port = own_redis
    sidecar = ship(*ON_REDIS, instead=redis_at(port), app_port=service.port)
    service.start(sidecar, test_ledger=str(tmp_path / LEDGER)).ready()
    service.supervise()
    return World(tmp_path, service, sidecar, own_redis)
