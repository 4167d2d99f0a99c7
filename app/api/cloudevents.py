"""Signals sent as CloudEvents over HTTP: structured, or binary with the attributes in headers."""

from __future__ import annotations

from typing import Any, Final

from flask import request

from app.api.problem import misfit
from holdfast.engine.messages.envelope import Envelope, envelope_of
from holdfast.engine.messages.routing import identity

__all__ = ["read_signal"]

_STRUCTURED: Final = "application/cloudevents+json"
_PREFIX: Final = "ce-"


def read_signal(payload: object, key: str | None) -> tuple[Any, str | None]:
    """Give what a signal carries, and by what a duplicate of it is known.

    Args:
        payload: The body, as JSON.
        key: The caller's name for the request.

    Returns:
        The payload, and the id: of the event, else the key.

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
        return payload, key
    return event.data, event.text("signalid") or identity(event, key or "") or None
