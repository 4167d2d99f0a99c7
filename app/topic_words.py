"""What is wrong with the setting of mapped topics, in words that show where and how it is right."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic_core import ErrorDetails

__all__ = ["topic_words"]

_FORM: Final = (
    'write a JSON list, such as [{"topic": "payments", "workflow_id": "order-{data.order_id}", "signal": "payment"}]'
)
_WORDS: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "string_type": "must be a text",
    "string_too_short": "must not be empty",
    "string_too_long": "is too long",
}


def topic_words(problem: ErrorDetails, fields: Iterable[str]) -> str:
    """Say what is wrong with one thing in the list.

    Args:
        problem: As it was found.
        fields: Those that a mapping may have.
    """
    where = problem["loc"][1:]
    found = problem["msg"].removeprefix("Value error, ")
    if not where:
        return found if problem["type"] == "value_error" else _FORM
    entry = f"entry {int(where[0]) + 1}: "
    if len(where) == 1:
        return entry + (found if problem["type"] == "value_error" else f"it is no object; {_FORM}")
    name = str(where[1])
    if problem["type"] == "extra_forbidden":
        known = list(fields)
        close = difflib.get_close_matches(name, known, n=1)
        meant = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
        return f"{entry}there is no field {name!r}: {meant}"
    return f"{entry}field {name!r} {_WORDS.get(problem['type'], found)}"
