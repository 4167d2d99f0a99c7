"""How the runs of one workflow id follow each other, and how the last one goes for good."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.core.history import RunStatus
from holdfast.engine.records.documents import past_key
from holdfast.engine.records.journal import Journal
from holdfast.engine.records.seen import NOTHING_SEEN
from holdfast.engine.runs.effects import Sweep
from holdfast.engine.runs.replaying import replayed
from holdfast.ports import ABSENT, Write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.core.history import Event
    from holdfast.engine.records.head import Head
    from holdfast.engine.runs.run import Run

__all__ = ["archive", "branch", "bury", "forget_documents"]


def archive(run: Run, now: int) -> None:
    """Turn the head of a run that has ended into that of a past run, in the commit that begins the next one."""
    run.early += run.journal.take_writes()
    head = run.head
    head.updated = now
    value = head.encode(run.journal, {})
    run.early += run.journal.take_writes()
    run.early.append(Write(past_key(head.run_id), value, ABSENT))


def branch(run: Run, head: Head, history: Sequence[Event], note: Event) -> None:
    """Begin a run that shares the beginning of its history with the one that has ended.

    Args:
        run: The place of the id.
        head: The head of the new run.
        history: What it shares.
        note: The event that says so.

    Raises:
        NondeterminismError: The code does not fit what it shares; the run is as it was.
    """
    instance = replayed(run.world, head, history)
    archive(run, note.at)
    run.head, run.journal = head, Journal(head.run_id, keep=run.world.verify)
    run.forget()
    for event in history:
        run.record(event)
    run.take_in(instance)
    run.record(note)


def bury(run: Run) -> None:
    """Turn a run that has ended into a tombstone, which still names the documents to be deleted."""
    run.head = replace(
        run.head,
        status=RunStatus.PURGED,
        input=b"null",
        input_blob="",
        value=b"",
        value_blob="",
        attributes={},
        trace=None,
        _constant=b"",
    )
    run.journal.tail.clear()
    run.effects.append(Sweep())
    run.changed = True


def forget_documents(run: Run) -> None:
    """Let a tombstone forget the documents that it named: they are deleted."""
    run.head = replace(run.head, previous="", _constant=b"")
    run.journal = Journal(run.head.run_id)
    run.seen = NOTHING_SEEN
    run.changed = True
