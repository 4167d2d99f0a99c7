"""One `make run-dapr` at a time in a folder: nothing else may write to its data while any of its programs lives."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LockedError", "hold"]

_PROCESSES: Final = Path("/proc")


class LockedError(Exception):
    """Somebody holds the lock; the text names the processes."""


def hold(path: Path) -> int:
    """Take the lock, for this process and for all that inherit what is given.

    The lock is one of the open file: the kernel releases it when the last process that has the file open has ended,
    whatever ended the first of them.

    Args:
        path: The file that is locked; it stays.

    Returns:
        The descriptor, to be passed on to the programs that are started.

    Raises:
        LockedError: Another process, or what it left behind, holds it.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise LockedError(_words(path)) from None
    return lock


def _words(path: Path) -> str:
    holders = dict(_holders(path))
    if not holders:
        return f"other processes use {path.parent}, and cannot be seen from here"
    named = ", ".join(f"{name} (pid {pid})" for pid, name in holders.items())
    pids = " ".join(str(pid) for pid in holders)
    return f"{path.parent} is in use by {named}: end what is left of the start before, by `kill {pids}`"


def _holders(path: Path) -> Iterator[tuple[int, str]]:
    """Give the processes that have a file open, as far as they may be looked at, and their names."""
    wanted = path.stat()
    for process in sorted(_PROCESSES.glob("[0-9]*"), key=lambda process: int(process.name)):
        try:
            if any(_is(entry, wanted) for entry in (process / "fd").iterdir()):
                yield int(process.name), (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:  # it has ended meanwhile, or is not ours
            continue


def _is(entry: Path, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(entry.stat(), wanted)
    except FileNotFoundError:  # closed meanwhile
        return False
