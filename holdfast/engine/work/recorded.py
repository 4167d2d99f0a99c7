"""Reading back what outputs carry, for those that are not held in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from holdfast.core.errors import StoreError
from holdfast.core.history import EventType, RunStatus
from holdfast.engine.records.announcement import announcement
from holdfast.engine.records.documents import past_key, run_key
from holdfast.engine.records.head import Head

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.core.history import Event
    from holdfast.engine.commits.reader import Reader, StoredRun
    from holdfast.engine.records.outbox import Outgoing
    from holdfast.engine.work.lines import Line

__all__ = ["Recorded", "recorded"]


class Recorded(NamedTuple):
    """The outputs of a run.

    Attributes:
        outputs: By the ids of their commands.
        trace: The trace context of the run; may be empty.
    """

    outputs: dict[str, Event]
    trace: str


async def recorded(reader: Reader, lines: Iterable[Line]) -> dict[str, Recorded | str]:
    """Read what was recorded of the runs that the first outputs of lines come from, in few calls.

    Returns:
        By workflow id, the outputs of that run, or in words why there are none.
    """
    found: dict[str, Recorded | str] = {}
    newest = {run_key(line.workflow_id): line for line in lines}
    runs = await _runs(reader, newest)
    past = {past_key(line.first.entry.run_id): line for key, line in newest.items() if _is_past(runs.get(key), line)}
    runs |= await _runs(reader, past)
    for key, line in newest.items():
        entry = line.first.entry
        before = past_key(entry.run_id)
        found[line.workflow_id] = _outputs_of(runs.get(before if before in past else key), entry)
    return found


async def _runs(reader: Reader, keys: Iterable[str]) -> dict[str, StoredRun | StoreError]:
    """Read runs with their histories; an error of the store as a whole is that of each."""
    wanted = list(keys)
    try:
        return dict(await reader.runs(wanted, history=True)) if wanted else {}
    except StoreError as error:
        return dict.fromkeys(wanted, error)


def _is_past(run: StoredRun | StoreError | None, line: Line) -> bool:
    """Say whether an output is of a run that came before the newest of its workflow id."""
    return not isinstance(run, StoreError) and (run is None or run.head["run_id"] != line.first.entry.run_id)


def _outputs_of(run: StoredRun | StoreError | None, entry: Outgoing) -> Recorded | str:
    if isinstance(run, StoreError):
        return str(run)
    outputs = {event.id: event for event in (run.history if run else ()) if event.type is EventType.OUTPUT_SENT}
    head = Head.decode(run.head, run.blobs) if run else None
    if head is not None and head.finished and head.status is not RunStatus.CONTINUED_AS_NEW:
        outputs[""] = announcement(head)
    if head is None or entry.command_id not in outputs:
        return f"what output {entry.number} of run {entry.run_id!r} carries is not stored"
    return Recorded(outputs, head.trace_text)
