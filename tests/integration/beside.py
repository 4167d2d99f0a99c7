"""The service beside a sidecar: kept alive by a supervisor, as Kubernetes would."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from tests.integration.processes import SECONDS, free_port, until
from tests.integration.shipped import ShippedSidecar
from tests.integration.sidecar import Sidecar
from tests.service.kit import Process

FLOWS = "tests.integration.flows"


class Beside:
    """The service, on a port that it keeps.

    Attributes:
        port: Where it listens.
        url: The same as an address.
        process: Its present incarnation.
    """

    def __init__(self, folder: Path, port: int = 0) -> None:
        """Only take a port: the sidecar has to be told before the service can be started."""
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: Process | None = None
        self._folder = folder
        self._session = requests.Session()
        self._settings: dict[str, str] = {}
        self._ending = threading.Event()
        self._supervisor: threading.Thread | None = None

    def start(self, sidecar: Sidecar | ShippedSidecar, **settings: str) -> Beside:
        """Start it beside that sidecar; `ready` awaits it."""
        self._settings = {
            "store": "dapr:statestore",
            "store_wait": "60s",
            "workflows": FLOWS,
            "address": f"127.0.0.1:{self.port}",
            "instance": "beside",
            "DAPR_GRPC_PORT": sidecar.address.rpartition(":")[2],
            "DAPR_HTTP_PORT": str(sidecar.http_port),
            **settings,
        }
        self.process = Process(self._folder, **self._settings)
        return self

    def supervise(self) -> None:
        """From now on start it again whenever it has ended."""
        self._supervisor = threading.Thread(target=self._keep_alive, daemon=True)
        self._supervisor.start()

    def _keep_alive(self) -> None:
        while not self._ending.wait(0.02):
            if self.process is not None and self.process.has_ended:
                self.process = Process(self._folder, **self._settings)

    def stop(self) -> None:
        self._ending.set()
        if self._supervisor is not None:
            self._supervisor.join(SECONDS)
        if self.process is not None:
            self.process.stop()

    def is_ready(self) -> bool:
        return self.readiness() == "ready"

    def readiness(self) -> str:
        """``ready``, the code of the problem that says why not, or nothing where nobody answers."""
        try:
            answer = requests.get(f"{self.url}/readyz", timeout=5)
        except requests.RequestException:
            return ""
        return "ready" if answer.ok else str(answer.json()["code"])

    def ready(self) -> Beside:
        """Wait until it takes work."""
        until(self.is_ready, f"the service is ready; its logs are in {self._folder}")
        return self

    # What it says over HTTP.

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        answer = requests.get(self.url + path, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def begin(self, workflow: str, id: str, input: object = None) -> None:
        """Start a run."""
        answer = requests.post(f"{self.url}/v1/workflows/{workflow}/runs", json={"id": id, "input": input}, timeout=30)
        assert answer.status_code == 201, answer.text

    def result(self, id: str) -> Any:  # noqa: ANN401 - JSON
        """Wait for the end of a run, and give what came of it."""
        found: dict[str, Any] = {}

        def has_ended() -> bool:
            with suppress(requests.RequestException):  # it may be on its way to start again
                answer = self._session.get(f"{self.url}/v1/runs/{id}", timeout=30)
                found.update(answer.json() if answer.ok else {})
            return bool(found.get("finished_at"))

        until(has_ended, f"run {id} has ended")
        assert found["status"] == "completed", found
        return found["result"]

    def dead_letters(self) -> Iterator[dict[str, Any]]:
        """Give all dead letters, the newest first."""
        cursor = ""
        while True:
            page = self.get(f"/v1/dead-letters?limit=1000{cursor}")
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            cursor = f"&cursor={page['next_cursor']}"

    def held(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/v1/held-messages?limit=1000")["items"]
        return found
