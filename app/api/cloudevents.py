"""Signals sent as CloudEvents over HTTP: structured, or binary with the attributes in headers."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from flask import request

from app.api.problem import misfit
from app.tracing import sender
from holdfast.core.trace import Trace
from holdfast.engine.messages.envelope import Envelope, envelope_of
from holdfast.engine.messages.routing import identity

__all__ = ["Content", "read_signal"]

_STRUCTURED: Final = "application/cloudevents+json"
_PREFIX: Final = "ce-"


class Content(NamedTuple):
    """What a request sends as a signal.

    Attributes:
        payload: What it carries.
        id: By which a duplicate is known; None where there is nothing to know it by.
        trace: The trace context of its sender, as the engine takes it; None where there is none.
    """

    payload: Any
    id: str | None
    trace: str | None


def read_signal(payload: object, key: str | None) -> Content:
    """Find out what a signal carries, by what a duplicate of it is known, and which trace it belongs to.

    Args:
        payload: The body, as JSON.
        key: The caller's name for the request.

    Returns:
        What the event says of itself; else the key, and the trace of the request.

    Raises:
        ProblemError: The body claims to be a CloudEvent, and is none.
        PayloadError: It is of a version that is not known.

    Source: CloudEvents 1.0, HTTP protocol binding.
    """
    if request.mimetype == _STRUCTURED:
        if not isinstance(payload, dict):
            message = "a CloudEvent is a JSON object"
            raise misfit(message, "")
        event = envelope_of(payload)
    elif f"{_PREFIX}specversion" in request.headers:
        named = {name.lower(): value for name, value in request.headers.items()}
        attributes = {name[len(_PREFIX) :]: value for name, value in named.items() if name.startswith(_PREFIX)}
        event = Envelope(attributes, payload)
    else:
        return Content(payload, key, sender())
    name = event.text("signalid") or identity(event, key or "") or None
    return Content(event.data, name, event.trace if Trace.read(event.trace) is not None else sender())
