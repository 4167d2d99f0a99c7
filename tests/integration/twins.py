"""Two services on one store by mistake: what they do, and what has to come of it, whatever the store."""

from __future__ import annotations

import json
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.server import FENCED_STATUS
from tests.chaos.customers import Customers
from tests.chaos.verdict import check
from tests.integration.processes import free_port, is_halted, listens
from tests.service.kit import Process, answers, until

PATIENCE = 10.0
"""For how long an owner has to show no sign before a newcomer takes its runs."""
QUEUED = 5
TOLD = 10
CUSTOMERS = 20
LOAD = 300

Serve = Callable[..., Process]
"""Starts a service of a name, with settings, on the one store that all share."""


class Ledger:
    """Which process began which attempt, in the order in which they did."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]

    def check(self) -> None:
        """No attempt was ever begun twice, by whomever."""
        begun = Counter((line["key"], line["attempt"]) for line in self.lines)
        assert {attempt: times for attempt, times in begun.items() if times > 1} == {}

    def begun_by(self, name: str, *, since: int) -> list[str]:
        """The runs of which a process began an attempt after so many lines."""
        return [line["run"] for line in self.lines[since:] if line["by"] == name]


@contextmanager
def services(folder: Path, ledger: Ledger, store: Callable[[], Mapping[str, str]]) -> Iterator[Serve]:
    """Start services of a name as they are asked for, and end all of them afterwards.

    Args:
        folder: Takes a folder for each.
        ledger: Which all of them write.
        store: Makes the settings of their store, anew for each.
    """
    started: list[Process] = []

    def start(name: str, **settings: str) -> Process:
        defaults = {
            **store(),
            "instance": name,
            "address": f"127.0.0.1:{free_port()}",
            "workflows": "tests.integration.shared_flows",
            "chaos_ledger": str(ledger.path),
            "drain": "2s",
        }
        process = Process(folder / f"{name}-{len(started)}", **{**defaults, **settings})
        started.append(process)
        return process

    try:
        yield start
    finally:
        for process in started:
            process.stop()


@contextmanager
def halted(process: Process) -> Iterator[None]:
    """Stop all threads of a service, and let them go on afterwards."""
    process.send(signal.SIGSTOP)
    until(lambda: is_halted(process.pid))
    yield
    process.send(signal.SIGCONT)


def begin(service: Process, workflow: str, id: str, input: object) -> None:
    answer = service.request("POST", f"/v1/workflows/{workflow}/runs", json={"id": id, "input": input})
    assert answer.status_code == 201, answer.text


def tell(service: Process, id: str, number: int) -> None:
    answer = service.request("POST", f"/v1/runs/{id}/signals/next", json=number, headers={"Idempotency-Key": id})
    assert answer.status_code == 202, answer.text


def ended(service: Process, id: str) -> dict[str, Any]:
    """Wait until a run has ended, check its history, and give it."""

    def look() -> dict[str, Any] | None:
        run: dict[str, Any] = service.request("GET", f"/v1/runs/{id}").json()
        return run if run["finished_at"] else None

    run = until(look, 60)
    assert run is not None
    assert run["status"] == "completed", run
    events = service.request("GET", f"/v1/runs/{id}/history").json()["events"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    started, completed = (
        Counter(event["id"] for event in events if event["type"] == f"activity_{what}")
        for what in ("started", "completed")
    )
    assert started == completed
    assert set(completed.values()) == {1}
    return run


def port_of(process: Process) -> int:
    """The port that a service was told to listen on, whether it does or not."""
    return int(process.settings["address"].rpartition(":")[2])


def says(process: Process, words: str) -> bool:
    return any(words in line["message"] for line in process.logs)


def begin_all(owner: Process, gate: Path) -> None:
    """Begin runs that wait in every way: for a signal, a time, an attempt on a thread, a place on it."""
    for number in range(TOLD):
        begin(owner, "told", f"told-{number}", number)
        begin(owner, "asleep", f"asleep-{number}", PATIENCE / 2)
    for number in range(QUEUED):
        begin(owner, "holding", f"holding-{number}", str(gate))


def tell_all(service: Process, numbers: range) -> None:
    for number in numbers:
        tell(service, f"told-{number}", number + 100)


def check_all(service: Process) -> None:
    for number in range(TOLD):
        assert ended(service, f"told-{number}")["result"] == [number, number + 100]
        assert ended(service, f"asleep-{number}")["result"] == 1
    for number in range(QUEUED):
        assert ended(service, f"holding-{number}")["result"]["step"] == 2


def check_waiting(newcomer: Process, owner: str) -> None:
    """Wait until a service has said what it waits for, and see that it serves nobody."""
    until(lambda: says(newcomer, f"partition 0 is owned by {owner!r}: waiting for it to end"))
    until(lambda: says(newcomer, "still waiting for the store"))
    assert not says(newcomer, "the engine is open")
    assert not listens(port_of(newcomer))


def check_fenced(service: Process) -> None:
    assert service.exit_status() == FENCED_STATUS
    assert says(service, "was taken over by another process: this one stops")


def check_newcomer(serve: Serve, ledger: Ledger, gate: Path) -> None:
    """A newcomer waits, and an owner that was stopped past its lease is fenced out."""
    owner = serve("owner", activity_threads="1").ready()
    begin_all(owner, gate)
    until(lambda: len(ledger.lines) == TOLD + 1)  # the first steps of those that are told, and the one thread is held
    newcomer = serve("newcomer", activity_threads="1")
    check_waiting(newcomer, "owner")
    assert answers(f"{owner.url}/readyz")

    with halted(owner):
        newcomer.ready(PATIENCE + 50)
        taken = len(ledger.lines)
        gate.touch()
        tell_all(newcomer, range(0, TOLD, 2))
        for number in range(QUEUED):
            ended(newcomer, f"holding-{number}")
    check_fenced(owner)
    again = serve("owner")
    check_waiting(again, "newcomer")

    tell_all(newcomer, range(1, TOLD, 2))
    check_all(newcomer)
    newcomer.send(signal.SIGTERM)
    assert newcomer.exit_status() == 0
    check_all(again.ready())
    assert ledger.begun_by("owner", since=taken) == []
    ledger.check()


def check_replacement(serve: Serve, ledger: Ledger) -> None:
    """Nothing is lost or done twice when an owner is replaced under load."""
    settings = {"workflows": "tests.chaos.flows", "activity_threads": "1"}
    owner = serve("owner", **settings).ready()
    url = owner.url
    customers = Customers(lambda: url, random.Random(11), CUSTOMERS)
    customers.start()
    until(lambda: len(ledger.lines) > LOAD)
    newcomer = serve("newcomer", **settings)
    until(lambda: says(newcomer, "partition 0 is owned by 'owner': waiting for it to end"))

    with halted(owner):
        newcomer.ready(PATIENCE + 50)
        taken, url = len(ledger.lines), newcomer.url
        until(lambda: len(ledger.lines) > taken + LOAD, 60)

    check_fenced(owner)
    done = len(ledger.lines)
    until(lambda: len(ledger.lines) > done + LOAD, 60)
    customers.finish()
    report = check(newcomer.url, customers, ledger.path)
    assert report["runs"] > CUSTOMERS
    # Of what had begun when it was stopped, one on the loop and one on its thread may not have got to the ledger yet.
    assert len(ledger.begun_by("owner", since=taken)) <= 2
    ledger.check()
    print(report)  # noqa: T201 - the figures
