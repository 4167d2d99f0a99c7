"""An application with a client in each test, and one service as a process for all that only talk to it."""

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.service.kit import Process, application, process


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ADDRESS", "TOKEN", "TOKEN_FILE", "STORE", "WORKFLOWS", "DEV_REPLAY", "LOG_FORMAT"):
        monkeypatch.delenv(f"HOLDFAST_{name}", raising=False)


@pytest.fixture
def app() -> Iterator[Flask]:
    with application() as app:
        yield app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A service that tests share; each uses ids of its own."""
    with process(tmp_path_factory.mktemp("service")) as running:
        yield running.ready()
