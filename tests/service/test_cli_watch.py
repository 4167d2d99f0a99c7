"""The command line waiting for runs and watching them, through real HTTP."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from typer.testing import CliRunner, Result

from app.cli.program import program
from tests.service.cli_kit import Command, said
from tests.service.kit import ROOT, Process, process, until


def test_waiting_shows_the_result_and_exits_by_how_the_run_ends(holdfast: Command) -> None:
    good = holdfast("workflow", "start", "echo", "--input", '{"a": [1, "ä"]}', "--wait")
    bad = holdfast("workflow", "start", "fails", "--wait")

    assert 'result  {"a": [1, "ä"]}' in said(good)
    assert "error   ValueError: no\\x1b[31m luck\\nat all" in said(bad, 1)
    assert "\x1b" not in bad.output


def test_waiting_says_what_for_and_gives_up_when_told_to(holdfast: Command, id: str) -> None:
    result = holdfast("workflow", "start", "order", "--id", id, "-i", '{"sku": "A1"}', "--timeout", "1s")

    assert result.exit_code == 124
    assert f"{id} is running, and waits for signal 'approval'" in result.stderr
    assert "it goes on" in result.stderr
    assert "running" in said(holdfast("workflow", "show", id))


@contextmanager
def watching(running: Process, id: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Watch a run with a process of its own, and give that and the lines it has written so far."""
    command = [sys.executable, "-c", "from app.cli import main; main()", "workflow", "watch", id]
    environment = {**os.environ, "HOLDFAST_ADDRESS": running.url, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    lines: list[str] = []
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None
        reader = threading.Thread(target=lines.extend, args=(iter(watcher.stdout.readline, ""),))
        reader.start()
        try:
            yield watcher, lines
        finally:
            watcher.kill()
            reader.join()


def test_watching_shows_events_as_they_happen_and_what_the_run_waits_for(running: Process, id: str) -> None:
    running.request("POST", "/v1/workflows/order/runs", json={"id": id, "input": {"sku": "A1"}})

    with watching(running, id) as (watcher, lines):
        until(lambda: any("waits for signal 'approval'" in line for line in lines))
        assert not any("workflow_completed" in line for line in lines)
        running.request("POST", f"/v1/runs/{id}/signals/approval")
        assert watcher.wait(30) == 0

    assert lines[-1] == f"{id} is completed\n"


def test_watching_follows_a_run_that_continues_as_new(running: Process, id: str) -> None:
    running.request("POST", "/v1/workflows/counts/runs", json={"id": id, "input": 1})

    with watching(running, id) as (watcher, lines):
        for number in (1, 0):
            until(lambda number=number: f"counts {number}" in "".join(lines))  # type: ignore[misc]  # bound at once
            until(lambda: "signal 'next'" in running.request("GET", f"/v1/runs/{id}").text)
            running.request("POST", f"/v1/runs/{id}/signals/next")
        assert watcher.wait(30) == 0

    assert "".join(lines).count("workflow_started") == 2
    assert "workflow_continued_as_new" in "".join(lines)
    assert lines[-1] == f"{id} is completed\n"


def test_watching_goes_on_after_a_restart_of_the_service(tmp_path: Path) -> None:
    seen: list[Result] = []
    with process(tmp_path) as first:
        first.ready()
        port = first.url.rpartition(":")[2]
        first.request("POST", "/v1/workflows/order/runs", json={"id": "order-1", "input": {"sku": "A1"}})
        command = ["workflow", "watch", "order-1", "--address", first.url, "--timeout", "60s"]
        watching = threading.Thread(target=lambda: seen.append(CliRunner().invoke(program, command)))
        watching.start()
        until(lambda: "events" in first.out)
        first.stop()

        with process(tmp_path, address=f"127.0.0.1:{port}") as second:
            second.ready()
            second.request("POST", "/v1/runs/order-1/signals/approval")
            watching.join(60)

    lines = said(seen[0]).splitlines()
    assert lines[-1] == "order-1 is completed"
    assert [line.split()[2] for line in lines[:-1] if "..." not in line] == ["1", "2", "3", "4", "5", "6"]
