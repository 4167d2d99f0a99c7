"""The outside world of the examples: a file to which every effect is appended, so that anybody can count them.

Each line of ``var/ledger.jsonl`` is one thing that was really done: a car reserved, a card charged. The real partners
of a workflow are services behind a network; those worth their money take an idempotency key with each request and do
nothing the second time they see it. So does this file. ``HOLDFAST_EXAMPLES_LEDGER`` names another one.
"""

import json
import os
import threading
from collections.abc import Collection
from pathlib import Path

_lock = threading.Lock()  # `def` activities run on threads


class WithdrawnError(Exception):
    """What was asked for has been withdrawn before."""


def record(run: str, did: str, key: str, *, unless: str | None = None) -> None:
    """Append one effect, unless it is there.

    Args:
        run: The workflow id of the run that wants it.
        did: What is done, in words.
        key: Names the request: the second time it comes, nothing is done.
        unless: The key of a request that rules this one out.

    Raises:
        WithdrawnError: `unless` has been recorded.
    """
    line = json.dumps({"run": run, "did": did, "key": key}) + "\n"
    with _lock:
        known = _keys()
        if unless in known:
            raise WithdrawnError(f"{key!r} is ruled out by {unless!r}")
        if key in known:
            return
        _path().parent.mkdir(parents=True, exist_ok=True)
        with _path().open("a", encoding="utf-8") as file:
            file.write(line)


def has(key: str) -> bool:
    """Say whether a request has been recorded."""
    with _lock:
        return key in _keys()


def effects(run: str) -> list[str]:
    """List what was done for a run, in order."""
    return [entry["did"] for entry in _entries() if entry["run"] == run]


def _keys() -> Collection[str]:
    return {entry["key"] for entry in _entries()}


def _entries() -> list[dict[str, str]]:
    if not _path().exists():
        return []
    return [json.loads(line) for line in _path().read_text(encoding="utf-8").splitlines()]


def _path() -> Path:
    return Path(os.environ.get("HOLDFAST_EXAMPLES_LEDGER", "var/ledger.jsonl"))
