"""JSON out: a fast writer for what we know."""

from __future__ import annotations

import orjson

__all__ = ["dump"]


def dump(value: object) -> bytes:
    """Write a value: JSON types, dataclasses, models' own dictionaries, and times, which become RFC 3339 in UTC."""
    return orjson.dumps(value, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)
