"""Records of ``workflow-resume``: they start threads and answer refs, by the key of the thread."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NamedTuple

import orjson

from holdfast.core.codec import encode
from holdfast.core.errors import PayloadError
from holdfast.core.refs import check_ref_id
from holdfast.core.threads import check_key, thread_id
from holdfast.engine.messages.envelope import Envelope, load_message, read_envelope
from holdfast.engine.messages.routing import Message, identity

__all__ = ["ResumeKind", "ResumeMessage", "ResumeTopic", "init_record", "read_resume", "start_of"]

_NAMES_THREAD: Final = ("workflowid", "partitionkey", "subject")


class ResumeTopic(NamedTuple):
    """Where records come from that start threads and answer refs.

    Attributes:
        topic: The topic.
        entry: The workflow that they start where they name none; empty for none.
    """

    topic: str
    entry: str


class ResumeKind(Enum):
    """What a record asks for."""

    NEW = "new:"
    INIT = "init:"
    ANSWER = "answer"
    REJECTION = "rejection"


_STARTS: Final = (ResumeKind.NEW, ResumeKind.INIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeMessage(Message):
    """A thread is to be started, or one of its refs answered.

    Attributes:
        kind: Which of these.
        thread: The key of the thread.
        ref: The id of the ref; empty for a start.
    """

    kind: ResumeKind
    thread: str
    ref: str = ""


def read_resume(value: bytes, key: str, given: str, entry: str, *, limit: int) -> ResumeMessage:
    """Find out what a record asks for.

    Args:
        value: ``new:`` or ``init:`` and JSON, or ``{"ref": id, "value": any}``, or ``{"ref": id, "error": any}``; or a
            CloudEvent that has such a text or object as its data.
        key: The key of the thread; where it is empty the event's attribute ``workflowid``, ``partitionkey`` or
            ``subject`` is. The last one is all that a sidecar lets the publisher of a plain text say of it.
        given: The deliverer's own name for the record, where it has none itself.
        entry: The workflow that is started, unless the event's attribute ``workflow`` names another.
        limit: The most bytes of a value.

    Raises:
        PayloadError: It is none of these, has no key, or asks for a start and no workflow is named.
    """
    envelope = _opened(value)
    named = (envelope.text(name) for name in _NAMES_THREAD)
    thread = check_key(key or next(filter(None, named), ""))
    fields: dict[str, Any] = {
        "workflow_id": thread_id(thread),
        "thread": thread,
        "id": identity(envelope, given),
        "source": "",
        "sequence": 0,
        "trace": envelope.trace,
        "signal": "",
    }
    text = envelope.data if isinstance(envelope.data, str) else ""
    kind = start_of(text)
    if kind is not None:
        workflow = envelope.text("workflow") or entry
        return ResumeMessage(**fields, kind=kind, start=_named(workflow), payload=_input(kind, text, limit))
    data = load_message(text.encode(), "the record") if text else envelope.data
    if not isinstance(data, dict) or "ref" not in data:
        message = 'a record must be "new:" or "init:" and JSON, or an object with a "ref" and a "value" or an "error"'
        raise PayloadError(message)
    rejects = "error" in data
    answer = data["error"] if rejects else data.get("value")
    return ResumeMessage(
        **fields,
        kind=ResumeKind.REJECTION if rejects else ResumeKind.ANSWER,
        ref=check_ref_id(data["ref"]),
        payload=encode(answer, "answer to a ref", limit=limit),
    )


def start_of(text: str) -> ResumeKind | None:
    """Say how a text starts a thread; None where it does not."""
    return next((kind for kind in _STARTS if text.startswith(kind.value)), None)


def init_record(workflow: str, raw: bytes) -> bytes:
    """Write a record that starts a thread, unless there is one, with the workflow that it is to run."""
    event = {"specversion": "1.0", "type": "holdfast.thread", "workflow": workflow, "data": f"init:{raw.decode()}"}
    return orjson.dumps(event)


def _opened(value: bytes) -> Envelope:
    """Take a record for the text that it is, where that is no JSON but the beginning of a start."""
    if not any(value.startswith(kind.value.encode()) for kind in _STARTS):
        return read_envelope(value)
    try:
        return Envelope({}, value.decode())
    except UnicodeDecodeError as error:
        message = f"the record is not UTF-8: {error.reason}"
        raise PayloadError(message) from error


def _input(kind: ResumeKind, text: str, limit: int) -> bytes:
    given = load_message(text.removeprefix(kind.value).encode(), f"what follows {kind.value}")
    return encode(given, "input of a thread", limit=limit)


def _named(workflow: str) -> str:
    if not workflow:
        message = "the record does not say which workflow to start, and no resume_entry is set"
        raise PayloadError(message)
    return workflow
