"""A terminal that a page's commands are typed into."""

import os
import queue
import signal
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

MARK = "-- answered --"
SECONDS = 40


class Shell:
    """One bash with job control, as a person has it; its folder, variables and jobs last from command to command."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.run("set -m")

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def run(self, command: str) -> str:
        """Type a command, and give what it prints until the next prompt."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{{ {command}\n}} </dev/null\nprintf '\\n%s\\n' '{MARK}'\n")
        self._process.stdin.flush()
        printed: list[str] = []
        while (line := self._next(command)) != MARK:
            printed.append(line)
        if printed and not printed[-1]:  # the line break before the mark
            printed.pop()
        return "\n".join(printed)

    def _next(self, command: str) -> str:
        try:
            line = self._lines.get(timeout=SECONDS)
        except queue.Empty:
            raise AssertionError(f"no prompt after {SECONDS} s: {command}") from None
        if line is None:
            raise AssertionError(f"the shell has ended: {command}")
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        """End the shell, and with it all that was started from it: its jobs are groups of their own in its session."""
        for process in every_process():
            with suppress(ProcessLookupError, PermissionError):
                if os.getsid(process) == self._process.pid:
                    os.kill(process, signal.SIGKILL)
        self._process.wait(timeout=SECONDS)
        self._reader.join(timeout=SECONDS)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()


def every_process() -> list[int]:
    if Path("/proc/self").exists():
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    listing = subprocess.run(["ps", "-A", "-o", "pid="], check=True, capture_output=True, text=True).stdout
    return [int(line) for line in listing.split()]
