"""Processes of our own that are spoken to by lines, stopped and killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.service.kit import ROOT

SECONDS = 60.0


class Program:
    """A process of a test, by its module; it is spoken to by lines."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self._process.communicate()[1]
        return line.strip()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def is_stopped(self) -> bool:
        """Say whether the system has really put it to rest."""
        return Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "T"

    def finish(self) -> tuple[int, list[str]]:
        """End its input, wait for its end, and give its exit status and the rest of what it said."""
        out, _ = self._process.communicate(timeout=SECONDS)
        return self._process.returncode, out.splitlines()

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()  # takes a stopped one too
        self._process.communicate()


@contextmanager
def running(module: str, *arguments: str) -> Iterator[Program]:
    program = Program(module, *arguments)
    try:
        yield program
    finally:
        program.end()
