"""Reading a record: a CloudEvent in its structured form, or plain JSON."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from holdfast.core.errors import PayloadError
from holdfast.core.strict_json import JsonError, load

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Envelope", "envelope_of", "load_message", "read_envelope"]

_CONTENT: Final = frozenset({"data", "data_base64"})


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a record says, and what it says about itself.

    Attributes:
        attributes: Those of a CloudEvent, extensions included; empty for plain JSON.
        data: The content, as a JSON value.
    """

    attributes: Mapping[str, Any]
    data: Any

    def text(self, name: str) -> str:
        """Give an attribute that is a text; empty where it is absent, or is none: a sender's slip is not our end."""
        value = self.attributes.get(name)
        return value if isinstance(value, str) else ""

    @property
    def trace(self) -> str:
        """The W3C trace context of its sender as one text, unchecked; empty where there is none.

        Source: CloudEvents, distributed tracing extension.
        """
        return f"{self.text('traceparent')} {self.text('tracestate')}".strip()


def read_envelope(value: bytes) -> Envelope:
    """Read a record.

    Args:
        value: JSON. An object with a ``specversion`` is taken for a CloudEvent.

    Raises:
        PayloadError: It is not JSON that can be kept, or a CloudEvent of another major version.

    Source: CloudEvents 1.0, JSON event format.
    """
    found = load_message(value, "the message")
    return envelope_of(found) if isinstance(found, dict) and "specversion" in found else Envelope({}, found)


def envelope_of(found: Mapping[str, Any]) -> Envelope:
    """Take a CloudEvent apart that has been read as JSON.

    Raises:
        PayloadError: It is of another major version, or its content cannot be read.
    """
    version = found.get("specversion")
    if not isinstance(version, str) or not version.startswith("1."):
        message = f"the message is a CloudEvent of version {version!r}, of which only 1.x is known"
        raise PayloadError(message, field="specversion")
    attributes = {name: value for name, value in found.items() if name not in _CONTENT}
    data = _from_base64(found["data_base64"]) if "data_base64" in found and "data" not in found else found.get("data")
    return Envelope(attributes, data)


def load_message(value: bytes, what: str) -> Any:  # noqa: ANN401 - any JSON value
    """Read JSON that came with a message.

    Raises:
        PayloadError: It is not JSON that can be kept.
    """
    try:
        return load(value)
    except JsonError as error:
        message = f"{what} cannot be read: {error}"
        raise PayloadError(message, field=error.field) from error


def _from_base64(text: object) -> Any:  # noqa: ANN401 - any JSON value
    """Read content that its sender, or the sidecar, took for binary; what is kept of a run is JSON."""
    try:
        raw = base64.b64decode(text if isinstance(text, str) else "", validate=True)
    except binascii.Error as error:
        message = f"data_base64 is not base64: {error}"
        raise PayloadError(message, field="data_base64") from error
    return load_message(raw, "the content in data_base64")
