"""Two services on one store by mistake: the newcomer waits, and an owner that was stopped too long is fenced out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import KINDS, StartSidecar
from tests.integration.sidecar import StateComponent
from tests.integration.twins import Ledger, Serve, check_newcomer, check_replacement, services

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

APP_ID = "twins"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.jsonl")


@pytest.fixture
def serve(
    component: StateComponent,
    start_sidecar: StartSidecar,
    tmp_path: Path,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Serve]:
    """Start a service of a name beside a sidecar of its own; where that has the state, all share the one."""
    shared = start_sidecar(component, app_id=APP_ID) if component.type == "state.in-memory" else None

    def beside_a_sidecar() -> dict[str, str]:
        sidecar = shared or start_sidecar(component, app_id=APP_ID)
        monkeypatch.setenv("DAPR_GRPC_PORT", sidecar.address.rpartition(":")[2])
        return {"store": "dapr:statestore"}

    with services(tmp_path, ledger, beside_a_sidecar) as start:
        yield start


on_every_component = pytest.mark.parametrize("component", KINDS, indirect=True)


@on_every_component
def test_a_newcomer_waits_and_an_owner_that_was_stopped_past_its_lease_is_fenced_out(
    serve: Serve, ledger: Ledger, tmp_path: Path
) -> None:
    check_newcomer(serve, ledger, tmp_path / "gate")


@on_every_component
def test_nothing_is_lost_or_done_twice_when_an_owner_is_replaced_under_load(serve: Serve, ledger: Ledger) -> None:
    check_replacement(serve, ledger)
