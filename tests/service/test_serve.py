"""`holdfast serve` as a process: it starts, survives being killed, ends in order, and says in one sentence why not."""

import os
import signal
import socket
import sqlite3
import sys
import threading
from pathlib import Path

import pytest
import requests

from tests.service.kit import Process, answers, process, until

pytestmark = pytest.mark.slow

ORDER = "/v1/workflows/order/runs"


def refuses(running: Process, *words: str) -> None:
    """Check that a process ends by itself, soon, with one sentence and no traceback."""
    assert running.exit_status(30) == 1
    lines = running.err.splitlines()
    assert len(lines) == 1, running.err
    assert lines[0].startswith("holdfast: cannot start: ")
    for word in words:
        assert word in lines[0]
    assert "Traceback" not in running.out


def test_runs_outlive_a_process_that_is_killed(tmp_path: Path) -> None:
    with process(tmp_path) as first:
        first.ready()
        started = first.request("POST", ORDER, json={"id": "order-1", "input": {"sku": "A1"}})
        assert started.status_code == 201
        first.request("POST", "/v1/workflows/quick/runs?wait=10s", json={"id": "quick-1"})
        first.request("POST", "/v1/runs/order-1/signals/note", json=1, headers={"Idempotency-Key": "note-1"})
        before = first.request("GET", "/v1/runs/order-1/history").json()["events"]
        first.send(signal.SIGKILL)
        assert first.exit_status() == -signal.SIGKILL

    with process(tmp_path) as second:
        second.ready()
        assert second.request("GET", "/v1/runs/quick-1").json()["result"] == 42
        again = second.request("POST", "/v1/runs/order-1/signals/note", json=1, headers={"Idempotency-Key": "note-1"})
        assert again.status_code == 202
        run = second.request("GET", "/v1/runs/order-1").json()
        assert run["run_id"] == started.json()["run_id"]
        until(lambda: "signal 'approval'" in second.request("GET", "/v1/runs/order-1").text)
        after = second.request("GET", "/v1/runs/order-1/history").json()["events"]
        assert after[: len(before)] == before
        assert [event["type"] for event in after].count("signal_received") == 1
        second.request("POST", "/v1/runs/order-1/signals/approval", json="yes")
        end = until(lambda: second.request("GET", "/v1/runs/order-1").json()["result"])
        assert end == {"cents": 100, "approval": "yes"}


def test_a_terminated_process_ends_streams_and_waits_lets_activities_end_and_exits_well(tmp_path: Path) -> None:
    with process(tmp_path, drain="20s") as running:
        running.ready()
        running.request("POST", "/v1/workflows/naps/runs", json={"id": "naps-1"})
        running.request("POST", "/v1/workflows/works/runs", json={"id": "works-1", "input": 1.0})
        until(lambda: "slow" in running.request("GET", "/v1/runs/works-1").text)
        waited: list[int] = []
        streamed: list[bytes] = []

        def wait() -> None:
            waited.append(running.request("POST", "/v1/workflows/naps/runs?wait=50s").status_code)

        def follow() -> None:
            with running.request("GET", "/v1/runs/naps-1/events", stream=True) as response:
                for line in response.iter_lines():
                    streamed.append(line)  # noqa: PERF402 - seen while it goes on

        threads = [threading.Thread(target=wait), threading.Thread(target=follow)]
        for thread in threads:
            thread.start()
        until(lambda: len(running.request("GET", "/v1/runs?workflow=naps").json()["items"]) == 2)
        until(lambda: b"id: 2" in streamed)

        running.send(signal.SIGTERM)

        assert running.exit_status() == 0
        for thread in threads:
            thread.join(10)
        assert waited == [201]
        assert running.err == ""
        assert [line for line in running.logs if line["level"] not in {"info", "warning"}] == []

    with process(tmp_path) as again:
        again.ready()
        run = again.request("GET", "/v1/runs/works-1").json()
        assert (run["status"], run["result"]) == ("completed", "done")
        types = [event["type"] for event in again.request("GET", "/v1/runs/works-1/history").json()["events"]]
        assert types.count("activity_completed") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_an_interrupt_ends_it_as_orderly(tmp_path: Path, number: signal.Signals) -> None:
    with process(tmp_path) as running:
        running.ready()
        running.send(number)

        assert running.exit_status() == 0
        assert any(line["message"] == "shutting down" for line in running.logs)


def test_a_second_interrupt_ends_it_at_once(tmp_path: Path) -> None:
    with process(tmp_path, drain="60s") as running:
        running.ready()
        running.request("POST", "/v1/workflows/works/runs", json={"input": 60.0})
        running.send(signal.SIGINT)
        until(lambda: "shutting down" in running.out)
        running.send(signal.SIGINT)

        assert running.exit_status(10) == 130


def test_a_file_that_is_no_store_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "runs.db").write_bytes(b"these are my notes, not a database\n" * 50)
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("create table mine (x)")
    connection.close()
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.db")}

    with process(tmp_path) as running:
        refuses(running, "runs.db is not an SQLite file")
    with process(tmp_path, store="sqlite:///other.db") as running:
        refuses(running, "other.db is an SQLite file of another application")

    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.db*")} == before


def test_a_store_in_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with process(tmp_path, store="sqlite:///nowhere/runs.db") as running:
        refuses(running, "the folder nowhere does not exist")


