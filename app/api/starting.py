"""Starting a run and waiting for it: what `POST /v1/workflows/{name}/runs` does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from app.api.problem import INVALID, ProblemError, faults_of
from app.errors import NotReadyError
from app.tracing import sender
from holdfast import (
    PayloadError,
    RunStatus,
    WorkflowCanceledError,
    WorkflowFailedError,
    WorkflowTerminatedError,
    WorkflowTimedOutError,
)

if TYPE_CHECKING:
    from app.api.models import StartBody
    from app.service import Service
    from holdfast import Engine

__all__ = ["Started", "start", "wait_for"]

_ENDS: Final[dict[type[WorkflowFailedError], RunStatus]] = {
    WorkflowFailedError: RunStatus.FAILED,
    WorkflowCanceledError: RunStatus.CANCELED,
    WorkflowTerminatedError: RunStatus.TERMINATED,
    WorkflowTimedOutError: RunStatus.TIMED_OUT,
}


@dataclass(slots=True)
class Started:
    """A run that was started or found.

    Attributes:
        created: Whether this request, or an earlier one of the same key, made it.
        outcome: Its result or error, once it has ended and somebody waited for that.
    """

    id: str
    run_id: str
    status: RunStatus
    created: bool
    outcome: dict[str, Any] | None = None

    def shown(self) -> dict[str, Any]:
        """Give the body of the answer."""
        return {"id": self.id, "run_id": self.run_id, "status": self.status, **(self.outcome or {})}


def start(service: Service, workflow: str, body: StartBody, request_id: str | None) -> Started:
    """Start a run, which goes on from the trace of the request.

    Raises:
        ProblemError: Its input does not fit; the fields are named as they stand in the body.
    """
    trace = sender()
    try:
        return service.call(lambda engine: _start(engine, workflow, body, request_id, trace))
    except PayloadError as error:
        if error.too_large:
            raise
        raise ProblemError(INVALID, str(error), faults_of(error, "input")) from error


async def _start(engine: Engine, workflow: str, body: StartBody, request_id: str | None, trace: str | None) -> Started:
    handle = await engine.start(
        workflow,
        body.input,
        id=body.id,
        timeout=body.timeout,
        on_conflict=body.on_conflict,
        request_id=request_id,
        trace=trace,
    )
    is_new = handle.created and request_id is None
    status = RunStatus.RUNNING if is_new else await handle.status()
    return Started(handle.id, handle.run_id, status, handle.created)


def wait_for(service: Service, started: Started, seconds: float) -> None:
    """Wait for a run to end, and note how it did; it goes on where it does not in time."""
    try:
        result = service.call(
            lambda engine: engine.result(started.id, started.run_id, decode=orjson.loads, timeout=seconds),
            waits=seconds,
        )
    except (TimeoutError, NotReadyError):
        return
    except WorkflowFailedError as error:
        started.status, started.outcome = _ENDS[type(error)], {"error": error.failure}
    else:
        started.status, started.outcome = RunStatus.COMPLETED, {"result": result}
