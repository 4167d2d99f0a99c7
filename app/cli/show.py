"""How answers look to a person: tables, forms, and times of this machine's clock."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import typer

from app.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["as_json", "clock", "error_words", "event_words", "form", "short", "status", "table"]

_COLORS: Final = {
    "running": "blue",
    "completed": "green",
    "paused": "yellow",
    "stalled": "magenta",
    "corrupt": "red",
    "failed": "red",
    "timed_out": "red",
    "terminated": "yellow",
    "canceled": "yellow",
}
_COLOR: Final = re.compile("\x1b\\[[0-9;]*m")
_WIDTH: Final = 100


def as_json(value: object) -> str:
    """Write a value as JSON that a person can read."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def short(value: object, length: int = 60) -> str:
    """Write a value in one line of at most so many characters."""
    text = visible(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return text if len(text) <= length else text[: length - 1] + "…"


def clock(time: str | None) -> str:
    """Write a time of the service as this machine's clock shows it."""
    if time is None:
        return "-"
    return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def status(name: str) -> str:
    """Write a status, in its colour where there are colours."""
    if os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return name
    return typer.style(name, fg=_COLORS.get(name))


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay rows out in columns; the last column takes what is left of a terminal's line."""
    rows = [list(map(str, row)) for row in rows]
    widths = [max(len(_plain(row[column])) for row in [headings, *rows]) for column in range(len(headings))]
    left = (shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000) - sum(widths[:-1]) - 2 * len(widths)
    lines = []
    for row in [list(headings), *rows]:
        cells = [cell + " " * (width - len(_plain(cell))) for cell, width in zip(row[:-1], widths[:-1], strict=True)]
        last = row[-1] if len(_plain(row[-1])) <= max(left, 20) else row[-1][: max(left, 20) - 1] + "…"
        lines.append("  ".join([*cells, last]).rstrip())
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Leave out what colours a text."""
    return _COLOR.sub("", text)


def form(fields: Mapping[str, str]) -> str:
    """Lay names and texts out below each other."""
    width = max(len(name) for name in fields)
    lines = []
    for name, text in fields.items():
        first, *more = text.split("\n")
        lines.append(f"{name:<{width}}  {first}")
        lines += [" " * (width + 2) + line for line in more]
    return "\n".join(lines)


def error_words(error: Mapping[str, Any]) -> str:
    """Say why a run did not complete, or cannot go on."""
    return visible(f"{error['type']}: {error['message']}")


def event_words(event: Mapping[str, Any]) -> list[str]:
    """Give the cells of an event: number, time, type, name, and what it carries."""
    value = event["value"]
    carries = "" if value is None else short(value, _WIDTH)
    if not carries and event["details"]:
        carries = ", ".join(f"{name} {_detail(name, each)}" for name, each in event["details"].items())
    return [str(event["seq"]), clock(event["at"]), event["type"], visible(event["name"]), carries]


def _detail(name: str, value: object) -> str:
    """Write a detail of an event; `due` is in milliseconds since 1970."""
    if name == "due" and isinstance(value, int):
        return clock(datetime.fromtimestamp(value / 1000, UTC).isoformat())
    return short(value)
