"""Outputs, as workflow code asks for them: to which topics, and in which form they are recorded.

A history is JSON, so each output is recorded as a JSON value beside its content type, which says how to get the bytes
back: a JSON value stands for itself, a text for its characters, and anything else for bytes in Base64.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from holdfast.core.codec import decode_json, encode
from holdfast.core.errors import PayloadError, UndeclaredTopicError
from holdfast.core.history import Command, EventType
from holdfast.core.ids import check_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.core.history import Event
    from holdfast.core.instance import Instance

__all__ = [
    "BYTES",
    "JSON",
    "MAX_OUTBOX",
    "RESUME_TOPIC",
    "TEXT",
    "Output",
    "declared_topics",
    "output_of",
    "require_room",
    "send_json",
    "send_plain",
]

MAX_OUTBOX: Final = 1_000
"""How many effects of a run may wait to be carried out when it asks for one more output."""

JSON: Final = "application/json"
TEXT: Final = "text/plain"
BYTES: Final = "application/octet-stream"

RESUME_TOPIC: Final = "workflow-resume"
"""Where other threads, and this one, are resumed; every workflow may write to it."""

_LONGEST_KEY: Final = 2_048
_TO_OUTBOX: Final = frozenset(
    {
        EventType.OUTPUT_SENT,
        EventType.CHILD_STARTED,
        EventType.CHILD_CANCEL_REQUESTED,
        EventType.SIGNAL_SENT,
        EventType.THREAD_ENSURED,
    }
)


class Output(NamedTuple):
    """What an output carries.

    Attributes:
        key: What a broker may part and order by; None where none was given.
        value: The bytes that leave.
    """

    topic: str
    key: str | None
    value: bytes
    content_type: str


def declared_topics(outputs: Iterable[str]) -> frozenset[str]:
    """Check the topics that a workflow declares.

    Raises:
        TypeError: It is one text, which would be taken for a list of characters.
        PayloadError: One of them is no text, or empty.
    """
    if isinstance(outputs, str):
        message = f"outputs must be a list of topics: write outputs=[{outputs!r}]"
        raise TypeError(message)
    return frozenset(check_text(topic, "topic") for topic in outputs)


def send_plain(run: Instance, topic: str, value: object, key: str | None) -> None:
    """Ask for a text or bytes to be published as they are.

    Raises:
        UndeclaredTopicError: The workflow does not declare the topic.
        PayloadError: The value is neither, or too large; the topic or key is no text; too much is on its way.
    """
    what = _checked(run, topic, key)
    if isinstance(value, str):
        content_type, plain = TEXT, value
    elif isinstance(value, (bytes, bytearray, memoryview)):
        content_type, plain = BYTES, base64.b64encode(value).decode()
    else:
        message = f"{what} must be a text or bytes, not {type(value).__name__}; ctx.output_json takes any JSON value"
        raise PayloadError(message)
    _send(run, topic, encode(plain, what, limit=run.host.payload_limit), content_type, key)


def send_json(run: Instance, topic: str, value: object, key: str | None) -> None:
    """Ask for a value to be published as JSON.

    Raises:
        UndeclaredTopicError: The workflow does not declare the topic.
        PayloadError: The value has no JSON form or is too large; the topic or key is no text; too much is on its way.
    """
    what = _checked(run, topic, key)
    _send(run, topic, encode(value, what, limit=run.host.payload_limit), JSON, key)


def output_of(event: Event) -> Output:
    """Give what a recorded output carries."""
    details = event.details or {}
    content_type: str = details["content_type"]
    if content_type == JSON:
        value = event.value
    elif content_type == TEXT:
        value = decode_json(event.value).encode()
    else:
        value = base64.b64decode(decode_json(event.value))
    return Output(event.name, details.get("key"), value, content_type)


def require_room(run: Instance, command_id: str, name: str) -> None:
    """Refuse one effect more where too many have not been carried out; that it was refused is recorded.

    Args:
        run: Whose effect it is.
        command_id: Of the command that asks for it.
        name: Of its topic or workflow.

    Raises:
        PayloadError: There is no room.
    """
    if _is_refused(run, command_id):
        run.issue(Command(EventType.OUTPUT_REFUSED, run.loop.now_ms, command_id, name))
        message = f"{MAX_OUTBOX:,} effects of this run have not been carried out yet: the next cannot be taken"
        raise PayloadError(message, too_large=True)


def _checked(run: Instance, topic: str, key: str | None) -> str:
    """Check where an output is to go, and name it for messages."""
    check_text(topic, "topic")
    declared = run.definition.outputs
    if topic not in declared and topic != RESUME_TOPIC:
        message = (
            f"workflow {run.definition.name!r} does not declare the topic {topic!r}: name it in "
            f"@workflow(outputs=[...]); declared: {', '.join(sorted(declared)) or 'none'}"
        )
        raise UndeclaredTopicError(message, topic=topic)
    if key is not None:
        check_text(key, "key", longest=_LONGEST_KEY)
    return f"output to topic {topic!r}"


def _send(run: Instance, topic: str, raw: bytes, content_type: str, key: str | None) -> None:
    command_id, now = run.loop.lineage().next_id(), run.loop.now_ms
    require_room(run, command_id, topic)
    details: dict[str, Any] = {"content_type": content_type}
    if key is not None or run.info.thread_key:
        details["key"] = run.info.thread if key is None else key
    run.issue(Command(EventType.OUTPUT_SENT, now, command_id, topic, raw, details))


def _is_refused(run: Instance, command_id: str) -> bool:
    """Say whether there is no room. How fast outputs leave is no part of the history, so a refusal is recorded."""
    if run.replaying:
        return command_id in run.known_refusals
    asked = run.asked
    if len(run.outbox) + len(asked) < MAX_OUTBOX:
        return False
    return len(run.outbox) + sum(command.type in _TO_OUTBOX for command in asked) >= MAX_OUTBOX
