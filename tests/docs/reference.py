"""The tables of the reference, made from the code: `python -m tests.docs.reference` writes them into the pages.

A page says where, between `<!-- table: NAME -->` and `<!-- end -->`.
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterable

import holdfast
from holdfast.core import errors
from tests.docs.markdown import ROOT

REFERENCE = ROOT / "docs" / "reference"
TABLE = re.compile(r"(?<=<!-- table: )([\w-]+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(head)
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def first_sentence(subject: object) -> str:
    """The first sentence of a docstring, in Markdown."""
    paragraph = " ".join((inspect.getdoc(subject) or "").partition("\n\n")[0].split())
    return re.sub(r"``([^`]+)``", r"`\1`", paragraph)


def signature(name: str, function: Callable[..., object]) -> str:
    """The call as it is written, without annotations."""
    parts: list[str] = []
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        default = parameter.default
        plain = f"{parameter.name}={default!r}" if default is not parameter.empty else parameter.name
        parts.append(f"**{parameter.name}" if parameter.kind is parameter.VAR_KEYWORD else plain)
    prefix = "await " if inspect.iscoroutinefunction(function) else ""
    return f"`{prefix}{name}({', '.join(parts)})`"


def members(cls: type) -> str:
    """The public methods and properties of a class."""
    rows = []
    for name, member in vars(cls).items():
        if name.startswith("_") or not (isinstance(member, property) or inspect.isfunction(member)):
            continue
        shown = f"`{name}`" if isinstance(member, property) else signature(name, member)
        rows.append((shown, first_sentence(member)))
    return table(("", "does"), rows)


def attribute_rows(cls: type) -> list[tuple[str, str]]:
    """What a docstring says under "Attributes:"."""
    body = (inspect.getdoc(cls) or "").partition("Attributes:\n")[2]
    body = re.split(r"\n(?=\S)", body)[0]
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", body, re.MULTILINE)
    return [(f"`{name}`", " ".join(text.split()).replace("``", "`")) for name, text in found]


def error_rows(cls: type[Exception] = errors.HoldfastError, depth: int = 0) -> list[tuple[str, str, str]]:
    carries = ", ".join(name for name, _ in attribute_rows(cls))
    rows = [(f"{'&emsp;' * depth}`{cls.__name__}`", first_sentence(cls), carries)]
    for kind in sorted(cls.__subclasses__(), key=lambda kind: kind.__name__):
        if kind.__name__ in errors.__all__:
            rows += error_rows(kind, depth + 1)
    return rows


TABLES: dict[str, Callable[[], str]] = {
    "workflow-context": lambda: members(holdfast.WorkflowContext),
    "signal-channel": lambda: members(holdfast.SignalChannel),
    "child-handle": lambda: members(holdfast.ChildHandle),
    "activity-context-values": lambda: table(("", "meaning"), attribute_rows(holdfast.ActivityContext)),
    "activity-context": lambda: members(holdfast.ActivityContext),
    "retry-policy": lambda: table(("", "meaning"), attribute_rows(holdfast.RetryPolicy)),
    "errors": lambda: table(("error", "means", "carries"), error_rows()),
}


def rendered(text: str) -> str:
    """A page with its tables as the code says they are."""
    return TABLE.sub(lambda found: found[1] + found[2] + TABLES[found[1]](), text)


def main() -> None:
    for page in sorted(REFERENCE.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if rendered(text) != text:
            page.write_text(rendered(text), encoding="utf-8")
            sys.stdout.write(f"{page.relative_to(ROOT)} is renewed\n")


if __name__ == "__main__":
    main()
