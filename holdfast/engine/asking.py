"""What stands behind the engine's calls: making a start, answering a query, telling how a run failed, filtering."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from holdfast.core.codec import decode_json, encode
from holdfast.core.durations import Duration, milliseconds
from holdfast.core.errors import (
    PayloadError,
    QueryError,
    WorkflowCanceledError,
    WorkflowFailedError,
    WorkflowFinishedError,
    WorkflowNotFoundError,
    WorkflowTerminatedError,
    WorkflowTimedOutError,
)
from holdfast.core.failure import FailureInfo
from holdfast.core.history import RunStatus
from holdfast.core.ids import check_id, check_text, short_hash
from holdfast.engine.records.head import Head, Request
from holdfast.engine.runs.replaying import replayed
from holdfast.engine.runs.starting import OnConflict, Start
from holdfast.engine.views import waiting_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.core.definitions import WorkflowFunction
    from holdfast.core.host import Host
    from holdfast.engine.commits.index import IndexEntry
    from holdfast.engine.commits.reader import StoredRun
    from holdfast.engine.runs.effects import Ended
    from holdfast.engine.runs.run import Run
    from holdfast.engine.runs.world import World

__all__ = ["Filter", "failed_run", "finished_query", "make_start", "run_query"]

_POLICIES: Final = ("fail", "use_existing", "terminate_existing")
_FAILURES: Final[dict[RunStatus, type[WorkflowFailedError]]] = {
    RunStatus.FAILED: WorkflowFailedError,
    RunStatus.CANCELED: WorkflowCanceledError,
    RunStatus.TERMINATED: WorkflowTerminatedError,
    RunStatus.TIMED_OUT: WorkflowTimedOutError,
}


def make_start(  # noqa: PLR0913 - what a start is made of
    world: World,
    workflow: WorkflowFunction | str,
    value: object,
    workflow_id: str | None,
    *,
    timeout: Duration | None = None,
    on_conflict: OnConflict = "fail",
    reuse: bool = True,
    request_id: str | None = None,
    trace: str | None = None,
) -> tuple[Start, str]:
    """Check a request to start a run, and give it with the workflow id that it is for.

    Raises:
        WorkflowNotFoundError: No such workflow is registered.
        InvalidIdError: The id is not one.
        PayloadError: The input does not fit, is not JSON or is too large.
        ValueError: The policy is unknown.
    """
    if on_conflict not in _POLICIES:
        message = f"on_conflict must be one of {', '.join(_POLICIES)}, not {on_conflict!r}"
        raise ValueError(message)
    definition = world.host.registry.workflow(workflow)
    raw = encode(value, f"input of workflow {definition.name!r}", limit=world.host.payload_limit)
    definition.decode_input(raw)
    timeout_ms = None if timeout is None else milliseconds(timeout, "timeout")
    run_id = world.new_id()
    request = None
    if request_id is not None:
        request = _request(
            request_id, f"{definition.name} {workflow_id} {timeout_ms} {on_conflict} {reuse}", raw, run_id
        )
        workflow_id = workflow_id or "r-" + short_hash(request_id, 26)
    workflow_id = check_id(workflow_id) if workflow_id is not None else run_id
    start = Start(
        definition=definition,
        value=raw,
        run_id=run_id,
        timeout_ms=timeout_ms,
        on_conflict=on_conflict,
        reuse=reuse,
        request=request,
        trace=trace or "",
    )
    return start, workflow_id


def _request(request_id: str, target: str, raw: bytes, run_id: str) -> Request:
    check_text(request_id, "request_id")
    digest = hashlib.blake2b(target.encode() + b"\n" + raw, digest_size=16).hexdigest()
    return Request(request_id, digest, run_id)


def run_query(run: Run, name: str, raw: bytes) -> bytes | None:
    """Answer a query from a run in memory; None where it has ended and has to be replayed for it.

    Raises:
        QueryError: There is no such query, or only the built-in ones can be answered.
    """
    if name == "status":
        return _encode_answer(run.world.host, name, run.status)
    if name == "result":
        return run.head.value if run.head.status is RunStatus.COMPLETED else b"null"
    if name == "stack":
        return _encode_answer(run.world.host, name, waiting_for(run))
    if not run.is_open:
        return None
    if run.instance is None:
        message = f"workflow {run.workflow_id!r} is {run.status}: only 'status', 'result' and 'stack' answer"
        raise QueryError(message)
    return _encode_answer(run.world.host, name, run.instance.query(name, raw))


async def finished_query(world: World, stored: StoredRun, name: str, raw: bytes) -> bytes:
    """Replay a run that has ended, and answer a query from where it stood at its end.

    Raises:
        QueryError: There is no such query.
        NondeterminismError: The code does not fit the history.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()

    def ask() -> None:
        try:
            instance = replayed(world, Head.decode(stored.head, stored.blobs), stored.history)
            try:
                answer.set_result(_encode_answer(world.host, name, instance.query(name, raw)))
            finally:
                instance.close()
        except Exception as error:  # noqa: BLE001 - it is the caller's to handle
            answer.set_exception(error)

    loop.call_soon(ask)  # workflow code never runs inside a task
    return await answer


def _encode_answer(host: Host, name: str, value: object) -> bytes:
    try:
        return encode(value, f"answer of query {name!r}", limit=host.payload_limit)
    except PayloadError as error:
        raise QueryError(str(error)) from error


def failed_run(workflow_id: str, ended: Ended) -> WorkflowFailedError | WorkflowFinishedError | WorkflowNotFoundError:
    """Make the error for a run that did not complete."""
    if ended.status is RunStatus.PURGED:
        return WorkflowNotFoundError(f"workflow {workflow_id!r} was purged")
    if ended.status is RunStatus.CONTINUED_AS_NEW:
        return WorkflowFinishedError(
            f"run {ended.run_id!r} of workflow {workflow_id!r} has continued as {ended.next_run!r}"
        )
    kind = _FAILURES[ended.status]
    return kind(workflow_id, ended.run_id, FailureInfo.from_json(decode_json(ended.value)))


@dataclass(frozen=True, slots=True)
class Filter:
    """Which runs a list is to show."""

    status: RunStatus | None
    workflow: str | None
    attributes: dict[str, Any]
    words: Sequence[str]

    def matches(self, entry: IndexEntry, status: RunStatus) -> bool:
        """Say whether a run is wanted."""
        if status is not self.status and (self.status is not None or status is RunStatus.PURGED):
            return False
        if self.workflow is not None and entry.workflow != self.workflow:
            return False
        if not all(word in entry.id for word in self.words):
            return False
        if self.attributes:
            known = entry.attributes or {}
            return all(name in known and known[name] == value for name, value in self.attributes.items())
        return True
