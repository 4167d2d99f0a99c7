"""Which run a message is for: by the convention of our own topics, or by the mapping of somebody else's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from holdfast.core.codec import encode
from holdfast.core.errors import PayloadError
from holdfast.core.ids import check_id, check_text, short_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.engine.messages.envelope import Envelope

__all__ = ["SIGNALS_TOPIC", "Message", "TopicMapping", "filled", "identity", "route"]

SIGNALS_TOPIC: Final = "workflow-signals"

_PLACE: Final = re.compile(r"\{([^{}]*)\}")
_PATH: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_LONGEST_ID: Final = 256
_LARGEST_EXACT: Final = 2**53 - 1
"""Beyond it a float does not tell an integer from its neighbours, and a sidecar reads every number of JSON as one."""
_SEQUENCE: Final = re.compile(r"[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class TopicMapping:
    """How the records of a topic become signals.

    Without `workflow_id` and `signal` the records say themselves what they are for: in the attributes ``workflowid``
    and ``signalname`` of a CloudEvent, whose data is the payload, or in the fields ``workflow_id``, ``signal`` and
    ``payload`` of the data. With both, any topic of another team can signal workflows: they are texts in which
    ``{data.order.id}`` stands for a field of the data, ``{subject}`` for an attribute, ``{key}`` for the record's key
    and ``{topic}`` for its topic; the data is the payload.

    Attributes:
        topic: The topic.
        workflow_id: Which run, such as ``order-{data.order_id}``.
        signal: Under which name it receives the record, such as ``payment``.
        start: The workflow to start first, with the data as its input, where no run of that id is open; empty for none.
        sequence: Where the number of the record stands, such as ``{sequence}``, if the records of a run and a source
            are numbered from 1 and have to be applied in that order; empty where they are not.
    """

    topic: str
    workflow_id: str = ""
    signal: str = ""
    start: str = ""
    sequence: str = ""

    def __post_init__(self) -> None:
        """Check what can be checked without a record.

        Raises:
            ValueError: The topic is empty, only one of `workflow_id` and `signal` is given, or a place is not one.
        """
        if not self.topic:
            message = "a topic mapping needs a topic"
            raise ValueError(message)
        if bool(self.workflow_id) != bool(self.signal):
            message = f"the mapping of topic {self.topic!r} needs both, workflow_id and signal, or neither"
            raise ValueError(message)
        for name in ("workflow_id", "signal", "sequence"):
            text = getattr(self, name)
            if not all(map(_PATH.fullmatch, _PLACE.findall(text))) or not {"{", "}"}.isdisjoint(_PLACE.sub("", text)):
                message = (
                    f"the mapping of topic {self.topic!r} has in {name} a place that is not one: {text!r}; "
                    "write {data.id}"
                )
                raise ValueError(message)


@dataclass(frozen=True, slots=True)
class Message:
    """A signal that came with a record.

    Attributes:
        workflow_id: The run.
        signal: The name of the signal.
        payload: What it carries, as JSON.
        id: By which a duplicate is known; empty where there is nothing to know it by.
        source: Who sent it, as far as the order of its messages goes.
        sequence: Its number among those of its source for that run, from 1; 0 where they are not numbered.
        start: The workflow to start first, where no run is open; empty for none.
        trace: The W3C trace context of its sender, unchecked; empty where there is none.
        lapses: It is for an open run alone: where there is none, there is nothing to be done.
    """

    workflow_id: str
    signal: str
    payload: bytes
    id: str
    source: str
    sequence: int
    start: str = ""
    trace: str = ""
    lapses: bool = False


def route(mapping: TopicMapping, envelope: Envelope, key: str, id: str, *, limit: int) -> Message:
    """Find out what a record asks for.

    Args:
        mapping: Of its topic.
        envelope: The record.
        key: Its key; may be empty.
        id: The deliverer's own name for it, where it has none itself.
        limit: The most bytes of a payload.

    Raises:
        PayloadError: It does not say which run or signal it is for, or its content cannot be kept.
        InvalidIdError: The id of the run is not one.
    """
    data = envelope.data if isinstance(envelope.data, dict) else {}
    payload, sequence = envelope.data, ""
    own_id = envelope.attributes.get("signalid")
    if mapping.workflow_id:
        places = {**envelope.attributes, "data": envelope.data, "key": key, "topic": mapping.topic}
        workflow_id: object = filled(mapping.workflow_id, places)
        signal: object = filled(mapping.signal, places)
        sequence = filled(mapping.sequence, places)
    elif "workflowid" in envelope.attributes and "signalname" in envelope.attributes:
        workflow_id, signal = envelope.attributes["workflowid"], envelope.attributes["signalname"]
        sequence = envelope.attributes.get("sequence", "")
    elif "workflow_id" in data and "signal" in data:
        workflow_id, signal, payload = data["workflow_id"], data["signal"], data.get("payload")
        sequence = envelope.attributes.get("sequence", data.get("sequence", ""))
        own_id = own_id or data.get("signal_id", data.get("signalid"))
    else:
        message = (
            "the message does not say what it is for: give a CloudEvent the attributes workflowid and signalname, "
            "or the data the fields workflow_id and signal"
        )
        raise PayloadError(message)
    return Message(
        workflow_id=check_id(workflow_id),
        signal=check_text(signal, "signal name"),
        payload=encode(payload, "payload of the message", limit=limit),
        id=check_text(own_id, "signal id") if own_id else identity(envelope, id),
        source=check_text(envelope.attributes.get("source", ""), "source", longest=1_024, empty=True),
        sequence=_number(sequence),
        start=mapping.start,
        trace=envelope.trace,
    )


def identity(envelope: Envelope, given: str) -> str:
    """Choose the id by which a duplicate is known: the event's, which its source makes unique, else the deliverer's."""
    event_id = envelope.text("id")
    found = f"{envelope.text('source')} {event_id}" if event_id else given
    return found if len(found) <= _LONGEST_ID else "long-" + short_hash(found, 26)


def _number(value: object) -> int:
    if value == "":
        return 0
    if isinstance(value, int | str) and not isinstance(value, bool) and _SEQUENCE.fullmatch(str(value)):
        _require_exact(value, "sequence")
        return int(value)
    message = f"sequence must be a decimal number from 1, not {str(value)[:40]!r}"
    raise PayloadError(message, field="sequence")


def filled(text: str, places: Mapping[str, Any]) -> str:
    """Put what a message says into the places of a text.

    Raises:
        PayloadError: It says nothing there that is a text or a number.
    """
    return _PLACE.sub(lambda match: _found(match[1], places), text)


def _found(path: str, places: Mapping[str, Any]) -> str:
    value: Any = places
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    _require_exact(value, path)
    if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
        return str(value)
    message = f"the message has no text or number at {path!r}, by which its topic is mapped"
    raise PayloadError(message, field=path)


def _require_exact(value: object, where: str) -> None:
    """Refuse a number that may not be what its sender wrote: it would lead to the run of another.

    Raises:
        PayloadError: It is too large to come unchanged through a sidecar.
    """
    if isinstance(value, int | float) and abs(value) > _LARGEST_EXACT:
        message = (
            f"the number at {where!r} is beyond {_LARGEST_EXACT:,}, and may have been changed on its way: "
            "send it as a text"
        )
        raise PayloadError(message, field=where)
