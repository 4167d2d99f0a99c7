"""The head of a run: the one document that each of its commits writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from holdfast.core.codec import fitted
from holdfast.core.history import RunStatus
from holdfast.core.host import RunInfo
from holdfast.core.trace import Trace
from holdfast.engine.records.documents import INLINE_BYTES, SCHEMA, seal

if TYPE_CHECKING:
    from holdfast.engine.records.journal import Journal

__all__ = ["MAX_HEAD_BYTES", "Head", "Parent", "Request", "no_run"]

MAX_HEAD_BYTES = 256 * 1024

_STATUS_BYTES = {status: status.value.encode() for status in RunStatus}


class Parent(NamedTuple):
    """The run that started this one as its child, and the command that waits for it."""

    workflow_id: str
    run_id: str
    command_id: str


class Request(NamedTuple):
    """The request that started a run, so that the same request again gets the same answer."""

    id: str
    digest: str
    run_id: str


@dataclass(slots=True)
class Head:
    """What is known of a run besides its history.

    Instants are milliseconds since 1970; 0 stands for none.

    Attributes:
        seed: What random numbers and hashes of the run follow from.
        input: As JSON.
        requests: The newest requests that started runs of this workflow id.
        previous: The run of the same workflow id before this one, kept as a past run; may be empty.
        deadline: When the run's time-out is reached.
        updated: When it was last changed.
        finished: When it ended.
        value: Its result or, where it did not complete, its failure, as JSON.
        input_blob: Where the input is kept, if it is too large for the head.
        value_blob: Where the value is kept, if it is too large for the head.
        next_run: The run that followed by continue-as-new; may be empty.
        trace: The trace context that it belongs to; None where it was started without one.
        thread: The key that it was started under as a thread; empty where it is none.
        children: Open children taken over from the previous run, with what becomes of them when this one ends.
        revision: Counts the commits.
        write_id: Names the newest commit's write of this document.
    """

    workflow_id: str
    run_id: str
    workflow: str
    version: str
    created: int
    seed: int
    input: bytes
    parent: Parent | None = None
    previous: str = ""
    requests: tuple[Request, ...] = ()
    deadline: int = 0
    status: RunStatus = RunStatus.RUNNING
    updated: int = 0
    finished: int = 0
    value: bytes = b""
    input_blob: str = ""
    value_blob: str = ""
    next_run: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    children: dict[str, str] = field(default_factory=dict)
    revision: int = 0
    write_id: str = ""
    trace: Trace | None = None
    thread: str = ""
    _constant: bytes = b""

    @property
    def info(self) -> RunInfo:
        """Who the run is."""
        trace_id = self.trace.id if self.trace is not None else ""
        return RunInfo(self.workflow_id, self.run_id, self.seed, trace_id, self.thread)

    @property
    def trace_text(self) -> str:
        """The trace context that it belongs to, as one text; may be empty."""
        return self.trace.text if self.trace is not None else ""

    @property
    def log_fields(self) -> dict[str, str]:
        """What a record of a log says of the run beside its message."""
        return self.info.log_fields(self.workflow)

    def encode(self, journal: Journal, more: dict[str, Any]) -> bytes:
        """Write the document for the current revision.

        Args:
            journal: The run's history; large values are set aside in it.
            more: What else the run keeps, as JSON values.
        """
        constant = self._constant or self._encode_constant(journal)
        parts = self._changing_parts(journal) if self.finished or self.attributes or self.children else b""
        if more:
            parts += b"," + orjson.dumps(more)[1:-1]
        return seal(
            b'%b,"status":"%b","revision":%d,"write_id":"%b","updated":%d,"events":%d,"pages":%d,"blobs":%d%b,"tail":[%b]'
            % (
                constant,
                _STATUS_BYTES[self.status],
                self.revision,
                self.write_id.encode(),
                self.updated,
                journal.events,
                journal.pages,
                journal.blobs,
                parts,
                b",".join(journal.tail),
            )
        )

    def _encode_constant(self, journal: Journal) -> bytes:
        """Write, once, what never changes while the run lives."""
        constant: dict[str, Any] = {
            "schema": SCHEMA,
            "id": self.workflow_id,
            "run_id": self.run_id,
            "workflow": self.workflow,
            "version": self.version,
            "created": self.created,
            "seed": self.seed,
        }
        if self.parent:
            constant["parent"] = list(self.parent)
        if self.previous:
            constant["previous"] = self.previous
        if self.requests:
            constant["requests"] = [list(request) for request in self.requests]
        if self.deadline:
            constant["deadline"] = self.deadline
        if self.trace is not None:
            constant["trace"] = list(self.trace)
        if self.thread:
            constant["thread"] = self.thread
        if len(self.input) > INLINE_BYTES and not self.input_blob:
            self.input_blob = journal.set_aside(self.input)
        self._constant = orjson.dumps(constant)[:-1] + _reference("input", self.input, self.input_blob)
        return self._constant

    def _changing_parts(self, journal: Journal) -> bytes:
        """Write what most commits do not have."""
        parts = b""
        if self.attributes:
            parts += b',"attributes":' + orjson.dumps(self.attributes)
        if self.children:
            parts += b',"children":' + orjson.dumps(self.children)
        if self.finished:
            if len(self.value) > INLINE_BYTES and not self.value_blob:
                self.value_blob = journal.set_aside(self.value)
            parts += b',"finished":%d%b' % (self.finished, _reference("value", self.value, self.value_blob))
        if self.next_run:
            parts += b',"next_run":"%b"' % self.next_run.encode()
        return parts

    @classmethod
    def decode(cls, stored: dict[str, Any], blobs: dict[str, bytes]) -> Head:
        """Read the document back.

        Args:
            stored: The document, read as JSON.
            blobs: The large values that it names, by key.
        """
        return cls(
            workflow_id=stored["id"],
            run_id=stored["run_id"],
            workflow=stored["workflow"],
            version=stored["version"],
            created=stored["created"],
            seed=stored["seed"],
            input=_referred("input", stored, blobs),
            parent=Parent(*stored["parent"]) if "parent" in stored else None,
            previous=stored.get("previous", ""),
            requests=tuple(Request(*request) for request in stored.get("requests", ())),
            deadline=stored.get("deadline", 0),
            status=RunStatus(stored["status"]),
            updated=stored["updated"],
            finished=stored.get("finished", 0),
            value=_referred("value", stored, blobs),
            input_blob=stored.get("input_blob", ""),
            value_blob=stored.get("value_blob", ""),
            next_run=stored.get("next_run", ""),
            attributes=stored.get("attributes", {}),
            children=stored.get("children", {}),
            revision=stored["revision"],
            write_id=stored["write_id"],
            trace=Trace(*stored["trace"][:3]) if "trace" in stored else None,
            thread=stored.get("thread", ""),
        )


def _reference(name: str, value: bytes, blob: str) -> bytes:
    if blob:
        return b',"%b_blob":"%b"' % (name.encode(), blob.encode())
    return b',"%b":%b' % (name.encode(), value or b"null")


def _referred(name: str, stored: dict[str, Any], blobs: dict[str, bytes]) -> bytes:
    if f"{name}_blob" in stored:
        return blobs[stored[f"{name}_blob"]]
    return fitted(orjson.dumps(stored[name])) if name in stored else b""


def no_run(workflow_id: str) -> Head:
    """Make what stands for the head of a workflow id that has no run."""
    return Head(workflow_id, "", "", "", 0, 0, b"null", status=RunStatus.PURGED)
