"""An application with a client in each test, and one service as a process for all that only talk to it."""

import uuid
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from typer.testing import CliRunner, Result

from app.cli.program import program
from tests.service.cli_kit import Command
from tests.service.kit import Process, application, process


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ADDRESS", "TOKEN", "TOKEN_FILE", "STORE", "WORKFLOWS", "DEV_REPLAY", "LOG_FORMAT", "TRACING"):
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


@pytest.fixture
def holdfast(running: Process) -> Command:
    """Run a command against the shared service."""

    def run(*words: str, input: str | None = None) -> Result:
        return CliRunner().invoke(program, list(words), input=input, env={"HOLDFAST_ADDRESS": running.url})

    return run


@pytest.fixture
def id() -> str:
    """An id that no other test uses on the shared service."""
    return f"cli-{uuid.uuid4().hex[:12]}"
