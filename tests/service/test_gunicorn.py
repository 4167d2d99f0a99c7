"""Gunicorn run by hand with our configuration file: the same service, under an arbiter."""

import signal
import sys
from pathlib import Path

import pytest

from tests.service.kit import Process, process, until
from tests.service.test_serve import USURPED

pytestmark = pytest.mark.slow

GUNICORN = ("-m", "gunicorn", "-c", "python:app.gunicorn_conf", "app.factory:create_app()")


def listening(running: Process) -> Process:
    """Wait until it is ready; the arbiter takes the port, and does not say which before it has a worker."""
    return running.ready()


def test_the_service_runs_under_gunicorns_arbiter_and_ends_in_order(tmp_path: Path) -> None:
    with process(tmp_path, sys.executable, *GUNICORN) as running:
        listening(running)
        answer = running.request("POST", "/v1/workflows/quick/runs?wait=10s").json()
        assert answer["result"] == 42
        running.send(signal.SIGTERM)

        assert running.exit_status() == 0
        assert all(line["level"] == "info" for line in running.logs)


def test_a_start_up_error_ends_the_arbiter_too(tmp_path: Path) -> None:
    (tmp_path / "runs.db").write_bytes(b"no database" * 100)

    with process(tmp_path, sys.executable, *GUNICORN) as running:
        assert running.exit_status() == 3
        assert "holdfast: cannot start: runs.db is not an SQLite file" in running.err
        assert "Traceback" not in running.out + running.err


@pytest.mark.parametrize("option", [["--preload"], ["--workers", "2"], ["--max-requests", "10"]])
def test_what_the_engine_cannot_live_with_is_refused(tmp_path: Path, option: list[str]) -> None:
    with process(tmp_path, sys.executable, *GUNICORN, *option) as running:
        assert running.exit_status() == 1
        assert "one process owns the runs" in running.out + running.err


def test_a_bad_setting_is_one_sentence(tmp_path: Path) -> None:
    with process(tmp_path, sys.executable, *GUNICORN, address="nowhere") as running:
        assert running.exit_status() == 1
        assert "HOLDFAST_ADDRESS: write host:port" in running.err
        assert "Traceback" not in running.err


def test_a_worker_that_loses_the_runs_ends_the_arbiter_with_75(tmp_path: Path) -> None:
    (tmp_path / "usurped.py").write_text(
        USURPED.replace("threading.Thread(target=usurp, daemon=True).start()", "")
        + "def post_fork(server, worker):\n    threading.Thread(target=usurp, daemon=True).start()\n"
        + "from app.gunicorn_conf import *\n",
        encoding="utf-8",
    )
    command = ["-m", "gunicorn", "-c", "usurped.py", "app.factory:create_app()"]
    with process(tmp_path, sys.executable, *command, instance="twin", store="memory:") as running:
        running.ready()
        (tmp_path / "go").touch()

        assert running.exit_status() == 75
        until(lambda: "another process owns the runs" in running.out)
