"""Text for people: what comes from strangers, made fit for a terminal, and things that are counted."""

from __future__ import annotations

__all__ = ["counted", "visible"]


def visible(text: str) -> str:
    """Escape what would move the cursor, change colours, or begin a line of its own."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def counted(number: int, noun: str) -> str:
    """Write a number with what it counts: ``1 message``, ``2,000 messages``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
