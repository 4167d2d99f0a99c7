"""Durations as users give them, `timedelta` or bare seconds, turned into whole milliseconds."""

from __future__ import annotations

import math
from datetime import timedelta

__all__ = ["Duration", "milliseconds", "seconds_of"]

_LONGEST_SECONDS = 100 * 365.25 * 24 * 3600

Duration = timedelta | float
"""A length of time: a `timedelta`, or a number of seconds."""


def milliseconds(value: Duration, what: str) -> int:
    """Turn a duration into milliseconds, rounded up so that nothing is ever early.

    Args:
        value: The duration.
        what: Its name, for the message of the error.

    Raises:
        TypeError: It is neither a `timedelta` nor a number.
        ValueError: It is negative, over 100 years or not a number.
    """
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value) if abs(value) <= _LONGEST_SECONDS else math.inf
    else:
        message = f"{what} must be a timedelta or a number of seconds, not {type(value).__name__}"
        raise TypeError(message)
    if not 0 <= seconds <= _LONGEST_SECONDS:
        message = f"{what} must be between 0 seconds and 100 years, not {seconds} seconds"
        raise ValueError(message)
    return math.ceil(round(seconds * 1000, 6))


def seconds_of(duration: Duration) -> float:
    """Give a duration in the form in which calls are told how long they may take."""
    return duration.total_seconds() if isinstance(duration, timedelta) else float(duration)
