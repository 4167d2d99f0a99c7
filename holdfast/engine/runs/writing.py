"""What a commit writes for a run: its head, what is written once beside it, and what the index says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.core.errors import StoreError
from holdfast.engine.commits.index import IndexEntry
from holdfast.engine.records.head import MAX_HEAD_BYTES
from holdfast.engine.runs.change import Change
from holdfast.engine.runs.duties import next_wake
from holdfast.ports import Write

if TYPE_CHECKING:
    from holdfast.engine.runs.run import Run

__all__ = ["collect", "entry_of"]

_NOTHING_MORE: dict[str, Any] = {}


def collect(run: Run, now: int) -> Change:
    """Gather the documents of a run's next commit.

    Raises:
        StoreError: The head has grown over its limit.
    """
    head, journal = run.head, run.journal
    head.revision += 1
    head.write_id = run.world.next_write_id()
    head.updated = max(journal.last_at, now)
    value = head.encode(journal, _more(run, with_failures=True))
    if len(value) > MAX_HEAD_BYTES:
        value = head.encode(journal, _more(run, with_failures=False))
        if len(value) > MAX_HEAD_BYTES:
            words = f"the head of workflow {run.workflow_id!r} is {len(value):,} bytes"
            message = f"{words}; the limit is {MAX_HEAD_BYTES:,}"
            raise StoreError(message)
    early, run.early = run.early, []
    if journal.writes:
        early += journal.take_writes()
    if run.seen.writes:
        early += run.seen.take_writes()
    run.begun = run.changed = False
    return Change(run, head.write_id, early, Write(run.key, value, run.expected), _new_entry(run, len(value)))


def _more(run: Run, *, with_failures: bool) -> dict[str, Any]:
    """Give what the head keeps besides; most runs have none of it most of the time."""
    if not (run.pending_told or run.outbox or run.outgoing or run.seen.in_use):
        return _NOTHING_MORE
    more: dict[str, Any] = {}
    if run.pending_told:
        told = [pending for pending in run.pending.values() if not pending.is_plain]
        more["pending"] = {pending.id: pending.to_json(with_failure=with_failures) for pending in told}
    if run.outbox:
        more["outbox"] = [entry.to_json() for entry in run.outbox.values()]
    if run.outgoing:
        more["outgoing"] = run.outgoing
    if run.seen.in_use:
        more["seen"] = run.seen.to_json()
    return more


def _new_entry(run: Run, size: int) -> IndexEntry | None:
    """Give what the index is to say of the run from now on; None where that is what it says already."""
    known, head, work = run.indexed, run.head, run.has_work
    due = 0 if work else next_wake(run)
    if (
        known is None
        or known.work is not work
        or known.due != due
        or known.status is not head.status
        or known.run_id != head.run_id
        or known.attributes != (head.attributes or None)
    ):
        return entry_of(run, size, due=due)
    return None


def entry_of(run: Run, size: int, *, due: int) -> IndexEntry:
    """Give what the index says of a run.

    Args:
        run: The run.
        size: The bytes of its head.
        due: When it has to be woken; 0 where it stays in memory till then, or never has to be.
    """
    head = run.head
    run.indexed = IndexEntry(
        run.workflow_id,
        head.run_id,
        head.workflow,
        head.status,
        head.created,
        head.finished,
        due,
        run.has_work,
        -(-size // 1024),
        head.attributes or None,
    )
    return run.indexed
