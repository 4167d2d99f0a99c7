"""Threads die in the middle of their steps, by SIGKILL at every single point, and emit what they emit without."""

import itertools
import os
import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.chaos.scenarios import SCENARIOS, Scenario
from tests.chaos.threads import NEVER, World

EACH = 12
"""By default one point in so many is tried, beginning anywhere; all of them at full count."""


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

    assert check_deaths(SCENARIOS[name], tmp_path, itertools.count(first, EACH)) >= 1


@pytest.mark.chaos
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_death_inside_a_step_changes_nothing(name: str, tmp_path: Path) -> None:
    deaths = check_deaths(SCENARIOS[name], tmp_path, itertools.count(1))

    print(f"{name}: {deaths} deaths")  # noqa: T201 - the figure of the full count
    assert deaths > EACH
