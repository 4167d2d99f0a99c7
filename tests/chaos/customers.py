"""Customers of a service that keeps being killed: they ask until they are answered, and remember what was promised."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests

SECONDS = 120.0


@dataclass(slots=True)
class Promise:
    """What the service has acknowledged of one run."""

    started: bool = False
    signals: set[str] = field(default_factory=set)


class Customers:
    """Keep some runs going at a time, until told to finish.

    Attributes:
        promises: What was acknowledged, by workflow id.
        refusals: Answers that nobody should get.
    """

    def __init__(self, url: Callable[[], str], chance: random.Random, at_a_time: int) -> None:
        self.promises: dict[str, Promise] = {}
        self.refusals: list[str] = []
        self.running = True
        self._url = url
        self._chance = chance
        self._number = 0
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(at_a_time)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Let each customer end with the run it is on."""
        self.running = False
        for thread in self._threads:
            thread.join(timeout=SECONDS)
            assert not thread.is_alive(), "a customer waits for ever"

    def _serve(self) -> None:
        session = requests.Session()
        while self.running:
            with self._lock:
                self._number += 1
                number = self._number
                promise = self.promises[f"account-{number}"] = Promise()
            self._one_run(session, number, promise)

    def _one_run(self, session: requests.Session, number: int, promise: Promise) -> None:
        """Start a run, send its signals in any order and more than once, and see it end."""
        workflow_id = f"account-{number}"
        body = {"id": workflow_id, "input": number}
        self._ask(session, "POST", "/v1/workflows/account/runs", f"start-{number}", body)
        promise.started = True
        names = ["left", "right", "left", "right"]
        self._chance.shuffle(names)
        for name in names:
            path = f"/v1/runs/{workflow_id}/signals/{name}"
            self._ask(session, "POST", path, f"{name}-{number}", {"from": number})
            promise.signals.add(name)
        self._until_ended(session, workflow_id)

    def _until_ended(self, session: requests.Session, workflow_id: str) -> None:
        due = time.monotonic() + SECONDS
        while time.monotonic() < due:
            run = self._ask(session, "GET", f"/v1/runs/{workflow_id}")
            if run["status"] not in ("running", "paused"):
                return
            time.sleep(0.05)  # a customer looks now and then
        self.refusals.append(f"{workflow_id} does not end")

    def _ask(
        self, session: requests.Session, method: str, path: str, key: str = "", body: object = None
    ) -> dict[str, Any]:
        """Ask until there is an answer from a service that is there."""
        headers = {"Idempotency-Key": key} if key else {}
        due = time.monotonic() + SECONDS
        while time.monotonic() < due:
            try:
                answer = session.request(method, self._url() + path, headers=headers, json=body, timeout=10)
            except requests.RequestException:
                time.sleep(0.02)  # it is dead: ask again
                continue
            if answer.ok:
                found: dict[str, Any] = answer.json()
                return found
            if answer.status_code != 503:
                self.refusals.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
                break
            time.sleep(0.02)
        self.refusals.append(f"{method} {path}: no answer")
        return {"status": "unknown"}
