"""The records a run is stored in: keys, checksums, events as JSON.

Every document is one JSON object that ends in a checksum of the exact bytes before it. Values above `INLINE_BYTES`
stand in documents of their own, so that the head of a run stays small whatever the run handles.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

import orjson

from holdfast.core.codec import fitted
from holdfast.core.errors import CorruptDocumentError
from holdfast.core.history import Event, EventType

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "INLINE_BYTES",
    "SCHEMA",
    "blob_key",
    "checkpoint_key",
    "commit_key",
    "dead_key",
    "decode_event",
    "held_key",
    "missing_document",
    "owner_key",
    "page_key",
    "past_key",
    "run_key",
    "seal",
    "seal_object",
    "seal_value",
    "seen_key",
    "segment_key",
    "unseal",
    "unseal_value",
]

SCHEMA: Final = 1
INLINE_BYTES: Final = 2 * 1024

_CHECKSUM_BYTES: Final = 18
_VALUE_PREFIX: Final = b'{"value":'


def run_key(workflow_id: str) -> str:
    """Where the newest run of a workflow id is kept."""
    return f"run:{workflow_id}"


def past_key(run_id: str) -> str:
    """Where an earlier run of a workflow id is kept."""
    return f"past:{run_id}"


def page_key(run_id: str, number: int) -> str:
    """Where a sealed page of a history is kept."""
    return f"page:{run_id}:{number}"


def blob_key(run_id: str, number: int) -> str:
    """Where a large value is kept."""
    return f"blob:{run_id}:{number}"


def seen_key(run_id: str, number: int) -> str:
    """Where a sealed list of signal ids is kept."""
    return f"seen:{run_id}:{number}"


def commit_key(partition: str, seq: int) -> str:
    """Where the record of a commit is kept."""
    return f"commit:{partition}:{seq}"


def segment_key(partition: str, number: int) -> str:
    """Where a part of the index is kept."""
    return f"index:{partition}:{number}"


def checkpoint_key(partition: str) -> str:
    """Where it is kept up to which commit the segments of the index go."""
    return f"checkpoint:{partition}"


def held_key(partition: str, number: int) -> str:
    """Where a message is kept that waits for its run, or for the messages before it."""
    return f"held:{partition}:{number}"


def dead_key(partition: str, number: int) -> str:
    """Where a message is kept that found no run."""
    return f"dead:{partition}:{number}"


def owner_key(partition: str) -> str:
    """Where the owner of a partition is kept."""
    return f"owner:{partition}"


def seal(body: bytes) -> bytes:
    """Close a JSON object, given without its last brace, with a checksum of the bytes so far."""
    return b'%b,"crc":"%08x"}' % (body, zlib.crc32(body))


def seal_object(value: Mapping[str, Any]) -> bytes:
    """Write an object as a document."""
    return seal(orjson.dumps(value)[:-1])


def seal_value(value: bytes) -> bytes:
    """Write a JSON value, given as bytes, as a document of its own."""
    return seal(_VALUE_PREFIX + value)


def unseal_value(key: str, raw: bytes) -> bytes:
    """Read the JSON value of a document, as bytes.

    Raises:
        CorruptDocumentError: Its checksum does not match.
    """
    _check(key, raw)
    return raw[len(_VALUE_PREFIX) : -_CHECKSUM_BYTES]


def unseal(key: str, raw: bytes) -> dict[str, Any]:
    """Read a document.

    Raises:
        CorruptDocumentError: Its checksum does not match, it is no JSON object, or of a newer schema.
    """
    _check(key, raw)
    value: dict[str, Any] = orjson.loads(raw)
    if value.get("schema", SCHEMA) > SCHEMA:
        message = f"document {key!r} was written by a newer release (schema {value['schema']}, this one knows {SCHEMA})"
        raise CorruptDocumentError(message)
    return value


def missing_document(key: str) -> CorruptDocumentError:
    """Say that a document is not there, although another one, or the index, names it."""
    return CorruptDocumentError(f"document {key!r} is missing")


def _check(key: str, raw: bytes) -> None:
    body = raw[:-_CHECKSUM_BYTES]
    if raw[-_CHECKSUM_BYTES:] != b',"crc":"%08x"}' % zlib.crc32(body):
        message = f"document {key!r} is damaged: its checksum does not match its {len(raw):,} bytes"
        raise CorruptDocumentError(message)


def decode_event(record: dict[str, Any], blobs: Mapping[str, bytes]) -> Event:
    """Read an event back.

    Args:
        record: As the journal wrote it, read as JSON.
        blobs: The large values of the run, by key.
    """
    value = b""
    if "blob" in record:
        value = blobs[record["blob"]]
    elif "value" in record:
        value = fitted(orjson.dumps(record["value"]))
    return Event(EventType(record["type"]), record["at"], record["id"], record["name"], value, record.get("details"))
