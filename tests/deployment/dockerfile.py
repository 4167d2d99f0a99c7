"""A Dockerfile, taken apart into stages of instructions."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Stage:
    """What stands between one FROM and the next.

    Attributes:
        base: What it begins with.
        name: What other stages call it.
        instructions: In order, each the word that begins it and the rest.
    """

    base: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, word: str) -> list[str]:
        """Everything that instructions with that word say."""
        return [rest for name, rest in self.instructions if name == word]

    def last(self, word: str) -> str:
        """What holds in the end, of an instruction that a later one replaces."""
        return self.all(word)[-1]

    def variables(self) -> dict[str, str]:
        """What ENV sets."""
        return dict(re.findall(r"(\w+)=(\S+)", " ".join(self.all("ENV"))))


def read(path: Path) -> list[Stage]:
    text = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    stages: list[Stage] = []
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages.append(Stage(base, name))
        elif word and stages:
            stages[-1].instructions.append((word, rest.strip()))
    return stages


def exec_form(instruction: str) -> list[str]:
    """The words of an instruction that is written as a list; written otherwise, it is a `ValueError`."""
    words: list[str] = json.loads(instruction)
    return words
