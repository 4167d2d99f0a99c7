"""Asking a service that may be dead: again and again, until there is an answer from one that is there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import requests

__all__ = ["SECONDS", "Asking", "RefusedError"]

SECONDS = 180.0
"""For how long an answer is awaited: a busy machine is no failure."""
_AWAY = 503
_LOOK_SECONDS = 0.05
_AWAY_SECONDS = 0.1
"""Fifty who ask more often take the processor from the process that they wait for."""


class RefusedError(Exception):
    """An answer that nobody should get, or none at all."""


class Asking:
    """Someone who talks to the service, wherever it is now.

    Attributes:
        promises: When each request was sent that has changed something, and when that was acknowledged.
    """

    def __init__(self, url: Callable[[], str]) -> None:
        self.promises: list[tuple[float, float]] = []
        self._url = url
        self._session = requests.Session()

    def ask(self, method: str, path: str, key: str = "", body: object = None) -> dict[str, Any]:
        """Ask until there is an answer.

        Raises:
            RefusedError: It is not one to be had.
        """
        headers = {"Idempotency-Key": key} if key else {}
        due = time.monotonic() + SECONDS
        while time.monotonic() < due:
            sent = time.monotonic()
            try:
                answer = self._session.request(method, self._url() + path, headers=headers, json=body, timeout=10)
            except requests.RequestException:
                time.sleep(_AWAY_SECONDS)  # it is dead: ask again
                continue
            if answer.ok:
                if method == "POST":
                    self.promises.append((sent, time.monotonic()))
                found: dict[str, Any] = answer.json()
                return found
            if answer.status_code != _AWAY:
                raise RefusedError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
            time.sleep(_AWAY_SECONDS)
        raise RefusedError(f"{method} {path}: no answer")

    def start(self, workflow: str, workflow_id: str, input: object) -> None:
        """Start a run; the same again is the same run."""
        body = {"id": workflow_id, "input": input}
        self.ask("POST", f"/v1/workflows/{workflow}/runs", f"start-{workflow_id}", body)

    def signal(self, workflow_id: str, name: str, value: object) -> None:
        """Send a signal; the same again is the same signal."""
        self.ask("POST", f"/v1/runs/{workflow_id}/signals/{name}", f"{name}-{workflow_id}", value)

    def end_of(self, workflow_id: str) -> dict[str, Any]:
        """Wait until a run has ended, and give it."""
        due = time.monotonic() + SECONDS
        while time.monotonic() < due:
            run = self.ask("GET", f"/v1/runs/{workflow_id}")
            if run["status"] not in ("running", "paused"):
                return run
            time.sleep(_LOOK_SECONDS)  # a customer looks now and then
        raise RefusedError(f"{workflow_id} does not end")
