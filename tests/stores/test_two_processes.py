"""Two services on one topic or bucket by mistake: the newcomer waits, a stale owner is fenced and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.twins import Ledger, Serve, check_newcomer, check_replacement, services
from tests.stores.places import Place

pytestmark = [pytest.mark.stores, pytest.mark.timeout(600)]

on_every_guard = pytest.mark.parametrize("place", ["kafka", "nats"], indirect=True)
"""That of Inngest's protocol keeps no stale process out, and says so."""


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.jsonl")


@pytest.fixture
def serve(place: Place, tmp_path: Path, ledger: Ledger) -> Iterator[Serve]:
    """Start a service of a name on the store."""
    with services(tmp_path, ledger, lambda: place.settings) as start:
        yield start


@on_every_guard
def test_a_newcomer_waits_and_an_owner_that_was_stopped_past_its_lease_is_fenced_out(
    serve: Serve, ledger: Ledger, tmp_path: Path
) -> None:
    check_newcomer(serve, ledger, tmp_path / "gate")


@on_every_guard
def test_nothing_is_lost_or_done_twice_when_an_owner_is_replaced_under_load(serve: Serve, ledger: Ledger) -> None:
    check_replacement(serve, ledger)
