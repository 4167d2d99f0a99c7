"""Bringing a stored run back into memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from holdfast.core.errors import NondeterminismError, WorkflowNotFoundError
from holdfast.core.failure import FailureInfo
from holdfast.core.history import EventType
from holdfast.core.replay import DEFERRED
from holdfast.engine.records.head import Head
from holdfast.engine.records.journal import Journal
from holdfast.engine.records.outbox import Outgoing
from holdfast.engine.records.seen import Seen
from holdfast.engine.runs.replaying import replayed
from holdfast.engine.runs.track import TRACK
from holdfast.engine.runs.verify import stall_failure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.core.history import Event
    from holdfast.engine.runs.run import Run

__all__ = ["restore"]


def restore(
    run: Run,
    stored: dict[str, Any],
    history: Sequence[Event],
    blobs: Mapping[str, bytes],
    seen: Mapping[str, dict[str, Any]],
) -> None:
    """Fill a run from its documents; where its code does not fit its history any more it is stalled, not changed.

    Args:
        run: The place for it.
        stored: Its head, read as JSON.
        history: All its events; may be empty where the run has ended, for nothing of it is to go on.
        blobs: Its large values, by key.
        seen: Its sealed lists of ids, by key.
    """
    head = run.head = Head.decode(stored, dict(blobs))
    run.journal = Journal(head.run_id, keep=run.world.verify)
    run.journal.resume(stored, history)
    run.seen = Seen.from_json(stored.get("seen"), seen)
    run.outbox = {(e.run_id, e.number): e for e in map(Outgoing.from_json, stored.get("outbox", ()))}
    run.outgoing = stored.get("outgoing", 0)
    if head.status.is_open:
        run.children = dict(head.children)
        _track(run, history, stored.get("pending", {}))
        _bring_to_life(run, history)


def _track(run: Run, history: Sequence[Event], pending: Mapping[str, dict[str, Any]]) -> None:
    attributes = run.head.attributes
    deferred: dict[int, Event] = {}
    for seq, event in enumerate(history, 1):
        track = TRACK.get(event.type)
        if track is not None:
            track(run, event)
        if event.type is EventType.EVENT_APPLIED:
            deferred.pop((event.details or {})["seq"], None)
        elif event.details and event.details.get(DEFERRED):
            plain = {name: value for name, value in event.details.items() if name != DEFERRED}
            deferred[seq] = replace(event, details=plain or None)
    run.head.attributes = attributes
    run.deferred = list(deferred.items())
    run.pending_told = bool(pending)
    for command_id, stored in pending.items():
        run.pending[command_id].restore(stored)


def _bring_to_life(run: Run, history: Sequence[Event]) -> None:
    try:
        instance = replayed(run.world, run.head, history)
    except WorkflowNotFoundError as error:
        run.stall_for(FailureInfo("WorkflowNotFoundError", str(error)))
        return
    except NondeterminismError as error:
        run.stall_for(stall_failure(error))
        return
    run.take_in(instance)
