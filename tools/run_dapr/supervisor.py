"""Processes that start one after the other, live together, and end in the opposite order."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from tools.run_dapr.programs import Program

__all__ = ["Supervisor"]

_LOOK_SECONDS: Final = 0.1
_END_SECONDS: Final = 30.0
"""How long a process may take to end: more than the service's drain."""
_LAST_LINES: Final = 20
_ENDINGS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """Starts programs, watches them, and ends them all when a signal says so or one of them ends by itself.

    Args:
        folder: Takes what each of them says, in a file by its name; what it said the time before is kept beside it.
        lock: The descriptor of a file that they all are to keep open.
    """

    def __init__(self, folder: Path, lock: int) -> None:
        """Nothing is started yet; from now on signals are answered in order."""
        self._folder = folder
        self._lock = lock
        self._running: list[tuple[Program, subprocess.Popen[bytes]]] = []
        self._told = threading.Event()
        self._hurries = False
        for number in _ENDINGS:
            signal.signal(number, self._tell)

    def start(self, program: Program) -> bool:
        """Start a program and wait until it serves.

        Returns:
            Whether it does: false where a signal came first, it ended, took too long, or found its place taken.
        """
        if program.is_up():
            print(f"{program.name} cannot start: something serves on {program.where} already", flush=True)
            return False
        log_file = self._log(program)
        if log_file.exists():  # of the start before, and what one may want to read after this one
            log_file.replace(log_file.with_suffix(".log.1"))
        with log_file.open("wb") as log:
            # Of a process group of its own: Ctrl-C on the terminal is for us, and we end them in order.
            process = subprocess.Popen(
                program.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **program.environment},
                process_group=0,
                pass_fds=(self._lock,),
            )
        self._running.append((program, process))
        due = time.monotonic() + program.seconds
        while not program.is_up() or process.poll() is not None:
            if self._look():
                return False
            if time.monotonic() > due:
                self._report(program, f"does not serve after {program.seconds:g} s")
                return False
        print(f"{program.name} is up on {program.where} (pid {process.pid}, log {self._log(program)})", flush=True)
        return True

    def watch(self) -> None:
        """Wait until a signal comes, or one of the programs ends by itself."""
        while not self._look():
            pass

    def stop(self) -> int:
        """End all that still run, the newest first.

        Returns:
            The exit status: 0 where a signal asked for the end, 1 where something went wrong.
        """
        asked = self._told.is_set()
        print("ending", *(program.name for program, _ in reversed(self._running)), flush=True)
        while self._running:
            _, process = self._running.pop()
            self._end(process)
        return 0 if asked else 1

    def _tell(self, *_: object) -> None:
        self._hurries = self._told.is_set()  # the second time, nobody wants to wait
        self._told.set()

    def _look(self) -> bool:
        """Wait a moment; say whether it is time to end."""
        self._told.wait(_LOOK_SECONDS)
        ended = [(program, process.returncode) for program, process in self._running if process.poll() is not None]
        if ended and not self._told.is_set():
            for program, status in ended:
                self._report(program, f"ended with status {status}")
        return bool(ended) or self._told.is_set()

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        due = time.monotonic() + _END_SECONDS
        while process.poll() is None and time.monotonic() < due and not self._hurries:
            time.sleep(_LOOK_SECONDS)
        process.kill()
        process.wait()

    def _report(self, program: Program, what: str) -> None:
        print(f"{program.name} {what}; the end of {self._log(program)}:", flush=True)
        with self._log(program).open(encoding="utf-8", errors="replace") as log:
            for line in deque(log, _LAST_LINES):
                print(f"  {line.rstrip()}", flush=True)

    def _log(self, program: Program) -> Path:
        return self._folder / f"{program.name}.log"
