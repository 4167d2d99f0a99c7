"""Threads die in the middle of their steps, by SIGKILL at every single point, and emit what they emit without."""

import itertools
import json
import os
import random
import signal
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.chaos.program import Program, running
from tests.chaos.scenarios import SCENARIOS, Emitted, Scenario

HOST = "tests.chaos.thread_host"
NEVER = 0
EACH = 8
"""By default one point in so many is tried, beginning anywhere; all of them at full count."""


def emitted(ledger: Path) -> dict[str, Emitted]:
    """Give the records that the publisher has, by their ids, and see that none is there in two forms."""
    lines = ledger.read_text(encoding="utf-8").splitlines() if ledger.exists() else []
    records: dict[str, Emitted] = {}
    for topic, key, value, id in map(json.loads, lines):
        found = Emitted(topic, key, value)
        assert records.setdefault(id, found) == found, "one id, two records"
    return records


class World:
    """What is outside of the process: it survives it."""

    def __init__(self, scenario: Scenario, folder: Path, death: int) -> None:
        self.died = False
        self._scenario = scenario
        self._ledger = folder / "ledger.jsonl"
        self._database = folder / "threads.db"
        self._death = death
        self._known: set[str] = set()
        self._replies = scenario.world("one")
        begins = enumerate(scenario.begins("one"))
        self._to_send = [[reply.key, reply.value, f"begin-{number}"] for number, reply in begins]

    def play(self) -> Counter[Emitted]:
        """Let everything happen, in as many processes as it takes, and give what was emitted."""
        while self._to_send or self._hear():
            arguments = (str(self._database), str(self._ledger), self._scenario.module, str(self._death))
            with running(HOST, *arguments) as host:
                assert host.line() == "open"
                self._talk(host)
            self._death = NEVER
        records = Counter(each.without_chance() for each in emitted(self._ledger).values())
        assert all(any(each.topic == topic for each in records) for topic in self._scenario.ends)
        return records

    def _talk(self, host: Program) -> None:
        while self._to_send or self._hear():
            if not host.ask(json.dumps(self._to_send[0])):
                self.died = True
                return
            self._to_send.pop(0)
        status, _ = host.finish()
        assert status in {0, -signal.SIGKILL}
        self.died = self.died or status != 0

    def _hear(self) -> bool:
        """Reply to the records that have come out since."""
        for id, record in emitted(self._ledger).items():
            if id not in self._known:
                self._known.add(id)
                replies = enumerate(self._replies(record))
                self._to_send += [[reply.key, reply.value, f"{id} {number}"] for number, reply in replies]
        return bool(self._to_send)


def check_deaths(scenario: Scenario, folder: Path, points: Iterable[int]) -> int:
    """Die at each of some points, until there are no more, and give how many times that was."""
    (folder / "alive").mkdir()
    expected = World(scenario, folder / "alive", NEVER).play()
    for tried, point in enumerate(points):
        place = folder / f"point-{point}"
        place.mkdir()
        world = World(scenario, place, point)
        assert world.play() == expected, f"differs after a death at point {point}"
        if not world.died:
            return tried
    raise AssertionError("there is always a last point")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", SCENARIOS)
def test_some_deaths_inside_steps_change_nothing(name: str, tmp_path: Path) -> None:
    seed = int(os.environ.get("CHAOS_SEED", random.SystemRandom().randrange(10**9)))
    print(f"seed {seed}")  # noqa: T201 - shown where it fails
    first = 1 + random.Random(seed).randrange(EACH)

    assert check_deaths(SCENARIOS[name], tmp_path, itertools.count(first, EACH)) > 1


@pytest.mark.chaos
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_death_inside_a_step_changes_nothing(name: str, tmp_path: Path) -> None:
    deaths = check_deaths(SCENARIOS[name], tmp_path, itertools.count(1))

    print(f"{name}: {deaths} deaths")  # noqa: T201 - the figure of the full count
    assert deaths > EACH
