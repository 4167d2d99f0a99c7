"""The stores that the setting can name."""

import sys

import pytest

from app.bootstrap import make_store
from app.errors import StartupError
from app.settings import Settings
from holdfast.stores import MemoryStore, SqliteStore
from holdfast.stores.dapr import DaprStore


@pytest.mark.parametrize(
    ("setting", "kind"),
    [("memory:", MemoryStore), ("sqlite:///runs.db", SqliteStore), ("dapr:statestore", DaprStore)],
)
def test_a_store_is_named_by_its_kind_and_place(setting: str, kind: type) -> None:
    assert type(make_store(Settings(store=setting))) is kind


@pytest.mark.parametrize("setting", ["", "dapr:", "sqlite:///", "redis://localhost", "memory"])
def test_what_names_no_store_is_refused_with_what_does(setting: str) -> None:
    with pytest.raises(StartupError, match=r"sqlite:///path/to/file\.db, dapr:component or memory:"):
        make_store(Settings(store=setting))


def test_without_the_extra_the_sidecar_is_refused_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "holdfast.stores.dapr", None)

    with pytest.raises(StartupError, match=r"pip install 'holdfast\[dapr\]'"):
        make_store(Settings(store="dapr:statestore"))
