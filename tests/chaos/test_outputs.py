"""Kill -9 between a commit and the publication that follows it, and between that and its being noted."""

import json
import os
import random
import signal
from collections import defaultdict
from pathlib import Path
from threading import Event

import pytest

from tests.chaos.program import Program, running
from tests.chaos.speaker import AT_A_TIME, EACH

pytestmark = pytest.mark.slow

SPEAKER = "tests.chaos.speaker"


def entries(ledger: Path) -> list[tuple[str, int | None]]:
    """Give the id and value of each record that the publisher has; the last line may be cut."""
    lines = ledger.read_text(encoding="utf-8").split("\n")[:-1] if ledger.exists() else []
    return [(id, value) for id, value in map(json.loads, lines)]


def check(found: list[tuple[str, int | None]]) -> int:
    """See that each run has said all of it in its order, and its end, and give how many records came twice."""
    values: dict[str, int | None] = {}
    order: defaultdict[str, list[int | None]] = defaultdict(list)
    for id, value in found:
        if id not in values:
            order[id.rpartition("/")[0]].append(value)
        assert values.setdefault(id, value) == value, "one id, two records"
    assert order
    assert [run for run, said in order.items() if said != [*range(EACH), None]] == []
    return len(found) - len(values)


def killed(program: Program) -> None:
    program.send(signal.SIGKILL)
    status, _ = program.finish()
    assert status == -signal.SIGKILL


def finished(database: Path, ledger: Path) -> None:
    """Let a process take up what is there, publish it, and end."""
    with running(SPEAKER, str(database), str(ledger), "plain") as program:
        assert program.line() == "open"
        status, said = program.finish()
        assert (status, said) == (0, ["done"])


@pytest.mark.parametrize(("mode", "twice"), [("mute", False), ("deaf", True)])
@pytest.mark.timeout(180)
def test_a_kill_before_or_after_the_publication_loses_nothing(tmp_path: Path, mode: str, twice: bool) -> None:  # noqa: FBT001
    database, ledger = tmp_path / "runs.db", tmp_path / "ledger.jsonl"
    with running(SPEAKER, str(database), str(ledger), mode) as program:
        assert [program.line(), program.line()] == ["open", "hangs"]
        before = len(entries(ledger))
        assert (before > 0) is twice
        killed(program)

    finished(database, ledger)

    repeated = check(entries(ledger))
    assert (repeated > 0) is twice
    assert repeated <= before
    assert len({id.partition("/")[0] for id, _ in entries(ledger)}) >= AT_A_TIME


@pytest.mark.timeout(300)
def test_nothing_is_lost_and_no_order_changed_in_15_kills_at_any_moment(tmp_path: Path) -> None:
    seed = int(os.environ.get("CHAOS_SEED", random.SystemRandom().randrange(10**9)))
    print(f"seed {seed}")  # noqa: T201 - shown where it fails
    chance = random.Random(seed)
    database, ledger = tmp_path / "runs.db", tmp_path / "ledger.jsonl"
    for _ in range(15):
        with running(SPEAKER, str(database), str(ledger), "plain") as program:
            assert program.line() == "open"
            Event().wait(chance.uniform(0.0, 0.6))  # the moment of the kill is what is drawn
            killed(program)

    finished(database, ledger)

    check(entries(ledger))
