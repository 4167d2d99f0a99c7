"""Whether what a page shows is what was printed, but for what is new each time."""

import difflib
import doctest
import re
from collections.abc import Sequence

NEW_EACH_TIME = [
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?"), "<time>"),
    (re.compile(r"\b(car|hotel|flight)-[0-9a-f]{8}\b"), r"\1-<reference>"),
    (re.compile(r'("run_id": ?)"[\w-]{16}"'), r'\1"<run id>"'),
    (re.compile(r"(?<=[\w-]/)[\w-]{16}(?=/)"), "<run id>"),
    (re.compile(r"\b\d+(\.\d+)? ?m?s\b"), "<duration>"),
]
SHELL_NEWS = re.compile(r"^(\[\d+\].*|bash: line \d+: +\d+ (Killed|Terminated) .*|make: Nothing to be done .*)$")


def normal(text: str) -> str:
    for pattern, name in NEW_EACH_TIME:
        text = pattern.sub(name, text)
    lines = [line.rstrip() for line in text.splitlines() if not SHELL_NEWS.match(line)]
    return "\n".join(lines).strip("\n") + "\n"


def differences(shown: Sequence[str], printed: str) -> str:
    """Say where the two differ; nothing if they do not. ``...`` on the page stands for anything."""
    wanted, got = normal("\n".join(shown)), normal(printed)
    if doctest.OutputChecker().check_output(wanted, got, doctest.ELLIPSIS):
        return ""
    return "\n".join(difflib.unified_diff(wanted.splitlines(), got.splitlines(), "page", "printed", lineterm=""))
