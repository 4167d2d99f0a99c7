"""The parts of a page that a reader could run."""

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted(page for page in (ROOT / "docs").rglob("*.md") if page.parent.name != "adr" and page.name != "roadmap.md"),
]
FENCE = re.compile(r"^```(\w*)[ ]?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: ``console`` is typed, ``python`` runs, or is saved where a file name stands beside it."""

    line: int
    language: str
    file: str
    text: str


@dataclass
class Command:
    """What a ``console`` block shows behind a prompt, and what it shows as the answer."""

    line: int
    text: str
    output: list[str] = field(default_factory=list)


def read_blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(text.count("\n", 0, found.start()) + 1, found[1], found[2], found[3]) for found in FENCE.finditer(text)
    ]


def read_commands(block: Block) -> list[Command]:
    """Take a ``console`` block apart: `$` begins a command, `>` carries it on, all else is output."""
    commands: list[Command] = []
    for number, line in enumerate(block.text.splitlines(), block.line + 1):
        if line.startswith("$ "):
            commands.append(Command(number, line[2:]))
        elif line.startswith("> ") and not commands[-1].output:
            commands[-1].text += "\n" + line[2:]
        else:
            commands[-1].output.append(line)
    return commands
