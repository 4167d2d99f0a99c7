"""Kill -9 at random moments, while 50 runs proceed: nothing acknowledged is lost, nothing recorded is done twice."""

from pathlib import Path

import pytest

from tests.chaos.kills import Kills


@pytest.mark.timeout(600)
def test_nothing_is_lost_in_20_kills(tmp_path: Path) -> None:
    Kills(tmp_path).check(service=20)


@pytest.mark.chaos
@pytest.mark.timeout(3_600)
def test_nothing_is_lost_in_200_kills(tmp_path: Path) -> None:
    Kills(tmp_path).check(service=200)
