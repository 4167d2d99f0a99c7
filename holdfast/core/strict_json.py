"""JSON from strangers, read strictly.

The reader takes only what the engine can keep and give back unchanged: UTF-8, no key twice in an object, no NaN or
infinity, integers of 64 bits (the engine's codec has no larger ones), half of no surrogate pair, 64 levels deep.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

__all__ = ["MAX_DEPTH", "JsonError", "load"]

MAX_DEPTH: Final = 64
_LEAST: Final = -(2**63)
_MOST: Final = 2**64 - 1
_LONGEST_INTEGER: Final = len(str(_LEAST))
_WITH_TEXT: Final = (str, dict, list)
_LARGE_NUMBER: Final = re.compile(r"[0-9]{19}|[0-9][eE]")
"""What every number looks like that could be over a limit, and a few that are not."""


class JsonError(ValueError):
    """A text that is not the JSON we take.

    Attributes:
        field: The path of the value at fault, such as ``items.0.sku``; empty where it is the text as a whole.
    """

    def __init__(self, message: str, field: str = "") -> None:
        """Keep the field beside the message."""
        super().__init__(message)
        self.field = field


def load(raw: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Read a value.

    Raises:
        JsonError: The text is not JSON, or holds what the engine could not keep.
    """
    try:
        value = _read(raw.decode())
    except UnicodeDecodeError as error:
        message = f"the text is not UTF-8: {error.reason} at byte {error.start}"
        raise JsonError(message) from error
    except json.JSONDecodeError as error:
        message = f"the text is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        raise JsonError(message) from error
    except RecursionError as error:
        raise JsonError(_TOO_DEEP) from error
    _check(value, ())
    return value


_TOO_DEEP: Final = f"the text is nested more than {MAX_DEPTH} levels deep"


def _read(text: str) -> Any:  # noqa: ANN401 - any JSON value
    if _LARGE_NUMBER.search(text) is None:  # a call for each number of a long list would take half a second
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    return json.loads(
        text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_number
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                message = f"the key {name[:80]!r} stands twice in one object"
                raise JsonError(message, name[:80])
            seen.add(name)
    return found


def _constant(name: str) -> None:
    message = f"{name} is not JSON"
    raise JsonError(message)


def _integer(text: str) -> int:
    value = int(text) if len(text) <= _LONGEST_INTEGER + 1 else _MOST + 1
    if not _LEAST <= value <= _MOST:
        message = f"the integer {text[:24]}... does not fit into 64 bits: send it as a string"
        raise JsonError(message)
    return value


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        message = f"the number {text[:24]} is too large"
        raise JsonError(message)
    return value


def _check(value: object, path: tuple[str, ...]) -> None:
    """Look for what the reader itself does not: depth, and surrogates without their other half."""
    if isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_text(name, path)
            _check_item(item, path, name)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            if isinstance(item, _WITH_TEXT):
                _check_item(item, path, position)


def _check_item(item: object, path: tuple[str, ...], place: str | int) -> None:
    if isinstance(item, str):
        if not item.isascii():
            _check_text(item, (*path, str(place)))
    elif isinstance(item, dict | list):
        if len(path) + 2 > MAX_DEPTH:
            raise JsonError(_TOO_DEEP, ".".join(path[:8]))
        _check(item, (*path, str(place)))


def _check_text(text: str, path: tuple[str, ...]) -> None:
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        message = "a text holds half of a surrogate pair, which no UTF-8 can carry"
        raise JsonError(message, ".".join(path)) from error
