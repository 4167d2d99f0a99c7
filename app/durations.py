"""Durations as people write them: ``90s``, ``1h30m``, ISO 8601 (``PT1H30M``), or bare seconds."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Final

from pydantic import BeforeValidator, WithJsonSchema

__all__ = ["LONGEST", "DurationField", "parse_duration"]

LONGEST: Final = timedelta(days=36_525)
"""A century: longer than any run, and short enough for every clock and codec behind it."""

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_NUMBER = r"[0-9]{1,18}(?:\.[0-9]{1,9})?"
_PLAIN = re.compile(_NUMBER)
_PARTS = re.compile(rf"(?:{_NUMBER}(?:ms|[smhdw]))+")
_PART = re.compile(rf"({_NUMBER})(ms|[smhdw])")
_ISO = re.compile(
    rf"P(?=.)(?:({_NUMBER})W)?(?:({_NUMBER})D)?(?:T(?=.)(?:({_NUMBER})H)?(?:({_NUMBER})M)?(?:({_NUMBER})S)?)?",
)
_ISO_UNITS: Final = ("w", "d", "h", "m", "s")


def parse_duration(value: object) -> timedelta:
    """Read a duration.

    Args:
        value: A text such as ``"5s"``, ``"1h30m"``, ``"PT5S"`` or ``"5"``; a number of seconds; or a `timedelta`.

    Raises:
        ValueError: It is none of these, negative, or longer than a century.
    """
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, str):
        seconds = _seconds(value.strip())
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        message = "a duration is a text such as '5s', '1h30m' or 'PT5S', or a number of seconds"
        raise ValueError(message)  # noqa: TRY004 - pydantic reports a ValueError, and lets a TypeError through
    if not 0 <= seconds <= LONGEST.total_seconds():
        message = f"a duration is between 0 and {LONGEST.days:,} days"
        raise ValueError(message)
    return timedelta(seconds=seconds)


def _seconds(text: str) -> float:
    if _PLAIN.fullmatch(text):
        return float(text)
    if _PARTS.fullmatch(text):
        return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    match = _ISO.fullmatch(text)
    if match is not None:
        parts = zip(match.groups(), _ISO_UNITS, strict=True)
        return sum(float(number) * _SECONDS[unit] for number, unit in parts if number)
    message = f"{text[:40]!r} is not a duration: write '5s', '2m', '1h30m', 'PT5S', or a number of seconds"
    raise ValueError(message)


DurationField = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": LONGEST.total_seconds()},
                {"type": "string", "pattern": r"^[0-9]{1,6}(ms|[smhdw])?$", "examples": ["5s", "2m", "1h30m", "PT5S"]},
            ]
        }
    ),
]
"""A field of a model that takes a duration in any of its forms."""
