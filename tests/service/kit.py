"""What the tests of the service share: an application over a real engine, and a service as a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import requests
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.factory import create_app
from app.modules import load_functions
from app.service import Service
from app.settings import Settings
from holdfast import EngineThread, StoreUnavailableError
from holdfast.ports import Conflict, Document, StateStore, Write, Written
from holdfast.stores import MemoryStore

ROOT = Path(__file__).parents[2]
FLOWS = "tests.service.flows"
T = TypeVar("T")

Anything = Any
"""Whatever an option may be."""


def until(look: Callable[[], T], seconds: float = 30.0) -> T:
    """Look again and again until there is something to see."""
    due = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > due:
            raise AssertionError(f"not within {seconds:g} s: the last look saw {found!r}")
        time.sleep(0.01)


def engine(store: StateStore | None = None, **options: Anything) -> EngineThread:
    functions = load_functions([FLOWS])
    thread = EngineThread(
        store or MemoryStore(),
        workflows=functions.workflows,
        activities=functions.activities,
        **{"drain": 1.0, **options},
    )
    thread.open()
    return thread


@contextmanager
def application(store: StateStore | None = None, **settings: Anything) -> Iterator[Flask]:
    """An application over an engine of its own, in memory unless a store is given."""
    app = create_app(Settings(store="memory:", **{"drain": 1.0, **settings}), engine(store))
    try:
        yield app
    finally:
        service_of(app).close()


class Remote(MemoryStore):
    """A store that may be away.

    Attributes:
        is_away: Nobody answers.
    """

    is_away = False

    async def read(self, keys: Sequence[str]) -> dict[str, Document]:
        self._reach()
        return await super().read(keys)

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        self._reach()
        return await super().write(writes)

    def _reach(self) -> None:
        if self.is_away:
            raise StoreUnavailableError("nobody answers")


def service_of(app: Flask) -> Service:
    service: Service = app.extensions["holdfast"]
    return service


def start(
    client: FlaskClient, workflow: str, id: str | None = None, input: object = None, **more: Anything
) -> TestResponse:
    body = {"id": id, "input": input, **more}
    response = client.post(f"/v1/workflows/{workflow}/runs", json=body)
    assert response.status_code == 201, response.text
    return response


def problem(response: TestResponse | requests.Response, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is a problem of that kind, and give it."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = json.loads(response.text)
    assert body["status"] == status
    assert body["code"] == code
    assert body["type"] == f"urn:holdfast:problem:{code}"
    assert body["title"]
    assert body["detail"]
    assert "Traceback" not in response.text
    return body


def fields(body: dict[str, Any]) -> list[str]:
    """The fields that a problem names."""
    return [error["field"] for error in body["errors"]]


def waits_for(client: FlaskClient, workflow_id: str, words: str) -> None:
    """Wait until a run says that it waits for something."""
    until(lambda: words in str(client.get(f"/v1/runs/{workflow_id}").json))


def ended(client: FlaskClient, workflow_id: str) -> dict[str, Any]:
    """Wait until a run has ended, and give it."""

    def look() -> dict[str, Any] | None:
        run: dict[str, Any] = client.get(f"/v1/runs/{workflow_id}").get_json()
        return run if run["finished_at"] else None

    found = until(look)
    assert found is not None
    return found


_LISTENING = re.compile(r"listening on http://(\S+?):(\d+)")


class Process:
    """A service as a process of its own, on a free port.

    Attributes:
        url: Where it is; set once it listens.
        settings: What it was told, by the names of its settings in small letters.
    """

    def __init__(self, folder: Path, *command: str, **settings: str) -> None:
        """Start it.

        Args:
            folder: Where it runs, and where its store and output are.
            command: What to run; `holdfast serve` by default.
            settings: Its settings, by their names without the prefix and in small letters; other variables of its
                environment in capitals.
        """
        self.folder = folder
        self.url = ""
        folder.mkdir(exist_ok=True)
        self._out = folder / f"out-{time.monotonic_ns()}.log"
        self._err = self._out.with_suffix(".err")
        defaults = {"store": "sqlite:///runs.db", "workflows": FLOWS, "address": "127.0.0.1:0", "drain": "5s"}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
        self.settings = {**defaults, **settings}
        environment |= {_variable(name): value for name, value in self.settings.items()}
        environment["PYTHONPATH"] = str(ROOT)
        program = command or (sys.executable, "-c", "from app.cli import main; main()", "serve")
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(program, cwd=folder, env=environment, stdout=out, stderr=err)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def out(self) -> str:
        return self._out.read_text(encoding="utf-8", errors="replace")

    @property
    def err(self) -> str:
        return self._err.read_text(encoding="utf-8", errors="replace")

    @property
    def logs(self) -> list[dict[str, Any]]:
        """Its log, of which every line has to be a JSON object."""
        return [json.loads(line) for line in self.out.splitlines()]

    def ready(self, seconds: float = 60.0) -> Process:
        """Wait until it says that it is ready."""

        def look() -> bool:
            assert self._process.poll() is None, self.out + self.err
            found = _LISTENING.search(self.out)
            if found is None:
                return False
            self.url = f"http://{found[1]}:{found[2]}"
            return answers(f"{self.url}/readyz")

        until(look, seconds)
        return self

    def request(self, method: str, path: str, **options: Anything) -> requests.Response:
        return requests.request(method, self.url + path, timeout=options.pop("timeout", 30), **options)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def exit_status(self, seconds: float = 40.0) -> int:
        """Wait until it has ended."""
        return self._process.wait(seconds)

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def stop(self) -> None:
        """End it, whatever it is doing."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def _variable(setting: str) -> str:
    return setting if setting.isupper() else f"HOLDFAST_{setting.upper()}"


def answers(url: str) -> bool:
    """Say whether something answers there, and well."""
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


@contextmanager
def process(folder: Path, *command: str, **settings: str) -> Iterator[Process]:
    """A service as a process that is gone afterwards."""
    running = Process(folder, *command, **settings)
    try:
        yield running
    finally:
        running.stop()
