"""The supervisor with small programs of its own: started in order, ended in the opposite one, none left behind."""

from __future__ import annotations

import itertools
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.deployment.manifests import ROOT
from tests.integration.processes import until

TOY = """
import signal, sys, time
from pathlib import Path
name, ending = sys.argv[1:]
ended = Path("ended")
def end(*_):
    with ended.open("a") as file:
        file.write(name + " ")
    sys.exit()
signal.signal(signal.SIGTERM, signal.SIG_IGN if ending == "never" else end)
print(name, "speaks", flush=True)
if ending == "at once":
    sys.exit(3)
if ending != "hidden":
    Path(name + ".up").touch()
time.sleep(600)
"""
SUPERVISOR = """
import sys
from pathlib import Path
from tools.run_dapr.lock import LockedError, hold
from tools.run_dapr.programs import Program
from tools.run_dapr.supervisor import Supervisor

def toy(name, ending):
    command = [sys.executable, "toy.py", name, ending]
    seconds = 2 if ending == "hidden" else 60
    return Program(name, command, "nowhere", Path(name + ".up").exists, seconds=seconds)

try:
    supervisor = Supervisor(Path("."), hold(Path("lock")))
except LockedError as error:
    sys.exit(f"cannot start: {error}")
if all(supervisor.start(toy(*word.split("=", 1))) for word in sys.argv[1:]):
    print("all are up", flush=True)
    supervisor.watch()
sys.exit(supervisor.stop())
"""


class Running:
    """A supervisor as a process of its own."""

    def __init__(self, folder: Path, *toys: str) -> None:
        (folder / "toy.py").write_text(TOY, encoding="utf-8")
        self.folder = folder
        self._out = folder / "out"
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SUPERVISOR, *toys],
                cwd=folder,
                env={"PYTHONPATH": str(ROOT)},
                stdout=out,
                stderr=out,
            )

    @property
    def out(self) -> str:
        return self._out.read_text(encoding="utf-8")

    @property
    def pids(self) -> list[str]:
        return re.findall(r"pid (\d+)", self.out)

    def is_all_up(self) -> bool:
        return "all are up" in self.out

    def ended(self) -> list[str]:
        """The programs, in the order in which they ended."""
        return (self.folder / "ended").read_text(encoding="utf-8").split()


