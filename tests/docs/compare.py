"""Whether what a page shows is what was printed, but for what is new each time."""

import difflib
import doctest
import re
from collections.abc import Sequence

NEW_EACH_TIME = [
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?"), "<time>"),
    (re.compile(r'(?<="run_id":")[\w-]{16}(?=")'), "<run id>"),
    (re.compile(r"^(run +)[\w-]{16}$", re.MULTILINE), r"\1<run id>"),
    (re.compile(r"(?<=[\w-]/)[\w-]{16}(?=/)"), "<run id>"),
    (re.compile(r"\b\d+(\.\d+)? ?m?s\b"), "<duration>"),
]
REFERENCE = re.compile(r"\b(?:car|hotel|flight)-[0-9a-f]{8}\b")
SHELL_NEWS = re.compile(r"^(\[\d+\].*|bash: line \d+: +\d+ (Killed|Terminated) .*|make: Nothing to be done .*)$")
PROGRESS = re.compile(r"^\S+ is running, and waits for .*$")
"""What a command that waits says on the way, on a slow machine."""


class Side:
    """One side of the comparison: the page, or what is printed while it is followed.

    A booking reference is new each time too, but it must be the same one wherever the page shows the same one.
    """

    def __init__(self) -> None:
        self._references: dict[str, str] = {}

    def normal(self, text: str) -> str:
        text = REFERENCE.sub(lambda found: self._name(found[0]), text)
        for pattern, name in NEW_EACH_TIME:
            text = pattern.sub(name, text)
        lines = [line.rstrip() for line in text.splitlines() if not (SHELL_NEWS.match(line) or PROGRESS.match(line))]
        return "\n".join(lines).strip("\n") + "\n"

    def _name(self, reference: str) -> str:
        return self._references.setdefault(reference, f"<reference {len(self._references) + 1}>")


class Comparison:
    """Holds what a page shows against what is printed, command after command."""

    def __init__(self) -> None:
        self._page = Side()
        self._printed = Side()

    def differences(self, shown: Sequence[str], printed: str) -> str:
        """Say where the two differ; nothing if they do not. ``...`` on the page stands for anything."""
        wanted, got = self._page.normal("\n".join(shown)), self._printed.normal(printed)
        if doctest.OutputChecker().check_output(wanted, got, doctest.ELLIPSIS):
            return ""
        return "\n".join(difflib.unified_diff(wanted.splitlines(), got.splitlines(), "page", "printed", lineterm=""))
