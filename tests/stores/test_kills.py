"""Kill -9 of the service and of the server of its store while 50 runs proceed: nothing is lost, nothing is doubled."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.kills import Kills
from tests.stores.places import PLACES, Place

on_every_server = pytest.mark.parametrize("place", PLACES, indirect=True)


@on_every_server
@pytest.mark.stores
@pytest.mark.timeout(600)
def test_nothing_is_lost_in_5_kills_of_the_service_and_2_of_the_server(place: Place, tmp_path: Path) -> None:
    Kills(tmp_path / "service", **place.settings).check(service=5, server=place.server, servers=2)


@on_every_server
@pytest.mark.chaos
@pytest.mark.timeout(7_200)
def test_nothing_is_lost_in_50_kills_of_the_service_and_20_of_the_server(place: Place, tmp_path: Path) -> None:
    Kills(tmp_path / "service", **place.settings).check(service=50, server=place.server, servers=20)
