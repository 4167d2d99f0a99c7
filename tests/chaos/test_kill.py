"""Kill -9 at random moments, while 50 runs proceed: nothing acknowledged is lost, nothing recorded is done twice."""

import os
import random
from pathlib import Path

import pytest

from tests.chaos.customers import Customers
from tests.chaos.verdict import check
from tests.chaos.victim import Victim

RUNS_AT_A_TIME = 50


@pytest.mark.timeout(300)
def test_nothing_is_lost_in_20_kills(tmp_path: Path) -> None:
    kill_and_check(tmp_path, kills=20)


@pytest.mark.chaos
@pytest.mark.timeout(3_600)
def test_nothing_is_lost_in_200_kills(tmp_path: Path) -> None:
    kill_and_check(tmp_path, kills=200)


def kill_and_check(folder: Path, kills: int) -> None:
    seed = int(os.environ.get("CHAOS_SEED", random.SystemRandom().randrange(10**9)))
    chance = random.Random(seed)
    victim = Victim(folder, chance)
    customers = Customers(lambda: victim.url, random.Random(seed), RUNS_AT_A_TIME)
    try:
        victim.live()
        customers.start()
        while victim.kills < kills:
            victim.kill(after=chance.uniform(0.0, 1.0))
        customers.finish()
        report = check(victim.url, customers, folder / "ledger.jsonl")
    finally:
        victim.stop()
    print(f"seed {seed}: {victim.kills} kills, {report}")  # noqa: T201 - the figures
