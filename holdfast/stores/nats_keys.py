"""Keys of documents as keys of a NATS bucket, which knows fewer characters."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from holdfast.core.errors import StoreError

__all__ = ["MAX_KEY_BYTES", "decode", "encode"]

MAX_KEY_BYTES: Final = 2_000
"""The longest key, as NATS sees it. A line of its protocol that is longer than 4,096 bytes ends the connection."""

_PLAIN: Final = re.compile(r"[-/_A-Za-z0-9]+(?:\.[-/_A-Za-z0-9]+)*")
_FOREIGN: Final = re.compile(r"[^-/_.A-Za-z0-9]+|\A\.|\.\Z|\.(?=\.)|(?<=\.)\.")
_ESCAPE: Final = re.compile(r"=([0-9A-F]{2})")


def encode(key: str) -> str:
    """Write a key with the characters that every client of a NATS bucket takes.

    Letters, digits, ``-``, ``_``, ``/`` and single dots inside stay as they are; every other byte of its UTF-8
    becomes ``=XX``. No two keys become the same.

    Raises:
        StoreError: The key is empty, or longer than `MAX_KEY_BYTES` when it is written so.
    """
    encoded = key.replace(":", "=3A")  # the keys of the engine hold no other foreign character
    if "=" in key or not _PLAIN.fullmatch(encoded.replace("=", "")):
        encoded = _FOREIGN.sub(_escaped, key)
    if not 0 < len(encoded) <= MAX_KEY_BYTES:
        msg = f"a key of NATS has 1 to {MAX_KEY_BYTES} bytes; {key[:50]!r} has {len(encoded)}"
        raise StoreError(msg)
    return encoded


def decode(encoded: str) -> str | None:
    """Give the key that was written so; None for what `encode` never gives, such as keys of other programs."""
    if _PLAIN.fullmatch(encoded):
        return encoded
    try:
        key = unquote_to_bytes(_ESCAPE.sub(r"%\1", encoded)).decode()
    except UnicodeDecodeError:
        return None
    return key if _FOREIGN.sub(_escaped, key) == encoded else None


def _escaped(match: re.Match[str]) -> str:
    return "".join(f"={byte:02X}" for byte in match[0].encode())
