"""Holding what has become of a load against its plan."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from tests.integration.beside import Beside
from tests.integration.load import Plan


class Ledger:
    """What the activities of the runs have done, as it grows.

    Attributes:
        lines: All so far.
    """

    def __init__(self, path: Path, plan: Plan) -> None:
        self.lines: list[dict[str, Any]] = []
        self._done: set[int] = set()
        self._complete = 0
        self._path = path
        self._plan = plan
        self._read = 0

    def look(self) -> None:
        """Read what is new; a line that is being written is left to the next look."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            new, end, _ = file.read().rpartition(b"\n")
        self._read += len(new) + len(end)
        for line in new.splitlines():
            self.lines.append(json.loads(line))
            self._done.add(self.lines[-1]["number"])

    def first_sent_after(self, moment: float, place: int) -> dict[str, Any] | None:
        """Give the first line after a place in the ledger whose signal was published after a moment."""
        return next((line for line in self.lines[place:] if line["sent"] > moment), None)

    def is_complete_below(self, number: int) -> bool:
        """Whether all good signals of lower numbers have had their effect."""
        while self._complete in self._done or self._plan.is_malformed(self._complete):
            self._complete += 1
        return self._complete >= number


def check_results(service: Beside, plan: Plan, sent: int) -> None:
    """Each run has received exactly what was published for it."""
    for generation in range(sent // plan.size):
        expected = plan.expected(generation)
        assert {run: sorted(service.result(run)) for run in expected} == expected


def check_ledger(ledger: Ledger, plan: Plan, sent: int) -> int:
    """Each good signal had its effect, under one key, and no attempt was made twice.

    Returns:
        How many attempts were interrupted and made again.
    """
    ledger.look()
    attempts = Counter((line["key"], line["attempt"]) for line in ledger.lines)
    assert max(attempts.values()) == 1, "an attempt was made twice"
    keys: defaultdict[int, set[str]] = defaultdict(set)
    for line in ledger.lines:
        keys[line["number"]].add(line["key"])
    assert set(keys) == {number for number in range(sent) if not plan.is_malformed(number)}
    assert {number: found for number, found in keys.items() if len(found) > 1} == {}
    return len(attempts) - len({key for key, _ in attempts})


def check_dead_letters(service: Beside, plan: Plan, sent: int) -> None:
    """Each malformed message is dead, once and with a reason, and no other is."""
    letters = list(service.dead_letters())
    found = Counter(letter["value"]["id"] for letter in letters)
    assert found == Counter(f"signal-{number}" for number in range(sent) if plan.is_malformed(number))
    assert all(letter["reason"] for letter in letters)
