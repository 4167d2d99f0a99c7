"""Messages that could not be applied at once, as they are stored: held for a while, or dead."""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass
from typing import Any, Final

from holdfast.core.errors import CorruptDocumentError
from holdfast.engine.records.documents import seal_object, unseal

__all__ = ["Letter", "shortened"]

_KEPT_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A record of a topic, kept as it came, and why it is kept.

    Attributes:
        topic: Where it came from.
        key: Its key; may be empty.
        value: Its content, as it came; the first part of it where it is `truncated`.
        id: The deliverer's name for it; may be empty.
        at: When it came, in milliseconds since 1970.
        reason: Why it was not applied, for a person.
        workflow_id: The run it is for; empty where it does not say.
        signal: The name of the signal; empty where it does not say.
        truncated: It was too large to be kept, so it cannot be tried again.
    """

    topic: str
    key: str
    value: bytes
    id: str
    at: int
    reason: str
    workflow_id: str = ""
    signal: str = ""
    truncated: bool = False

    def encode(self) -> bytes:
        """Write it as a document."""
        text = _readable(self.value)
        value = (
            {"value": text} if text is not None else {"value": base64.b64encode(self.value).decode(), "base64": True}
        )
        return seal_object({**asdict(self), **value})

    @classmethod
    def decode(cls, key: str, raw: bytes) -> Letter:
        """Read a document.

        Raises:
            CorruptDocumentError: It is damaged, or not as any release writes it.
        """
        fields: dict[str, Any] = unseal(key, raw)
        del fields["crc"]
        try:
            text = fields["value"].encode()
            fields["value"] = base64.b64decode(text) if fields.pop("base64", False) else text
            return cls(**fields)
        except (KeyError, TypeError, ValueError) as error:
            message = f"document {key!r} is not in a form known here: {error!r}"
            raise CorruptDocumentError(message) from error


def shortened(value: bytes, limit: int) -> tuple[bytes, bool]:
    """Cut a value that is too large to be kept; what is left shows a person what it was.

    Returns:
        The value, and whether it was cut.
    """
    return (value, False) if len(value) <= limit else (value[:_KEPT_BYTES], True)


def _readable(value: bytes) -> str | None:
    """Give a small value as the text that it is, for whoever looks into the store; escaped, a large one may double."""
    try:
        return value.decode() if len(value) <= _KEPT_BYTES else None
    except UnicodeDecodeError:
        return None
