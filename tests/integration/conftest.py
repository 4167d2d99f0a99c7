"""The servers that the tests here share: started when the first test asks for them, ended by pid."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from tests.integration.application import Application
from tests.integration.backends import postgres_server, redis_server
from tests.integration.beside import Beside
from tests.integration.processes import Backend, serving
from tests.integration.shipped import ShippedSidecar
from tests.integration.sidecar import Resource, Sidecar, StateComponent, state_component

KINDS = ("in-memory", "redis", "sqlite", "postgresql")
StartSidecar = Callable[..., Sidecar]
Ship = Callable[..., ShippedSidecar]
AnySidecar = TypeVar("AnySidecar", Sidecar, ShippedSidecar)


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    yield from serving(redis_server(tmp_path_factory.mktemp("redis")))


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Backend]:
    """A Redis for one test alone, which may count what is in it, or end it."""
    folder = tmp_path / "redis"
    folder.mkdir()
    yield from serving(redis_server(folder))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Beside]:
    """A service to be started beside a sidecar; it is ended after the test."""
    beside = Beside(tmp_path / "service")
    yield beside
    beside.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Backend]:
    # Not in a folder of pytest's, which lets in nobody but the user that the tests run as.
    with tempfile.TemporaryDirectory(prefix="holdfast-postgres-") as folder:
        yield from serving(postgres_server(Path(folder)))


@pytest.fixture
def component(request: pytest.FixtureRequest, tmp_path: Path) -> StateComponent:
    """A state component of the kind that the test is parametrized with, on a running backend."""
    return component_of(str(request.param), request, tmp_path)


def component_of(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> StateComponent:
    """Describe a state component, named ``statestore``, on a backend that is started if need be."""
    server = {"redis": "redis", "postgresql": "postgres"}.get(kind)
    where = str(request.getfixturevalue(server)[1]) if server else str(tmp_path / "state.db")
    return state_component(kind, where)


@pytest.fixture
def start_sidecar(tmp_path: Path) -> Iterator[StartSidecar]:
    """Start a sidecar as `Sidecar` is told; it is ended after the test."""
    yield from _starting(partial(Sidecar, app_id=tmp_path.name), tmp_path / "sidecar")


@pytest.fixture
def ship(tmp_path: Path) -> Iterator[Ship]:
    """Start a sidecar with resources of this repository as `ShippedSidecar` is told; it is ended after the test."""
    yield from _starting(ShippedSidecar, tmp_path / "shipped")


def _starting(make: Callable[..., AnySidecar], root: Path) -> Iterator[Callable[..., AnySidecar]]:
    """Give what starts sidecars, each in a folder of its own, and end all of them."""
    started: list[AnySidecar] = []
    root.mkdir()

    def start(*resources: Resource | str, **options: object) -> AnySidecar:
        folder = root / str(len(started))
        folder.mkdir()
        sidecar = make(folder, *resources, **options)
        started.append(sidecar)
        sidecar.start()
        return sidecar

    yield start
    for sidecar in started:
        sidecar.kill()


@pytest.fixture
def sidecar(component: StateComponent, start_sidecar: StartSidecar) -> Sidecar:
    """A running sidecar with one state component named ``statestore``."""
    return start_sidecar(component)


@pytest.fixture
def application() -> Iterator[Application]:
    """A stand-in for the service, on a port of its own."""
    with Application() as application:
        serving = threading.Thread(target=application.serve_forever, daemon=True)
        serving.start()
        yield application
        application.shutdown()
        serving.join(30)
