"""A service that is killed without warning, and started again on the same store."""

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

from tests.service.kit import Process, answers, until

FLOWS = "tests.chaos.flows"
WORKER_ONLY = 0.3
SECONDS = 120.0
"""For a service to be ready, on a server that may have to come back first."""


class Victim:
    """The service, in one incarnation after the other.

    Attributes:
        url: Where the present one listens.
        kills: How many have been killed.
    """

    def __init__(self, folder: Path, chance: random.Random, **settings: str) -> None:
        """Describe it.

        Args:
            folder: Where it runs.
            chance: Draws what is killed of it.
            settings: Its settings; by default it has its runs in a file of that folder.
        """
        self.kills = 0
        self.url = ""
        self._folder = folder
        self._chance = chance
        self._settings = {
            "workflows": FLOWS,
            "store": "sqlite:///runs.db",
            "chaos_ledger": str(folder / "ledger.jsonl"),
            **settings,
        }
        self._process: Process | None = None

    def live(self) -> None:
        """Start the next one, and wait until it is ready."""
        self.begin()
        self.get_ready()

    def begin(self) -> None:
        """Start the next one."""
        self._process = Process(self._folder, **self._settings)

    def get_ready(self) -> None:
        """Wait until it is ready."""
        self.url = self._present().ready(SECONDS).url

    def die(self) -> None:
        """Kill all of its processes."""
        self.check_alive()
        process = self._present()
        self.kills += 1
        kill([*children_of(process.pid), process.pid])
        process.stop()

    def check_alive(self) -> None:
        """See that it has not ended by itself: that is none of what may happen to it."""
        process = self._present()
        assert not process.has_ended, process.out[-3_000:] + process.err

    def kill(self, after: float) -> float:
        """Let it live a while, then kill all of its processes, or only the one that works; see that it is back.

        Returns:
            When it was killed.
        """
        time.sleep(after)  # the moment of the kill is what is drawn
        workers = children_of(self._present().pid)
        if workers and self._chance.random() < WORKER_ONLY:
            self.kills += 1
            kill(workers)
            killed = time.monotonic()
            until(lambda: children_of(self._present().pid) not in ([], workers) and answers(f"{self.url}/readyz"))
            return killed
        self.die()
        killed = time.monotonic()
        self.live()
        return killed

    def _present(self) -> Process:
        assert self._process is not None
        return self._process

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
