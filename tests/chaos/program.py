"""Processes of our own that are spoken to by lines, stopped and killed."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.service.kit import ROOT

SECONDS = 60.0


class Program:
    """A process of a test, by its module; it is spoken to by lines."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process does
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self._complaints()
        return line.strip()

    def ask(self, line: str) -> str:
        """Say a line, and give what it says to that; empty where it has died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return ""
        return self._process.stdout.readline().strip()

    def _complaints(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def is_stopped(self) -> bool:
        """Say whether the system has really put it to rest."""
        return Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "T"

    def finish(self) -> tuple[int, list[str]]:
        """End its input, wait for its end, and give its exit status and the rest of what it said."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        said = self._process.stdout.read()  # not `communicate`, which knows nothing of what `line` has read ahead
        return self._process.wait(timeout=SECONDS), said.splitlines()

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()  # takes a stopped one too
        self._process.wait(timeout=SECONDS)
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                stream.close()


@contextmanager
def running(module: str, *arguments: str) -> Iterator[Program]:
    program = Program(module, *arguments)
    try:
        yield program
    finally:
        program.end()
