"""The words of a search: ``customer=ann status-page`` finds runs by a search attribute and part of their id."""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson

from app.api.problem import misfit

__all__ = ["Search", "Spelled", "read_search"]


class Spelled:
    """Equal to whatever value is written so: the word ``5`` finds the number 5 as well as the text ``"5"``."""

    __slots__ = ("_text",)
    __hash__ = None  # type: ignore[assignment]  # equal to values of several types

    def __init__(self, text: str) -> None:
        """Keep the word."""
        self._text = text

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return other == self._text
        return orjson.dumps(other).decode() == self._text


@dataclass(slots=True)
class Search:
    """What a search asks for.

    Attributes:
        text: Part of the id; None where it does not matter.
        attributes: Search attributes, and how their values are written.
    """

    text: str | None = None
    attributes: dict[str, object] = field(default_factory=dict)


def read_search(words: str) -> Search:
    """Read the words of a search.

    Raises:
        ProblemError: More than one word is about the id, or one attribute is asked for twice.
    """
    search = Search()
    for word in words.split():
        name, equals, value = word.partition("=")
        if not equals:
            if search.text is not None:
                message = f"{search.text!r} and {word!r} are both part of an id: give one, or key=value"
                raise misfit(message, "q")
            search.text = word
        elif not name or name in search.attributes:
            message = f"{word!r} is not key=value, or its key is given twice"
            raise misfit(message, "q")
        else:
            search.attributes[name] = Spelled(value)
    return search
