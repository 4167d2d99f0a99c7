"""Text from strangers, made fit for a terminal."""

from __future__ import annotations

__all__ = ["visible"]


def visible(text: str) -> str:
    """Escape what would move the cursor, change colours, or begin a line of its own."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
