"""Carrying out what a run asked for, once that is durable: one small function per effect, in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from holdfast.core.codec import decode_json
from holdfast.engine.runs.effects import (
    Abandon,
    Admit,
    Began,
    Deliver,
    Dispatch,
    Ended,
    Publish,
    Replied,
    Retry,
    Sweep,
    Tell,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.engine.runs.run import Run
    from holdfast.engine.runtime import Runtime

__all__ = ["PERFORM"]


def _dispatch(runtime: Runtime, run: Run, effect: Dispatch) -> None:
    pending = effect.pending
    if run.pending.get(pending.id) is not pending:
        return  # cancelled in the same turn
    runtime.attempts.dispatch(run.head, pending, effect.definition)
    if runtime.world.hooked:
        told = {
            "activity_id": pending.id,
            "name": pending.name,
            "attempt": pending.attempt,
            "input": decode_json(pending.value),
        }
        runtime.hooks.tell("on_activity_start", run.workflow_id, told)


def _abandon(runtime: Runtime, _run: Run, effect: Abandon) -> None:
    runtime.attempts.abandon(effect.run_id, effect.command_id)


def _deliver(runtime: Runtime, run: Run, effect: Deliver) -> None:
    runtime.courier.deliver(run, effect.entry, effect.event)


def _publish(runtime: Runtime, run: Run, effect: Publish) -> None:
    runtime.outputs.deliver(run.workflow_id, effect)


def _reply(runtime: Runtime, run: Run, effect: Replied) -> None:
    runtime.replies.resolve((run.workflow_id, effect.update_id), effect.event)


def _begin(runtime: Runtime, _run: Run, effect: Began) -> None:
    runtime.began[effect.workflow] += 1


def _retry(runtime: Runtime, _run: Run, effect: Retry) -> None:
    runtime.attempts.numbers[effect.activity].retried += 1


def _end(runtime: Runtime, run: Run, effect: Ended) -> None:
    runtime.ended[effect.workflow, effect.status] += 1
    runtime.outcomes.resolve((run.workflow_id, effect.run_id), effect)


def _sweep(runtime: Runtime, run: Run, _effect: Sweep) -> None:
    runtime.sweeper.sweep(run.workflow_id)


def _admit(runtime: Runtime, run: Run, _effect: Admit) -> None:
    runtime.holding.admit(run.workflow_id)


def _tell(runtime: Runtime, run: Run, effect: Tell) -> None:
    runtime.hooks.tell(effect.hook, run.workflow_id, effect.payload)


PERFORM: Final[dict[type, Callable[[Runtime, Run, Any], None]]] = {
    Dispatch: _dispatch,
    Abandon: _abandon,
    Deliver: _deliver,
    Publish: _publish,
    Replied: _reply,
    Began: _begin,
    Retry: _retry,
    Ended: _end,
    Sweep: _sweep,
    Admit: _admit,
    Tell: _tell,
}
