"""`make run-dapr`: a workflow from its start to its end, and nothing left behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import yaml

from tests.conftest import require
from tests.deployment.manifests import documents
from tests.integration.processes import free_port, until
from tests.integration.sidecar import ROOT, program

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

PROGRAMS = ["redis", "placement", "scheduler", "daprd", "holdfast"]
TRIP = {"traveller": "T-1", "city": "Lisbon", "flight": "HF 417", "nights": 3}


class Checkout:
    """A folder of links to this one, so that it has a `var` of its own; everything listens on ports of its own."""

    def __init__(self, folder: Path, sidecar_port: int | None = None) -> None:
        require(shutil.which("redis-server"), "redis-server (Debian: redis-server)")
        self.folder = folder
        for entry in ROOT.iterdir():
            if entry.name not in {"var", ".venv", "dapr.yaml"}:
                (folder / entry.name).symlink_to(entry)
        shutil.copy(ROOT / "dapr.yaml", folder)
        (folder / ".venv").symlink_to(sys.prefix)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.sidecar_port = sidecar_port or free_port()
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "REDIS_URL"},
            "HOLDFAST_ADDRESS": self.url.removeprefix("http://"),
            "DAPR_HTTP_PORT": str(self.sidecar_port),
            "DAPR_GRPC_PORT": str(free_port()),
            "PYTHONPATH": str(ROOT),
            **{name.upper(): program(name) for name in ("daprd", "placement", "scheduler")},
        }
        self._out = folder / "out"

    def run(self) -> None:
        """Type `make run-dapr`, and wait until all of it serves."""
        with self._out.open("wb") as out:
            command = [sys.executable, "-m", "tools.run_dapr"]
            self.process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=out, stderr=out)
        until(lambda: "Ctrl-C" in self.out or self.process.poll() is not None, "all of it serves")
        assert self.process.poll() is None, self.out

    @property
    def out(self) -> str:
        return self._out.read_text(encoding="utf-8")

    @property
    def pids(self) -> dict[str, int]:
        """The process of each program that is up."""
        found = re.findall(r"^(\w+) is up on \S+ \(pid (\d+), log (\S+)\)$", self.out, re.MULTILINE)
        assert all((self.folder / log).exists() for _, _, log in found)
        return {name: int(pid) for name, pid, _ in found}

    def post(self, path: str, body: object) -> requests.Response:
        return requests.post(f"{self.url}/v1/{path}", json=body, timeout=30)

    def has_ended(self, run: str) -> bool:
        return bool(requests.get(f"{self.url}/v1/runs/{run}", timeout=30).json()["finished_at"])

    def ledger(self) -> list[str]:
        file = self.folder / "var" / "ledger.jsonl"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return [json.loads(line)["did"] for line in lines]

    def publish_answer(self) -> None:
        """Let another service say on the topic of signals that the flight is confirmed."""
        event = {
            "specversion": "1.0",
            "id": "answer-1",
            "source": "/airline",
            "type": "flight.confirmed",
            "workflowid": "trip-1",
            "signalname": "flight_confirmed",
            "data": {"seat": "14C"},
        }
        requests.post(
            f"http://127.0.0.1:{self.sidecar_port}/v1.0/publish/pubsub/workflow-signals",
            data=json.dumps(event),
            headers={"Content-Type": "application/cloudevents+json"},
            timeout=30,
        ).raise_for_status()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run it for a while."""
        self.run()
        try:
            yield
        finally:
            if self.process.poll() is None:
                self.process.terminate()
                self.process.wait(60)


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    checkout = Checkout(tmp_path)
    with checkout.running():
        yield checkout


def still_there(pids: dict[str, int]) -> list[str]:
    return [name for name, pid in pids.items() if Path(f"/proc/{pid}").exists()]


