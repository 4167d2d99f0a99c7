"""Taking up where the last process ended: only runs with work to do are read."""

from __future__ import annotations

import asyncio
import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from holdfast.core.errors import CorruptDocumentError
from holdfast.engine.records.documents import run_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from holdfast.engine.commits.index import Index
    from holdfast.engine.commits.reader import Reader
    from holdfast.engine.runtime import Runtime

__all__ = ["recover_runs"]

_RUNS_PER_READ: Final = 200
_NEW_OBJECTS: Final = 50_000


async def recover_runs(runtime: Runtime, index: Index, reader: Reader) -> None:
    """Bring back the runs that have work, oldest first, and set the alarm for those that wait for a time.

    Runs that wait for somebody outside stay in the store until they are called for.
    """
    busy = []
    for entry in index:
        if entry.work:
            busy.append((entry.created, entry.id))
        elif entry.due:
            runtime.alarm.set(entry.due, entry.id)
    busy.sort()
    with _growing():
        for start in range(0, len(busy), _RUNS_PER_READ):
            await _bring_back(runtime, reader, [workflow_id for _, workflow_id in busy[start : start + _RUNS_PER_READ]])


@contextmanager
def _growing() -> Iterator[None]:
    """Let Python look for cycles less often: runs only become more, and it would go through all of them each time."""
    often, *others = gc.get_threshold()
    gc.set_threshold(max(often, _NEW_OBJECTS) if often else often, *others)  # 0: somebody wants it never to look
    try:
        yield
    finally:
        gc.set_threshold(often, *others)


async def _bring_back(runtime: Runtime, reader: Reader, ids: Sequence[str]) -> None:
    places = {
        run_key(workflow_id): run for workflow_id in ids if (run := runtime.arrivals.place(workflow_id)) is not None
    }
    stored = await reader.runs(list(places), history=None)
    loop = asyncio.get_running_loop()
    for key, run in places.items():
        found = stored.get(key)
        if isinstance(found, CorruptDocumentError):
            runtime.arrivals.corrupt(run, found)
        else:
            loop.call_soon(runtime.arrivals.arrived, run, found)
    await asyncio.sleep(0)
