"""The servers that the tests here share, started when the first test asks for them, and those of one test alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.processes import Backend, serving
from tests.stores.places import PLACES, Place
from tests.stores.servers import inngest_server, kafka_server, nats_server


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    yield from serving(nats_server(tmp_path_factory.mktemp("nats")))


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    yield from serving(kafka_server(tmp_path_factory.mktemp("kafka")))


@pytest.fixture(scope="session")
def inngest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    yield from serving(inngest_server(tmp_path_factory.mktemp("inngest")))


@pytest.fixture
def own_nats(tmp_path: Path) -> Iterator[Backend]:
    """A NATS server for one test alone, which may count what is in it, or end it."""
    yield from serving(nats_server(_folder(tmp_path, "nats")))


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[Backend]:
    """A Kafka broker for one test alone, which may end it."""
    yield from serving(kafka_server(_folder(tmp_path, "kafka")))


@pytest.fixture
def own_inngest(tmp_path: Path) -> Iterator[Backend]:
    """A server of Inngest's protocol for one test alone, which may end it."""
    yield from serving(inngest_server(_folder(tmp_path, "inngest")))


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A server of the kind that the test is parametrized with, for that test alone."""
    place = PLACES[request.param](_folder(tmp_path, request.param))
    for _ in serving(place.backend):
        yield place


def _folder(parent: Path, name: str) -> Path:
    folder = parent / f"{name}-server"
    folder.mkdir()
    return folder
