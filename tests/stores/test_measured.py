"""What the reference says that each kind of store can do is what it says itself, once it is open."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from bench.store_places import PLACES
from holdfast import stores
from holdfast.stores.store_kinds import KINDS
from tests.docs.store_tables import load
from tests.stores.workflow_store_places import EVERY_KIND


def test_every_kind_was_measured() -> None:
    assert list(load()["stores"]) == list(PLACES) == [kind.name for kind in KINDS]
    assert all(measured["figures"]["steps_per_s"] > 0 for measured in load()["stores"].values())


@pytest.mark.parametrize("kind", EVERY_KIND)
async def test_the_capabilities_in_the_reference_are_those_of_the_open_store(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PLACES[kind](tmp_path) as place:
        for name, value in place.environment.items():
            monkeypatch.setenv(name, value)
        store = stores.open(place.url.replace("{}", "measured"), wait=20)
        await store.open()
        try:
            told = dataclasses.asdict(store.capabilities)
        finally:
            await store.close()

    assert load()["stores"][kind]["capabilities"] == told, f"run: python -m bench.stores {kind}"
