"""Servers that a test starts, awaits by a condition, and ends by their own pid."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tools.run_dapr import network

SECONDS = 60.0
free_port = network.free_port


def until(holds: Callable[[], object], what: str, seconds: float = SECONDS) -> None:
    """Wait until a condition holds."""
    due = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > due:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        threading.Event().wait(0.02)


def listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def http_status(port: int, path: str) -> int:
    """Ask a server of this machine; 0 if it does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def is_halted(pid: int) -> bool:
    """Say whether the system has put every thread of a process to rest."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    states = ((thread / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] for thread in threads)
    return all(state == "T" for state in states)


class Server:
    """A process of our own, that can be started again after it has ended.

    Args:
        command: With all its arguments.
        log: Takes what it says.
        ready: Whether it serves.
        environment: Added to that of this process.

    Attributes:
        environment: All of it, for the next start.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        ready: Callable[[], object],
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = command
        self._log = log
        self._ready = ready
        self.environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it serves."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd=self._log.parent,
            )
        try:
            until(self._serves, f"{self._command[0]} serves; its log is {self._log}")
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Ask it to end, and see that it does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it without warning."""
        self._end(signal.SIGKILL)

    def halt(self) -> None:
        """Stop all of its threads, until `resume`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        pid = self._process.pid
        until(lambda: is_halted(pid), "all threads have stopped")

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _serves(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            words = self._log.read_text(encoding="utf-8", errors="replace")[-2_000:]
            raise AssertionError(f"{self._command[0]} ended with {self._process.returncode}: {words}")
        return bool(self._ready())

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        children = _children_of(process.pid)
        process.send_signal(number)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=15)
        until(lambda: not any(Path(f"/proc/{child}").exists() for child in children), "its children have ended")


Backend = tuple[Server, int]
"""A server, and the port where it serves."""


def serving(backend: Backend) -> Iterator[Backend]:
    """Start a server, and stop it after it was used: the middle of a fixture."""
    server, _ = backend
    server.start()
    try:
        yield backend
    finally:
        server.stop()


def _children_of(pid: int) -> list[str]:
    """Those of its first thread: PostgreSQL's outlive it by a little, and go on serving meanwhile."""
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except (FileNotFoundError, ProcessLookupError):
        return []