def test_a_second_process_on_the_same_file_waits_and_then_refuses_with_its_port_closed(tmp_path: Path) -> None:
    with process(tmp_path) as first, socket.create_server(("127.0.0.1", 0)) as free:
        first.ready()
        port = free.getsockname()[1]
        free.close()

        with process(tmp_path, address=f"127.0.0.1:{port}", store_wait="1s") as second:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))
            refuses(second, "another process has runs.db open")
        assert answers(f"{first.url}/readyz")


def test_a_second_process_takes_over_once_the_first_ends(tmp_path: Path) -> None:
    with process(tmp_path) as first:
        first.ready()
        first.request("POST", ORDER, json={"id": "order-1", "input": {"sku": "A1"}})
        with process(tmp_path, store_wait="60s") as second:
            until(lambda: "still waiting" in second.out)
            first.send(signal.SIGTERM)
            assert first.exit_status() == 0
            second.ready()
            assert second.request("GET", "/v1/runs/order-1").json()["status"] == "running"


def test_a_process_told_to_end_while_it_waits_for_the_store_ends_at_once(tmp_path: Path) -> None:
    with process(tmp_path) as first:
        first.ready()
        with process(tmp_path, store_wait="60s") as second:
            until(lambda: "still waiting" in second.out)
            second.send(signal.SIGTERM)
            assert second.exit_status(10) == 0
            assert "Traceback" not in second.err


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with process(tmp_path, address=f"127.0.0.1:{port}") as running:
            refuses(running, f"cannot listen on 127.0.0.1:{port}: Address already in use")

    assert not (tmp_path / "runs.db").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"workflows": "nowhere"}, "module 'nowhere' cannot be imported"),
        ({"workflows": "json"}, "module 'json' has no workflows"),
        ({"store": "redis://x"}, "HOLDFAST_STORE"),
        ({"address": "0.0.0.0:0"}, "a token is needed"),
        ({"threads": "none"}, "HOLDFAST_THREADS"),
        ({"address": "192.0.2.1:0", "token": "a-token"}, "cannot listen on 192.0.2.1:0"),
    ],
)
def test_settings_that_cannot_work_are_refused(tmp_path: Path, settings: dict[str, str], words: str) -> None:
    with process(tmp_path, **settings) as running:
        refuses(running, words)


def test_a_misspelt_setting_is_mentioned_and_nothing_else_happens(tmp_path: Path) -> None:
    with process(tmp_path, workflow="a") as running:
        running.ready()

        assert running.err == "holdfast: HOLDFAST_WORKFLOW is not a setting; did you mean HOLDFAST_WORKFLOWS?\n"


def test_a_token_guards_a_process_that_others_can_reach(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-token\n", encoding="utf-8")

    with process(tmp_path, address="0.0.0.0:0", token_file="token") as running:
        running.ready()
        assert running.request("GET", "/v1/runs").status_code == 401
        assert running.request("GET", "/metrics").status_code == 401
        assert running.request("GET", "/v1/runs", headers={"Authorization": "Bearer a-token"}).status_code == 200
        assert "a-token" not in running.out + running.err


def test_its_parent_may_leave(tmp_path: Path) -> None:
    script = (
        "import os, sys; os.fork() and os._exit(0); from app.cli import main; sys.argv = ['holdfast', 'serve']; main()"
    )
    with process(tmp_path, sys.executable, "-c", script) as running:
        assert running.exit_status() == 0
        until(lambda: "listening" in running.out)
        url = str(running.logs[-1]["message"]).removeprefix("listening on ")
        try:
            until(lambda: answers(f"{url}/readyz"))
            ids = requests.post(f"{url}/v1/workflows/quick/runs?wait=10s", timeout=20).json()
            assert ids["result"] == 42
        finally:
            holder = until(lambda: _holder_of(tmp_path / "runs.db"))
            os.kill(holder, signal.SIGTERM)
            until(lambda: not answers_at_all(url))


def _holder_of(path: Path) -> int:
    """Find the process that has a file open."""
    for entry in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if entry.resolve() == path.resolve():
                return int(entry.parts[2])
        except OSError:
            continue
    return 0


def answers_at_all(url: str) -> bool:
    try:
        requests.get(url, timeout=5)
    except requests.ConnectionError:
        return False
    return True


USURPED = """
import sys, threading, time, pathlib
import app.bootstrap
from holdfast import EngineThread
from holdfast.stores import MemoryStore

store = MemoryStore()
app.bootstrap.make_store = lambda _settings: store

def usurp():
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
    EngineThread(store, instance="twin").open()
    time.sleep(60)

threading.Thread(target=usurp, daemon=True).start()
"""
"""A process in which a second engine, of the same name, takes the runs over as soon as there is a file named `go`."""


def test_a_process_that_loses_the_runs_exits_with_75(tmp_path: Path) -> None:
    script = USURPED + "from app.cli import main; sys.argv = ['holdfast', 'serve']; main()"
    with process(tmp_path, sys.executable, "-c", script, instance="twin", store="memory:") as running:
        running.ready()
        (tmp_path / "go").touch()

        assert running.exit_status() == 75
        assert any("taken over by another process" in line["message"] for line in running.logs)
