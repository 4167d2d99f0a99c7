"""A scenario that is played out by threads in a process of their own, which may die."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path

from tests.chaos.program import Program, running
from tests.chaos.scenarios import Emitted, Scenario

__all__ = ["NEVER", "World", "emitted"]

HOST = "tests.chaos.thread_host"
NEVER = 0


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

    def __init__(self, scenario: Scenario, folder: Path, death: int = NEVER, name: str = "one") -> None:
        self.died = False
        self._scenario = scenario
        self._ledger = folder / "ledger.jsonl"
        self._database = folder / "threads.db"
        self._death = death
        self._known: set[str] = set()
        self._replies = scenario.world(name)
        begins = enumerate(scenario.begins(name))
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