def test_a_workflow_goes_from_start_to_end_and_ctrl_c_leaves_nothing_behind(checkout: Checkout) -> None:
    pids = checkout.pids
    assert list(pids) == PROGRAMS
    assert f"holdfast is up on {checkout.url} " in checkout.out
    assert checkout.post("workflows/trip_booking/runs", {"id": "trip-1", "input": TRIP}).status_code == 201
    until(lambda: len(checkout.ledger()) == 3, "car, hotel and flight are reserved")

    assert checkout.post("runs/trip-1/signals/flight_confirmed", {"seat": "14C"}).status_code == 202

    until(lambda: checkout.has_ended("trip-1"), "the trip is booked")
    assert requests.get(f"{checkout.url}/v1/runs/trip-1", timeout=30).json()["result"]["seat"] == "14C"
    checkout.process.send_signal(signal.SIGINT)
    assert checkout.process.wait(60) == 0
    assert still_there(pids) == []
    assert "ending holdfast daprd scheduler placement redis" in checkout.out


def test_runs_are_there_again_the_next_time(checkout: Checkout) -> None:
    assert checkout.post("workflows/trip_booking/runs", {"id": "trip-1", "input": TRIP}).status_code == 201
    until(lambda: len(checkout.ledger()) == 3, "car, hotel and flight are reserved")
    checkout.process.send_signal(signal.SIGTERM)
    assert checkout.process.wait(60) == 0

    checkout.run()

    checkout.publish_answer()
    until(lambda: checkout.has_ended("trip-1"), "the trip is booked")
    assert len(checkout.ledger()) == 3


def test_topics_may_be_declared_instead(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    (run,) = documents(tmp_path / "dapr.yaml")
    run["common"]["resourcesPaths"].append("dapr/subscriptions")
    run["apps"][0]["env"]["HOLDFAST_SUBSCRIBE"] = "declarative"
    (tmp_path / "dapr.yaml").write_text(yaml.safe_dump(run), encoding="utf-8")
    with checkout.running():
        assert checkout.post("workflows/trip_booking/runs", {"id": "trip-1", "input": TRIP}).status_code == 201

        checkout.publish_answer()

        until(lambda: checkout.has_ended("trip-1"), "the trip is booked")


def test_the_doctor_finds_nothing_wrong_and_the_sidecar_brings_messages_again(checkout: Checkout) -> None:
    def look() -> dict[str, str]:
        command = [sys.executable, "-c", "from app.cli import main; main()", "doctor", "-o", "json"]
        command += ["--address", checkout.url]
        found = subprocess.run(command, env=checkout.environment, capture_output=True, text=True, check=False).stdout
        return {item["check"]: item["verdict"] for item in json.loads(found)["items"]}

    until(lambda: set(look().values()) == {"ok"}, f"all is well, and not {look()}")

    assert "redelivery" in look()


@pytest.mark.parametrize("name", ["daprd", "holdfast"])
def test_where_one_of_them_dies_all_end_and_its_last_words_are_shown(checkout: Checkout, name: str) -> None:
    pids = checkout.pids

    os.kill(pids[name], signal.SIGKILL)

    assert checkout.process.wait(60) == 1
    assert f"{name} ended with status -9; the end of var/dapr/{name}.log:\n  " in checkout.out
    assert still_there(pids) == []


def listeners(pid: int) -> list[str]:
    """The addresses that a process listens on, as the kernel writes them: this machine's own is 0100007F."""
    inodes = {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    tables = [Path(f"/proc/{pid}/net/{kind}").read_text(encoding="ascii") for kind in ("tcp", "tcp6")]
    sockets = [line.split() for table in tables for line in table.splitlines()]
    return [fields[1] for fields in sockets if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes]


def test_nothing_but_two_health_ports_can_be_reached_from_other_machines(checkout: Checkout) -> None:
    here = "0100007F:"

    open_to_others = {
        name: [address for address in listeners(pid) if not address.startswith(here)]
        for name, pid in checkout.pids.items()
    }

    assert {name: len(addresses) for name, addresses in open_to_others.items()} == {
        "redis": 0,
        "placement": 1,  # for health: up to Dapr 1.18 no option restricts it
        "scheduler": 1,  # same
        "daprd": 0,
        "holdfast": 0,
    }


def test_a_port_that_is_taken_is_named(checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> None:
    second = Checkout(tmp_path_factory.mktemp("second"), sidecar_port=checkout.sidecar_port)

    with pytest.raises(AssertionError, match=f"daprd cannot start: something serves on .*:{checkout.sidecar_port} "):
        second.run()

    assert second.process.wait(60) == 1
