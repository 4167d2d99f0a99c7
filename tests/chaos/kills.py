"""Kill -9 at random moments, of a service and of the server that has its runs, while customers keep it busy."""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.asking import SECONDS
from tests.chaos.customers import Customers
from tests.chaos.figures import spread
from tests.chaos.verdict import check
from tests.chaos.victim import Victim
from tests.integration.processes import Server, until

RUNS_AT_A_TIME = 50
LONGEST_LIFE = 1.0
RECOVERED = 0.5
"""How often it is at work again before the next kill; else that may come before it has found all of its work."""
BOTH = 0.3
"""How often the service is killed as well while its server is away, as by a loss of power."""


@dataclass(frozen=True, slots=True)
class Kill:
    """What was killed, when, and when it was ready again."""

    what: str
    killed: float
    ready: float


class Kills:
    """A service under load, and what can be killed of it.

    Args:
        folder: Where it runs.
        settings: Of the service.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        self._seed = int(os.environ.get("CHAOS_SEED", random.SystemRandom().randrange(10**9)))
        self._chance = random.Random(self._seed)
        self._ledger = folder / "ledger.jsonl"
        self._victim = Victim(folder, self._chance, store_wait="120s", **settings)
        self._customers = Customers(lambda: self._victim.url, random.Random(self._seed), RUNS_AT_A_TIME)
        self._kills: list[Kill] = []

    def check(self, *, service: int, server: Server | None = None, servers: int = 0) -> None:
        """Kill so many times in any order, and see that nothing acknowledged is lost, and nothing done twice.

        Args:
            service: How many times the service is killed.
            server: Who has its runs, where that is a process of its own.
            servers: How many times that is killed.
        """
        order = ["service"] * service + ["server"] * servers
        self._chance.shuffle(order)
        print(f"seed {self._seed}", flush=True)  # noqa: T201 - to be repeated
        try:
            self._victim.live()
            self._customers.start()
            for what in order:
                life = self._chance.uniform(0.0, LONGEST_LIFE)
                self._kills.append(self._kill_service(life) if what == "service" else self._kill_server(server, life))
            self._customers.finish()
            report = check(self._victim.url, self._customers, self._ledger)
        finally:
            self._customers.running = False
            self._victim.stop()
        print(f"seed {self._seed}: {report}; {self._figures()}")  # noqa: T201 - the figures

    def _kill_service(self, after: float) -> Kill:
        killed = self._victim.kill(after)
        ready = time.monotonic()
        if self._chance.random() < RECOVERED:
            self._await_work(killed)
        return Kill("service", killed, ready)

    def _kill_server(self, server: Server | None, after: float) -> Kill:
        """The next kill comes once the service takes new work: else there might be none for ever."""
        assert server is not None
        time.sleep(after)  # the moment of the kill is what is drawn
        server.kill()
        killed = time.monotonic()
        both = self._chance.random() < BOTH
        if both:
            self._victim.die()
            self._victim.begin()
        server.start()
        if both:
            self._victim.get_ready()
        ready = time.monotonic()
        self._await_work(killed)
        return Kill("server and service" if both else "server", killed, ready)

    def _await_work(self, killed: float) -> None:
        until(lambda: self._customers.first_promise_since(killed), "the service takes work again", SECONDS)
        self._victim.check_alive()

    def _figures(self) -> str:
        """Say how long it took from a kill until what was killed was ready, and until new work was acknowledged."""
        lines = []
        for what in ("service", "server", "server and service"):
            kills = [kill for kill in self._kills if kill.what == what]
            if kills:
                ready = spread([kill.ready - kill.killed for kill in kills])
                work = spread([self._took_work(kill) - kill.killed for kill in kills])
                lines.append(f"{len(kills)} kills of the {what}: ready after {ready}, new work taken after {work}")
        return "; ".join(lines)

    def _took_work(self, kill: Kill) -> float:
        found = self._customers.first_promise_since(kill.killed)
        assert found is not None, "nobody was served after the last kill"
        return found
