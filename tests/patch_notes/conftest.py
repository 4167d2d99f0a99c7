"""Where the runs of these tests are kept: in memory and in a file, and with the marker in four state components."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import KINDS, component_of, postgres, redis, start_sidecar
from tests.patch_notes.homes import DaprHome, Home, MemoryHome, SqliteHome

__all__ = ["postgres", "redis", "start_sidecar"]

_SIDECAR = "sidecar-"
STORES = ["memory", "sqlite", *(pytest.param(_SIDECAR + kind, marks=pytest.mark.integration) for kind in KINDS)]


@pytest.fixture(params=STORES)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """A place where runs are kept; the test is done on each."""
    kind = str(request.param)
    if kind == "memory":
        return MemoryHome()
    if kind == "sqlite":
        return SqliteHome(tmp_path / "runs.db")
    component = component_of(kind.removeprefix(_SIDECAR), request, tmp_path)
    sidecar = request.getfixturevalue("start_sidecar")(component)
    return DaprHome(sidecar, is_durable=component.type != "state.in-memory")
