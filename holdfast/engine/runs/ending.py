"""How a run ends: its status, its children, its parent, and the run that follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.core.codec import decode_json
from holdfast.core.failure import FailureInfo
from holdfast.core.history import OUTCOMES, EventType
from holdfast.engine.records.announcement import announcement
from holdfast.engine.records.outbox import OutgoingKind
from holdfast.engine.runs.effects import Abandon, Ended, Replied

if TYPE_CHECKING:
    from holdfast.engine.runs.run import Run

__all__ = ["end_run"]


def end_run(run: Run, kind: EventType, at: int, value: bytes) -> None:
    """Write a run's terminal status; there is no other after it. A continue-as-new begins the next run at once."""
    head = run.head
    head.status, head.finished = OUTCOMES[kind], at
    run.effects.extend(Abandon(head.run_id, command_id) for command_id in run.pending)
    continued = kind is EventType.WORKFLOW_CONTINUED_AS_NEW
    head.next_run = run.world.new_id() if continued else ""
    ended = Ended(head.run_id, head.workflow, head.version, head.status, b"" if continued else value, head.next_run)
    run.effects.append(ended)
    run.pending.clear()
    run.deferred = []
    if run.instance is not None and run.instance.refs is not None:
        run.world.dropped_refs += run.instance.refs.open
    if continued:
        _continue_as_new(run, at, value)
        return
    head.value = value
    if head.thread or _declares_outputs(run):
        run.send(OutgoingKind.RESULT, "", "", announcement(head))
    run.effects.extend(Replied(update_id, None) for update_id in run.open_updates)
    _close_family(run)
    run.leave_memory()
    if not run.world.hooked:
        return
    if kind is EventType.WORKFLOW_COMPLETED:
        run.tell("on_workflow_complete", decode_json(value))
    else:
        run.tell("on_workflow_fail", FailureInfo.from_json(decode_json(value)))


def _declares_outputs(run: Run) -> bool:
    """Whether the run's workflow speaks to other services, so that its end is of interest there."""
    head = run.head
    definition = run.world.host.registry.find(head.workflow, head.version)
    return definition is not None and bool(definition.outputs)


def _close_family(run: Run) -> None:
    """See to the children as each was started to be, and let the parent know."""
    for child, policy in run.children.items():
        if policy != "abandon":
            run.send(OutgoingKind(policy), child, "")
    run.children.clear()
    parent = run.head.parent
    if parent is not None:
        run.send(OutgoingKind.CLOSED, parent.workflow_id, parent.command_id)


def _continue_as_new(run: Run, at: int, raw: bytes) -> None:
    """Begin the next run of the chain, with what goes over to it."""
    head, instance, updates = run.head, run.instance, run.open_updates
    assert instance is not None  # noqa: S101 - its code has just asked for this
    signals = [(name, list(mailbox)) for name, mailbox in instance.mailboxes.items()]
    answers = list(instance.refs.early()) if instance.refs is not None else []
    run.leave_memory()
    run.begin(
        run.world.host.registry.workflow(head.workflow, head.version),
        raw,
        at,
        run_id=head.next_run,
        parent=head.parent,
        deadline=head.deadline,
        requests=head.requests,
        attributes=head.attributes,
        trace=head.trace.following(head.next_run) if head.trace is not None else None,
        thread=head.thread,
    )
    for name, values in signals:
        for value in values:
            if run.is_open:
                run.happen(EventType.SIGNAL_RECEIVED, at, name=name, value=value)
    for ref, answer in answers:
        if run.is_open:
            kind = EventType.REF_REJECTED if answer.rejects else EventType.REF_RESOLVED
            run.happen(kind, at, name=ref, value=answer.raw)
    for update in updates.values():
        if not run.is_open:
            run.effects.append(Replied(update.id, None))
            continue
        run.happen(EventType.UPDATE_ACCEPTED, at, id=update.id, name=update.name, value=update.value)
