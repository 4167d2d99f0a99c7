"""A publisher as a process of its own: ``python -m tests.integration.load PLAN``, with the plan as JSON.

It publishes numbered signals in bulk, with duplicates and malformed ones among them, sends again under the same ids
whatever it got no good answer for, and starts the runs that the signals are for. It ends after so many generations of
runs, or with its input, and says then how much it has sent. What each number is follows from the seed alone, so that
who knows the plan knows what has to come of it.
"""

from __future__ import annotations

import json
import queue
import random
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import requests

from tests.integration.pubsub import Publisher, bulk_entry, signal_event

DUPLICATE = 0.05
MALFORMED = 0.01
BATCH = 100
STARTERS = 8


@dataclass(frozen=True, slots=True)
class Plan:
    """What to publish.

    Attributes:
        http_port: Of the sidecar to publish through.
        service: Where runs are started.
        workflow: Of the runs.
        seed: Of the duplicates and the malformed ones.
        runs: How many there are in a generation.
        signals: For each run.
        generations: How many there are; 0 for as many as there is time for.
        rate: Signals in a second; 0 for as many as can be.
    """

    http_port: int
    service: str
    workflow: str
    seed: int
    runs: int
    signals: int
    generations: int = 0
    rate: int = 0

    @property
    def size(self) -> int:
        """How many numbers a generation has."""
        return self.runs * self.signals

    def chance(self, number: int) -> random.Random:
        return random.Random(f"{self.seed}/{number}")

    def is_malformed(self, number: int) -> bool:
        return self.chance(number).random() < MALFORMED

    def is_doubled(self, number: int) -> bool:
        return MALFORMED <= self.chance(number).random() < MALFORMED + DUPLICATE

    def run_of(self, number: int) -> str:
        return f"run-{number // self.size}-{number % self.runs}"

    def expected(self, generation: int) -> dict[str, list[int]]:
        """Which numbers each run of a generation has to receive."""
        found: dict[str, list[int]] = {f"run-{generation}-{run}": [] for run in range(self.runs)}
        for number in range(generation * self.size, (generation + 1) * self.size):
            if not self.is_malformed(number):
                found[self.run_of(number)].append(number)
        return found

    def messages(self, number: int) -> list[tuple[object, str]]:
        """What to publish for a number, each with its content type."""
        data = {"number": number, "sent": time.time()}
        event = signal_event(self.run_of(number), f"signal-{number}", data)
        if not self.is_malformed(number):
            return [(event, "application/cloudevents+json")] * (2 if self.is_doubled(number) else 1)
        kind = MALFORMATIONS[number % len(MALFORMATIONS)]
        if kind is None:
            return [(f"signal-{number} is no signal", "text/plain")]
        changed = {**event, **kind}
        return [({name: value for name, value in changed.items() if value != ""}, "application/cloudevents+json")]


MALFORMATIONS: tuple[dict[str, Any] | None, ...] = (
    {"workflowid": ""},
    {"workflowid": "no id!"},
    {"signalname": 7},
    {"sequence": "first"},
    {"workflowid": "x" * 200},
    {"data": "no object", "signalname": ""},
    None,
)
"""What is wrong with the malformed ones; nothing is left of what is empty, and None is a text that is no event."""


class Load:
    """Carries out a plan.

    Attributes:
        sent: How many numbers were published.
        messages: How many messages those were, duplicates included.
        resends: How many batches were sent again because of an error.
    """

    def __init__(self, plan: Plan) -> None:
        self.sent = self.messages = self.resends = 0
        self._plan = plan
        self._publisher = Publisher(plan.http_port)
        self._to_start: queue.Queue[int | None] = queue.Queue()
        self._starter = threading.Thread(target=self._start_runs)
        self._began = time.monotonic()

    def run(self, stop: threading.Event) -> None:
        """Publish, generation by generation."""
        self._starter.start()
        generation = 0
        while not (stop.is_set() if self._plan.generations == 0 else generation == self._plan.generations):
            self._to_start.put(generation)
            for numbers in self._batches(generation):
                self._publish(numbers)
            generation += 1
        self._to_start.put(None)
        self._starter.join()

    def _batches(self, generation: int) -> Iterator[range]:
        """Give numbers when it is time for them."""
        number, end = generation * self._plan.size, (generation + 1) * self._plan.size
        while number < end:
            due = end
            if self._plan.rate:
                time.sleep(0.02)  # the pace of the publisher
                due = int((time.monotonic() - self._began) * self._plan.rate)
            last = min(end, number + BATCH, due)
            if last > number:
                yield range(number, last)
                number = last

    def _publish(self, numbers: range) -> None:
        contents = [message for number in numbers for message in self._plan.messages(number)]
        entries = []
        for place, (content, type_) in enumerate(contents):
            metadata = {"cloudevent.id": content.split()[0]} if isinstance(content, str) else {}
            entries.append(bulk_entry(place, content, type_, **metadata))
        while True:
            try:
                self._publisher.publish_entries(entries)
                break
            except requests.RequestException:
                self.resends += 1
                time.sleep(0.1)  # what it publishes to is away: again
        self.sent += len(numbers)
        self.messages += len(entries)

    def _start_runs(self) -> None:
        with ThreadPoolExecutor(STARTERS) as starters:
            while (generation := self._to_start.get()) is not None:
                expected = self._plan.expected(generation)
                list(starters.map(self._start, expected, map(len, expected.values())))

    def _start(self, run: str, expected: int) -> None:
        url = f"{self._plan.service}/v1/workflows/{self._plan.workflow}/runs"
        while True:
            with suppress(requests.RequestException):
                answer = requests.post(
                    url, json={"id": run, "input": expected}, headers={"Idempotency-Key": run}, timeout=15
                )
                if answer.ok:
                    return
                if answer.status_code != 503:
                    raise AssertionError(answer.text)
            time.sleep(0.1)  # the service is away: again


def main() -> None:
    plan, stop = Plan(**json.loads(sys.argv[1])), threading.Event()

    def await_end() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=await_end, daemon=True).start()
    load = Load(plan)
    load.run(stop)
    print(json.dumps({"sent": load.sent, "messages": load.messages, "resends": load.resends}))  # noqa: T201 - the answer


def arguments(plan: Plan) -> str:
    """Write a plan for the command line."""
    return json.dumps(asdict(plan))


if __name__ == "__main__":
    main()
