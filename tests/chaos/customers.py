"""Customers of a service that keeps being killed: they ask until they are answered, and remember what was promised."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.chaos.asking import SECONDS, Asking, RefusedError


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
        self._chance = chance
        self._number = 0
        self._lock = threading.Lock()
        self._asking = [Asking(url) for _ in range(at_a_time)]
        self._threads = [threading.Thread(target=self._serve, args=[each], daemon=True) for each in self._asking]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Let each customer end with the run it is on."""
        self.running = False
        for thread in self._threads:
            thread.join(timeout=SECONDS)
            assert not thread.is_alive(), "a customer waits for ever"

    def first_promise_since(self, moment: float) -> float | None:
        """When the first request was acknowledged that was sent after a moment; None if none was yet."""
        since = (done for each in self._asking for sent, done in tuple(each.promises) if sent > moment)
        return min(since, default=None)

    def _serve(self, asking: Asking) -> None:
        while self.running:
            with self._lock:
                self._number += 1
                number = self._number
                promise = self.promises[f"account-{number}"] = Promise()
            try:
                self._one_run(asking, number, promise)
            except RefusedError as error:
                self.refusals.append(str(error))

    def _one_run(self, asking: Asking, number: int, promise: Promise) -> None:
        """Start a run, send its signals in any order and more than once, and see it end."""
        workflow_id = f"account-{number}"
        asking.start("account", workflow_id, number)
        promise.started = True
        names = ["left", "right", "left", "right"]
        self._chance.shuffle(names)
        for name in names:
            asking.signal(workflow_id, name, {"from": number})
            promise.signals.add(name)
        asking.end_of(workflow_id)
