"""Following runs: every event as it happens, what the run waits for meanwhile, and how it ends."""

from __future__ import annotations

import queue
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import typer

from app.cli.client import CommandError, Status, path_of
from app.cli.show import error_words, event_words, form, short, status
from app.durations import parse_duration
from holdfast.core.history import OPEN, OUTCOMES, RunStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.cli.client import Client
    from app.cli.command import Session

__all__ = ["Follower", "event_line", "exit_status", "seconds_of", "show_started"]

_QUIET_SECONDS: Final = 0.3
"""After this long without an event one may ask what the run waits for."""
_RETRY_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 60.0
"""How long to try to reach a service again that was there before."""
_FINAL: Final = frozenset(OUTCOMES.values()) - {RunStatus.CONTINUED_AS_NEW}
"""Where nothing follows any more."""


def exit_status(run: dict[str, Any]) -> Status:
    """Say what a command exits with that has seen a run end."""
    return Status.OK if run["status"] == RunStatus.COMPLETED else Status.FAILED


def seconds_of(text: str | None) -> float | None:
    """Read a duration that was typed.

    Raises:
        CommandError: It is none.
    """
    try:
        return None if text is None else parse_duration(text).total_seconds()
    except ValueError as error:
        raise CommandError(Status.USAGE, str(error)) from error


class Follower:
    """Follows the newest run of an id until it ends, across restarts of the service and continue-as-new."""

    def __init__(self, client: Client, workflow_id: str, seconds: float | None) -> None:
        """Begin with the run's first event.

        Args:
            client: The service.
            workflow_id: The run.
            seconds: The longest to follow it; None for no limit.
        """
        self._client = client
        self._id = workflow_id
        self._due = None if seconds is None else time.monotonic() + seconds
        self._seen = 0
        self._ended = ""
        self._waits: list[str] = []

    def run(self) -> dict[str, Any]:
        """Describe the run."""
        run: dict[str, Any] = self._client.call("GET", path_of("runs", self._id))
        return run

    def events(self, on_quiet: Callable[[dict[str, Any]], None]) -> Iterator[dict[str, Any]]:
        """Give its events as they happen.

        Args:
            on_quiet: Called with the run where nothing has happened for a moment, and it waits for something new.

        Raises:
            CommandError: There is no such run, the service stays away, or the time is over.
        """
        lost = 0.0
        while self._ended not in _FINAL:
            if self._ended:
                self._seen, self._ended = 0, ""  # another run of the id has followed
            try:
                for event in self._stream(on_quiet):
                    lost = 0.0
                    yield event
                if not self._ended and self.run()["status"] not in OPEN:
                    return
            except CommandError as error:
                lost = lost or time.monotonic()
                if error.status is not Status.UNREACHABLE or time.monotonic() - lost > _PATIENCE_SECONDS:
                    raise
            if not self._ended:
                self._pause()

    def _stream(self, on_quiet: Callable[[dict[str, Any]], None]) -> Iterator[dict[str, Any]]:
        arrived: queue.SimpleQueue[dict[str, Any] | Exception | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(arrived,), daemon=True).start()
        told = False
        while True:
            self._check_time()
            try:
                item = arrived.get(timeout=_QUIET_SECONDS)
            except queue.Empty:
                if not told:
                    self._tell(on_quiet)
                told = True
                continue
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            self._seen, told = item["seq"], False
            yield item

    def _read(self, arrived: queue.SimpleQueue[dict[str, Any] | Exception | None]) -> None:
        """Read the stream on a thread of its own: reading cannot be interrupted, and waiting can."""
        try:
            for event in self._client.stream(path_of("runs", self._id, "events"), self._seen):
                if event.kind == "end":
                    self._ended = event.data["status"]
                else:
                    arrived.put(event.data)
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits
            arrived.put(error)
        else:
            arrived.put(None)

    def _tell(self, on_quiet: Callable[[dict[str, Any]], None]) -> None:
        run = self.run()
        if run["status"] in OPEN and run["waiting_for"] != self._waits:
            self._waits = run["waiting_for"]
            on_quiet(run)

    def _pause(self) -> None:
        time.sleep(_RETRY_SECONDS)
        self._check_time()

    def _check_time(self) -> None:
        if self._due is not None and time.monotonic() > self._due:
            raise CommandError(Status.TIMED_OUT, f"workflow {self._id!r} has not ended in time; it goes on")


def wait_for_end(client: Client, workflow_id: str, seconds: float | None) -> dict[str, Any]:
    """Wait for a run to end, and say meanwhile, on standard error, what it waits for.

    Raises:
        CommandError: It does not end in time, or the service stays away.
    """
    follower = Follower(client, workflow_id, seconds)

    def tell(run: dict[str, Any]) -> None:
        for words in run["waiting_for"]:
            typer.echo(f"{workflow_id} is {run['status']}, and waits for {short(words, 200)}", err=True)

    for _ in follower.events(tell):
        pass
    return follower.run()


def show_end(session: Session, run: dict[str, Any]) -> None:
    """Print how a run ended, and exit with what that means."""

    def words() -> str:
        fields = {"id": run["id"], "status": status(run["status"])}
        if run["error"] is not None:
            fields["error"] = error_words(run["error"])
        else:
            fields["result"] = short(run["result"], 2_000)
        return form(fields)

    session.show(run, words)
    sys.stdout.flush()
    if exit_status(run) is not Status.OK:
        raise typer.Exit(exit_status(run))


def show_started(session: Session, started: dict[str, Any], seconds: float | None, *, waits: bool) -> None:
    """Print which run was started; or wait for its end, and print that.

    Args:
        session: What the command works with.
        started: What the service answered.
        seconds: The longest to wait; None for no limit.
        waits: Whether to wait; who sets a limit wants to.
    """
    if waits or seconds is not None:
        show_end(session, wait_for_end(session.client, started["id"], seconds))
        return
    session.show(started, lambda: form({"id": started["id"], "run": started["run_id"], "status": started["status"]}))


def event_line(event: dict[str, Any]) -> str:
    """Write an event as one line."""
    number, at, kind, name, carries = event_words(event)
    return f"{at}  {number:>5}  {kind:<24} {name} {carries}".rstrip()
