"""A service that is killed without warning, and started again on the same file."""

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

from tests.service.kit import Process, answers, until

FLOWS = "tests.chaos.flows"
WORKER_ONLY = 0.3


class Victim:
    """The service, in one incarnation after the other.

    Attributes:
        url: Where the present one listens.
        kills: How many have been killed.
    """

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.kills = 0
        self.url = ""
        self._folder = folder
        self._chance = chance
        self._process: Process | None = None

    def live(self) -> None:
        """Start the next one, and wait until it is ready."""
        self._process = Process(
            self._folder, workflows=FLOWS, store="sqlite:///runs.db", chaos_ledger=str(self._folder / "ledger.jsonl")
        )
        self._process.ready()
        self.url = self._process.url

    def kill(self, after: float) -> None:
        """Let it live a while, then kill all of its processes, or only the one that works; see that it is back."""
        time.sleep(after)  # the moment of the kill is what is drawn
        assert self._process is not None
        workers = children_of(self._process.pid)
        self.kills += 1
        if workers and self._chance.random() < WORKER_ONLY:
            kill(workers)
            until(lambda: children_of(self._process_pid()) not in ([], workers) and answers(f"{self.url}/readyz"))
            return
        kill([*workers, self._process.pid])
        self._process.stop()
        self.live()

    def _process_pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        if self._process is not None:
            kill(children_of(self._process.pid))
            self._process.stop()


def kill(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def children_of(pid: int) -> list[int]:
    with suppress(FileNotFoundError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    return []
