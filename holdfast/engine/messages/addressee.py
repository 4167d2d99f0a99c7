"""Whom a message is for, as far as it says so, where it cannot be delivered: for people who look for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from holdfast.core.errors import PayloadError
from holdfast.core.strict_json import JsonError, load
from holdfast.engine.messages.routing import Message, filled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.engine.messages.routing import TopicMapping

__all__ = ["addressee"]

_LONGEST: Final = 256


def addressee(mapping: TopicMapping | None, value: bytes, key: str) -> Message:
    """Read the names of run and signal where nothing else may be right.

    Args:
        mapping: Of its topic; None where the topic has none.
        value: The record.
        key: Its key; may be empty.

    Returns:
        A message with these names, each empty where it is not said as a plain text, and nothing else.
    """
    found = _read(value)
    attributes = found if isinstance(found, dict) and "specversion" in found else {}
    data = attributes.get("data") if attributes else found
    fields = data if isinstance(data, dict) else {}
    names: tuple[Any, Any]
    if mapping is not None and mapping.workflow_id:
        places = {**attributes, "data": data, "key": key, "topic": mapping.topic}
        names = _filled(mapping.workflow_id, places), _filled(mapping.signal, places)
    elif "workflowid" in attributes or "signalname" in attributes:
        names = attributes.get("workflowid"), attributes.get("signalname")
    else:
        names = fields.get("workflow_id"), fields.get("signal")
    workflow_id, signal = map(_plain, names)
    return Message(workflow_id, signal, b"", "", "", 0)


def _read(value: bytes) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return load(value)
    except JsonError:
        return None


def _filled(text: str, places: Mapping[str, Any]) -> str:
    try:
        return filled(text, places)
    except PayloadError:
        return ""


def _plain(name: object) -> str:
    return name if isinstance(name, str) and len(name) <= _LONGEST else ""
