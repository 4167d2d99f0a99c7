"""A place for whole workflow states in each kind of store that the registry knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from holdfast import stores
from holdfast.ports import StateStore
from holdfast.stores import MemoryStore, WorkflowStore
from holdfast.testing.inngest_server import reference_server
from tests.integration.processes import Backend
from tests.integration.sidecar import Sidecar, state_component
from tests.stores.servers import EVENT_KEY


class Place:
    """One place that keeps documents, and outlives the stores that are opened on it.

    Attributes:
        kind: Of the stores.
        url: Opens them.
        shared: Whether two stores may have it open at the same time.
    """

    def __init__(self, kind: str, url: str, *, shared: bool = True) -> None:
        self.kind = kind
        self.shared = shared
        self.url = url
        # Documents in memory are gone with the object that holds them.
        self._object = MemoryStore() if kind == "memory" else None

    def backend(self) -> StateStore:
        return self._object or stores.open(self.url, wait=20)

    def store(self) -> WorkflowStore:
        return WorkflowStore(self.backend())


Open = Callable[[pytest.FixtureRequest, Path], AbstractContextManager[Place]]


@contextmanager
def _memory(_request: pytest.FixtureRequest, _folder: Path) -> Iterator[Place]:
    yield Place("memory", "memory:")


@contextmanager
def _sqlite(_request: pytest.FixtureRequest, folder: Path) -> Iterator[Place]:
    yield Place("sqlite", f"sqlite:///{folder}/states.db", shared=False)


@contextmanager
def _dapr(request: pytest.FixtureRequest, folder: Path) -> Iterator[Place]:
    sidecar = Sidecar(folder, state_component("sqlite", str(folder / "states.db")))
    sidecar.start()
    monkeypatch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    monkeypatch.setenv("DAPR_GRPC_PORT", sidecar.address.rpartition(":")[2])
    try:
        yield Place("dapr", "dapr:statestore")
    finally:
        sidecar.kill()


@contextmanager
def _kafka(request: pytest.FixtureRequest, _folder: Path) -> Iterator[Place]:
    _, port = _backend(request, "kafka")
    yield Place("kafka", f"kafka://127.0.0.1:{port}/states-{uuid4().hex}")


@contextmanager
def _nats(request: pytest.FixtureRequest, _folder: Path) -> Iterator[Place]:
    _, port = _backend(request, "nats")
    yield Place("nats", f"nats://127.0.0.1:{port}/states-{uuid4().hex}")


@contextmanager
def _inngest(request: pytest.FixtureRequest, folder: Path) -> Iterator[Place]:
    monkeypatch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    monkeypatch.setenv("INNGEST_EVENT_KEY", EVENT_KEY)
    with reference_server(folder / "states.db", event_key=EVENT_KEY) as url:
        yield Place("inngest", f"inngest+{url}")


def _backend(request: pytest.FixtureRequest, name: str) -> Backend:
    backend: Backend = request.getfixturevalue(name)
    return backend


PLACES: Mapping[str, Open] = {
    "dapr": _dapr,
    "inngest": _inngest,
    "kafka": _kafka,
    "memory": _memory,
    "nats": _nats,
    "sqlite": _sqlite,
}
NEEDED: Mapping[str, pytest.MarkDecorator] = {
    "dapr": pytest.mark.integration,
    "kafka": pytest.mark.stores,
    "nats": pytest.mark.stores,
}
"""What a kind needs besides Python."""
EVERY_KIND = [pytest.param(kind, marks=NEEDED.get(kind, ())) for kind in stores.names()]
