"""What a run has to do because time has passed, or because it has come back into memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.core.failure import FailureInfo
from holdfast.core.history import Event, EventType, RunStatus
from holdfast.core.outcome import encode_failure
from holdfast.engine.runs.effects import Abandon, Sweep, effect_of
from holdfast.engine.runs.ending import end_run

if TYPE_CHECKING:
    from holdfast.engine.records.pending import PendingActivity
    from holdfast.engine.runs.run import Run

__all__ = ["CLEAN_UP_MS", "fail_activity", "next_wake", "recover", "terminate", "wake_up"]

_RUNNING = RunStatus.RUNNING  # looking a member up is slow, and this one is needed at each step
CLEAN_UP_MS = 30_000
"""How long a run may take to clean up after its time-out before it is ended from outside."""


def next_wake(run: Run) -> int:
    """Say when the run has to be woken: the earliest of all that is due; 0 for never."""
    head, instance = run.head, run.instance
    timers = instance.timers if instance is not None else None
    if not (timers or head.deadline or run.pending_told or run.has_deadlines) or head.status is not _RUNNING:
        return 0
    due = [head.deadline + (CLEAN_UP_MS if run.timed_out else 0)] if head.deadline else []
    if timers:
        due += [timer.due_ms for timer in timers.values()]
    if instance is not None:
        due += [pending.due for pending in run.pending.values() if pending.due]
        due += [pending.deadline for pending in run.pending.values() if pending.deadline]
    return min(due, default=0)


def wake_up(run: Run, now: int) -> None:
    """Do all that is due: the run's time-out, timers, attempts after their wait, calls that are out of time."""
    if not run.is_open or run.head.status is not RunStatus.RUNNING:
        return
    run_id = run.head.run_id
    _check_deadline(run, now)
    if run.instance is None or not run.is_open:
        return
    due = [timer for timer in run.instance.timers.values() if timer.due_ms <= now]
    for timer in sorted(due, key=lambda timer: timer.due_ms):
        if run.instance is not None and run.head.run_id == run_id and timer.id in run.instance.timers:
            run.happen(EventType.TIMER_FIRED, max(now, timer.due_ms), id=timer.id)
    for pending in list(run.pending.values()):
        if run.head.run_id != run_id or run.pending.get(pending.id) is not pending:
            continue
        if pending.deadline and pending.deadline <= now:
            run.effects.append(Abandon(run_id, pending.id))
            failure = FailureInfo(
                "TimeoutError", "it did not complete within its schedule_to_close", cause=pending.failure
            )
            fail_activity(run, pending, failure, now)
        elif pending.due and pending.due <= now:
            pending.due = 0
            run.dispatch(pending)


def _check_deadline(run: Run, now: int) -> None:
    deadline = run.head.deadline
    if not deadline or now < deadline:
        return
    if not run.timed_out:
        run.happen(EventType.TIME_OUT_REACHED, now)
    elif now >= deadline + CLEAN_UP_MS:
        failure = FailureInfo("TimeoutError", "the workflow did not end within its time-out, nor clean up in time")
        terminate(run, EventType.WORKFLOW_TIMED_OUT, now, failure)


def terminate(run: Run, kind: EventType, now: int, failure: FailureInfo) -> None:
    """End a run from outside, without asking its code."""
    at = run.instant(now)
    value = encode_failure(failure)
    run.record(Event(kind, at, value=value))
    end_run(run, kind, at, value)


def fail_activity(run: Run, pending: PendingActivity, failure: FailureInfo, now: int) -> None:
    """Give up on an activity, and let the run know."""
    run.happen(
        EventType.ACTIVITY_FAILED,
        now,
        id=pending.id,
        name=pending.name,
        value=encode_failure(failure),
        details={"attempt": pending.attempt},
    )


def recover(run: Run, now: int) -> None:
    """Take up what was going on when the run was last in memory, in this process or in one that is gone."""
    run.effects.extend(map(effect_of, run.outbox.values()))
    if run.head.status is RunStatus.PURGED and run.names_documents:
        run.effects.append(Sweep())
    if not run.is_open or run.head.status is not RunStatus.RUNNING:
        return
    left_over = list(run.pending.values())
    run.catch_up(now)
    for pending in left_over:
        if run.pending.get(pending.id) is pending:
            _take_up(run, pending, now)
    wake_up(run, now)


def _take_up(run: Run, pending: PendingActivity, now: int) -> None:
    """Dispatch an attempt anew that is neither running here nor waiting for its time."""
    if run.instance is None or (run.head.run_id, pending.id) in run.world.in_flight:
        return  # a stalled run begins nothing
    if pending.parked:
        run.dispatch(pending)
        return
    if pending.due and (run.world.follows_clean_end or pending.due > now or pending.due >= run.world.owner_since):
        return  # not begun yet: it is woken when it is due
    if pending.interrupted():
        pending.due = 0
        run.changed = run.pending_told = True
        run.dispatch(pending)
    else:
        failure = FailureInfo(
            "OutcomeUnknownError", "outcome unknown: the process ended during the attempt", cause=pending.failure
        )
        fail_activity(run, pending, failure, now)