@contextmanager
def supervised(folder: Path, *toys: str) -> Iterator[Running]:
    running = Running(folder, *toys)
    try:
        yield running
    finally:
        running.process.terminate()
        running.process.terminate()
        running.process.wait(60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_the_newest_first(tmp_path: Path, number: signal.Signals) -> None:
    with supervised(tmp_path, "one=asked", "two=asked", "three=asked") as running:
        until(running.is_all_up, "all are up")

        running.process.send_signal(number)

        assert running.process.wait(60) == 0
        assert running.ended() == ["three", "two", "one"]
        assert [pid for pid in running.pids if Path(f"/proc/{pid}").exists()] == []


def test_where_one_ends_by_itself_all_do_and_its_last_words_are_shown(tmp_path: Path) -> None:
    with supervised(tmp_path, "one=asked", "two=asked") as running:
        until(running.is_all_up, "all are up")

        subprocess.run(["kill", "-KILL", running.pids[1]], check=True)

        assert running.process.wait(60) == 1
        assert "two ended with status -9; the end of two.log:\n  two speaks\n" in running.out
        assert running.ended() == ["one"]


def test_one_that_does_not_come_up_ends_those_before_it(tmp_path: Path) -> None:
    with supervised(tmp_path, "one=asked", "two=at once", "three=asked") as running:
        assert running.process.wait(60) == 1

        assert "two ended with status 3; the end of two.log:\n  two speaks\n" in running.out
        assert "three" not in running.out
        assert running.ended() == ["one"]


def test_one_that_does_not_serve_in_time_is_not_waited_for(tmp_path: Path) -> None:
    with supervised(tmp_path, "one=asked", "two=hidden") as running:
        assert running.process.wait(60) == 1

        assert "two does not serve after 2 s; the end of two.log:\n" in running.out
        assert "one" in running.ended()


def test_one_whose_place_is_taken_is_not_started(tmp_path: Path) -> None:
    (tmp_path / "two.up").touch()

    with supervised(tmp_path, "one=asked", "two=asked") as running:
        assert running.process.wait(60) == 1

        assert "two cannot start: something serves on nowhere already" in running.out
        assert not (tmp_path / "two.log").exists()
        assert running.ended() == ["one"]


def test_a_second_signal_does_not_wait_for_one_that_will_not_end(tmp_path: Path) -> None:
    with supervised(tmp_path, "one=asked", "two=never") as running:
        until(running.is_all_up, "all are up")
        running.process.send_signal(signal.SIGINT)
        until(lambda: asked_to_end(running), "the first signal was taken")

        running.process.send_signal(signal.SIGINT)

        assert running.process.wait(20) == 0
        assert [pid for pid in running.pids if Path(f"/proc/{pid}").exists()] == []


def asked_to_end(running: Running) -> bool:
    return "ending" in running.out


def test_the_logs_of_the_start_before_are_kept_and_no_older_ones(tmp_path: Path) -> None:
    for number in range(3):
        with supervised(tmp_path, f"one={'at once' if number else 'asked'}") as running:
            if not number:
                until(running.is_all_up, "it is up")
                running.process.terminate()
            running.process.wait(60)
            (tmp_path / "one.up").unlink(missing_ok=True)
            with (tmp_path / "one.log").open("a", encoding="utf-8") as log:
                log.write(f"start {number}")

    assert (tmp_path / "one.log").read_text(encoding="utf-8") == "one speaks\nstart 2"
    assert (tmp_path / "one.log.1").read_text(encoding="utf-8") == "one speaks\nstart 1"
    assert sorted(path.name for path in tmp_path.glob("one.log*")) == ["one.log", "one.log.1"]


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"DAPRD": "/nope"}, "DAPRD: /nope is not a program that can be run here"),
        ({"HOLDFAST_ADDRESS": "nonsense"}, "HOLDFAST_ADDRESS: 'nonsense' is not a port: write host:port"),
        ({"HOLDFAST_ADDRESS": "127.0.0.1:99999"}, "HOLDFAST_ADDRESS: '99999' is not a port"),
        ({"DAPR_HTTP_PORT": "abc"}, "DAPR_HTTP_PORT: 'abc' is not a port: write a number"),
        ({"DAPR_GRPC_PORT": "0"}, "DAPR_GRPC_PORT: '0' is not a port"),
        ({"REDIS_URL": "nowhere"}, "REDIS_URL: write redis://host:port"),
        ({"REDIS_URL": "redis://127.0.0.1:1"}, "REDIS_URL: nothing takes connections at 127.0.0.1:1: "),
        ({"REDIS_URL": "redis://127.0.0.1:99999"}, "REDIS_URL: nothing takes connections at 127.0.0.1:99999: "),
    ],
)
def test_what_the_environment_says_wrongly_is_told_in_one_line(
    tmp_path: Path, environment: dict[str, str], words: str
) -> None:
    for name in ("dapr.yaml", "components", "dapr"):
        (tmp_path / name).symlink_to(ROOT / name)
    runtime = dict.fromkeys(("DAPRD", "PLACEMENT", "SCHEDULER"), sys.executable)
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **runtime, **environment}
    with socket.socket() as server:  # of a Redis, so that none has to be installed
        server.bind(("127.0.0.1", 0))
        server.listen()
        given.setdefault("REDIS_URL", f"redis://127.0.0.1:{server.getsockname()[1]}")
        command = [sys.executable, "-m", "tools.run_dapr"]
        ended = subprocess.run(
            command, cwd=tmp_path, env=given, capture_output=True, text=True, timeout=60, check=False
        )

    assert ended.returncode == 1
    assert ended.stderr.startswith(f"cannot start: {words}")
    assert ended.stderr.count("\n") == 1


def test_what_a_killed_supervisor_leaves_behind_keeps_the_folder_and_is_named(tmp_path: Path) -> None:
    with supervised(tmp_path, "one=asked", "two=asked") as running:
        until(running.is_all_up, "all are up")
        left = [int(pid) for pid in running.pids]
        try:
            running.process.kill()
            running.process.wait(60)
            for pid in left:
                with supervised(tmp_path, "three=asked") as second:
                    assert second.process.wait(60) == 1
                    assert "cannot start: . is in use by python" in second.out
                    assert f"(pid {pid})" in second.out
                    assert second.out.strip().endswith(f"`kill {' '.join(map(str, left[left.index(pid) :]))}`")
                    assert not (tmp_path / "three.log").exists()
                os.kill(pid, signal.SIGKILL)
                until(partial(has_ended, pid), "it has ended")
        finally:
            for pid in itertools.filterfalse(has_ended, left):
                os.kill(pid, signal.SIGKILL)

        for name in ("one", "two"):
            (tmp_path / f"{name}.up").unlink()
        with supervised(tmp_path, "one=asked") as third:
            until(third.is_all_up, "it is up")


def has_ended(pid: int) -> bool:
    """Whether a process runs no more, though nobody may have asked yet how the orphan has ended."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
