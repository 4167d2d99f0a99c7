"""Child runs, as workflow code sees them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

from holdfast.core.codec import decode_json, encode
from holdfast.core.definitions import WorkflowDefinition
from holdfast.core.history import Command, EventType
from holdfast.core.ids import check_id, child_run_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.core.definitions import WorkflowFunction
    from holdfast.core.instance import Instance

__all__ = ["ChildHandle", "ParentClose", "start_child", "workflow_named"]

ParentClose = Literal["cancel", "terminate", "abandon"]
"""What becomes of an open child when its parent ends."""


class ChildHandle:
    """A child run that was started.

    Attributes:
        id: Its workflow id.
    """

    __slots__ = ("_cancel_requested", "_future", "_run", "id")

    def __init__(self, run: Instance, workflow_id: str, future: asyncio.Future[Any]) -> None:
        """Refer to a child of a run."""
        self.id = workflow_id
        self._run = run
        self._future = future
        self._cancel_requested = False

    async def result(self) -> Any:  # noqa: ANN401 - of the child's own type
        """Wait for the child's result; giving up the wait leaves the child alone.

        Raises:
            ChildWorkflowError: The child failed, was cancelled or terminated, timed out, or its id is taken.
        """
        return await asyncio.shield(self._future)

    def cancel(self) -> None:
        """Ask the child to cancel; asking again, or once it has ended, changes nothing."""
        if not self._cancel_requested and not self._future.done():
            self._cancel_requested = True
            details = {"workflow_id": self.id}
            run = self._run
            command_id = run.loop.lineage().next_id()
            run.issue(Command(EventType.CHILD_CANCEL_REQUESTED, run.loop.now_ms, command_id, details=details))

    async def signal(self, name: str, payload: object = None) -> None:
        """Send the child a signal, and wait until it has arrived.

        Raises:
            WorkflowNotFoundError: The child has ended.
        """
        run = self._run
        raw = encode(payload, f"signal {name!r}", limit=run.host.payload_limit)
        command_id = run.loop.lineage().next_id()
        signal = Command(EventType.SIGNAL_SENT, run.loop.now_ms, command_id, name, raw, {"workflow_id": self.id})
        await run.expect(signal, decode_json)


def start_child(
    run: Instance, workflow: Callable[..., Any] | str, value: object, workflow_id: str | None, parent_close: ParentClose
) -> ChildHandle:
    """Issue the start of a child run.

    Raises:
        InvalidIdError: The id is not one.
        PayloadError: The input is not JSON, or too large.
        ValueError: The policy is unknown.
    """
    name, decode = workflow_named(run, workflow)
    if parent_close not in ("cancel", "terminate", "abandon"):
        message = f"parent_close must be 'cancel', 'terminate' or 'abandon', not {parent_close!r}"
        raise ValueError(message)
    raw = encode(value, f"input of workflow {name!r}", limit=run.host.payload_limit)
    command_id = run.loop.lineage().next_id()
    child_id = check_id(workflow_id) if workflow_id is not None else child_run_id(*run.info[:2], command_id)
    details = {"workflow_id": child_id, "parent_close": parent_close}
    future = run.expect(Command(EventType.CHILD_STARTED, run.loop.now_ms, command_id, name, raw, details), decode)
    return ChildHandle(run, child_id, future)


def workflow_named(run: Instance, workflow: WorkflowFunction | str) -> tuple[str, Callable[[bytes], Any]]:
    """Find a workflow's name, and how its result is read; whether it can be run here is the engine's to judge."""
    known = run.host.registry.find(workflow)
    if known is not None:
        return known.name, known.decode_result
    if isinstance(workflow, str):
        return workflow, decode_json
    definition = WorkflowDefinition.of(workflow)
    return definition.name, definition.decode_result
