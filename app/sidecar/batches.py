"""Reading what the sidecar brings: the entries of a batch, each as the record that was published.

One entry that cannot be read must not hold up the others: a batch that is answered with an error comes again, whole,
until it is not.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Entry", "read_batch"]

_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},:]', re.DOTALL)
_KEYS: Final = ("partitionKey", "__key")
"""Under which names brokers' components tell the key of a record."""


class Entry(NamedTuple):
    """One message.

    Attributes:
        id: By which the sidecar wants its status; empty for a message that came alone.
        key: The key of the record; may be empty.
        value: The record: a CloudEvent as JSON, or whatever was published raw.
    """

    id: str
    key: str
    value: bytes


def read_batch(raw: bytes) -> list[Entry] | None:
    """Read the body of a callback.

    Returns:
        Its entries; None where it is no batch, but a message that came alone.
    """
    try:
        body = json.loads(raw)
        if not isinstance(body, dict) or not isinstance(body.get("entries"), list) or "specversion" in body:
            return None
        return [_entry(entry) for entry in body["entries"] if isinstance(entry, dict)]
    except RecursionError:  # one of its messages is nested too deep to be read, and only that one may suffer
        return _cut(raw)
    except ValueError:
        return None


def _entry(entry: dict[str, Any]) -> Entry:
    metadata = entry.get("metadata")
    known = metadata if isinstance(metadata, dict) else {}
    key = next((str(known[name]) for name in _KEYS if known.get(name)), "")
    event = entry.get("event")
    value = _unpacked(event) if isinstance(event, str) else json.dumps(event).encode()
    return Entry(str(entry.get("entryId", "")), key, value)


def _unpacked(event: str) -> bytes:
    """Give what was published raw: the sidecar sends it in base64."""
    try:
        return base64.b64decode(event, validate=True)
    except binascii.Error:
        return json.dumps(event).encode()


def _cut(raw: bytes) -> list[Entry] | None:
    """Cut a batch into its entries by counting brackets, however deep they go."""
    members = dict(_members(raw))
    if "entries" not in members or "specversion" in members:
        return None
    entries = []
    for piece in _elements(members["entries"]):
        parts = dict(_members(piece))
        entries.append(Entry(json.loads(parts.get("entryId", b'""')), "", parts.get("event", b"null")))
    return entries


def _members(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """Give the members of an object, each value as it is written."""
    for piece in _elements(raw):
        name = _TOKEN.match(piece)
        if name is not None and piece[name.end() :].lstrip().startswith(b":"):
            yield json.loads(name[0]), piece[name.end() :].lstrip()[1:].strip()


def _elements(raw: bytes) -> Iterator[bytes]:
    """Give the elements of an array, or the members of an object, as they are written."""
    depth, start = 0, 0
    for token in _TOKEN.finditer(raw):
        mark = token[0]
        if mark in b"[{":
            depth += 1
            start = token.end() if depth == 1 else start
        elif (mark == b"," and depth == 1) or (mark in b"]}" and depth == 1):
            piece = raw[start : token.start()].strip()
            if piece:
                yield piece
            start = token.end()
        if mark in b"]}":
            depth -= 1
