"""A process that is killed leaves many open runs: the next one finds every one of them, and all move again."""

from __future__ import annotations

import json
import signal

import pytest

from tests.chaos.program import running
from tests.stores.places import PLACES, Place

HOST = "tests.stores.crowd"
on_every_server = pytest.mark.parametrize("place", PLACES, indirect=True)


@on_every_server
@pytest.mark.stores
@pytest.mark.timeout(600)
def test_500_open_runs_are_found_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    check_restart(place, 500, monkeypatch)


@on_every_server
@pytest.mark.chaos
@pytest.mark.timeout(1_200)
def test_10_000_open_runs_are_found_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    check_restart(place, 10_000, monkeypatch)


def check_restart(place: Place, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in place.environment.items():
        monkeypatch.setenv(variable, value)
    with running(HOST, place.url, str(count), "begin") as first:
        assert first.line() == "waiting"
        first.send(signal.SIGKILL)

    with running(HOST, place.url, str(count), "again") as second:
        seconds = json.loads(second.line())
        outcome = json.loads(second.line())
        assert second.finish() == (0, [])
    assert outcome == {"wrong": [], "attempts": [[2, count]], "twice": []}
    print(f"{place.url}: {count} open runs: seconds until {seconds}")  # noqa: T201 - the figures
