"""The tables of the reference, made from the code: `python -m tests.docs.reference` writes them into the pages.

A page says where, between `<!-- table: NAME -->` and `<!-- end -->`.
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields
from datetime import timedelta
from typing import Any

import typer
from pydantic_core import PydanticUndefined

import holdfast
from app.api import problem
from app.cli.client import Status
from app.cli.program import program
from app.factory import create_app
from app.settings import PREFIX, Settings
from holdfast import executors, ports, stores
from holdfast.core import errors
from holdfast.engine.calls import RunCalls
from holdfast.testing import TestEnvironment, load_history, replay, save_history
from tests.docs.markdown import ROOT

REFERENCE = ROOT / "docs" / "reference"
TABLE = re.compile(r"(?<=<!-- table: )([\w-]+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)


STARS: dict[object, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


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
        parts.append(STARS.get(parameter.kind, "") + plain)
    prefix = "await " if inspect.iscoroutinefunction(function) else ""
    return f"`{prefix}{name}({', '.join(parts)})`"


def members(*classes: type) -> str:
    """The public methods and properties of classes that together are one."""
    rows = []
    for name, member in (each for cls in classes for each in vars(cls).items()):
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


def attributes(cls: type) -> str:
    """What is said of the attributes of a class."""
    return table(("", "meaning"), attribute_rows(cls))


def option_rows(cls: type) -> list[tuple[str, str, str]]:
    """The fields of a dataclass of options, with their defaults where a page can show them."""
    meanings = {name.strip("`"): text for name, text in attribute_rows(cls)}
    return [
        (f"`{field.name}`", "" if field.default is MISSING else f"`{_shown(field.default)}`", meanings[field.name])
        for field in fields(cls)
    ]


def _shown(default: object) -> str:
    return str(getattr(default, "__qualname__", repr(default)))


def functions(*named: Callable[..., object]) -> str:
    """Plain functions, with the first sentence of each."""
    rows = []
    for function in named:
        name = function.__name__
        known = inspect.signature(function).parameters.values()
        shown = ", ".join(STARS.get(parameter.kind, "") + parameter.name for parameter in known)
        rows.append((f"`{name}({shown})`", first_sentence(function)))
    return table(("", "does"), rows)


def error_rows(cls: type[Exception] = errors.HoldfastError, depth: int = 0) -> list[tuple[str, str, str]]:
    carries = ", ".join(name for name, _ in attribute_rows(cls))
    rows = [(f"{'&emsp;' * depth}`{cls.__name__}`", first_sentence(cls), carries)]
    for kind in sorted(cls.__subclasses__(), key=lambda kind: kind.__name__):
        if kind.__name__ in errors.__all__:
            rows += error_rows(kind, depth + 1)
    return rows


def default_words(default: object) -> str:
    """A default as it would be written in the environment."""
    if default is PydanticUndefined:
        return "the host's name"
    if default is None or default == ():
        return ""
    if isinstance(default, timedelta):
        return f"`{default.total_seconds():g}s`"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def setting_rows() -> list[tuple[str, str, str]]:
    meanings = {name.strip("`"): text for name, text in attribute_rows(Settings)}
    return [
        (f"`{PREFIX}{name.upper()}`", default_words(known.default), meanings[name])
        for name, known in Settings.model_fields.items()
    ]


def route_rows() -> list[tuple[str, str]]:
    service = create_app(Settings(store="memory:")).test_client()
    paths = service.get("/openapi.json").get_json()["paths"]
    rows = []
    for path, methods in sorted(paths.items()):
        for method, operation in methods.items():
            query = "&".join(f"{each['name']}=" for each in operation["parameters"] if each["in"] == "query")
            rows.append((f"`{method.upper()} {path}{'?' if query else ''}{query}`", operation["summary"]))
    return rows


def problem_rows() -> list[tuple[str, str, str]]:
    kinds = [*vars(problem).values(), *problem.PROBLEMS.values()]
    known = {kind.code: kind for kind in kinds if isinstance(kind, problem.Problem)}
    return [
        (str(kind.status), f"`{kind.code}`", kind.title)
        for kind in sorted(known.values(), key=lambda kind: (kind.status, kind.code))
    ]


EXITS = {
    Status.OK: "done",
    Status.FAILED: "the run did not complete, or the service cannot do it",
    Status.USAGE: "the command, or a value in it, is not right",
    Status.NOT_FOUND: "there is no such run or workflow",
    Status.CONFLICT: "a conflict: the run is open, or has ended, or the id is taken",
    Status.UNREACHABLE: "the service cannot be reached, or takes no work now",
    Status.TIMED_OUT: "the wait was over before the run",
    Status.INTERRUPTED: "interrupted",
}


def command_rows(command: Any, prefix: str = "holdfast") -> list[tuple[str, str]]:  # noqa: ANN401 - typer keeps its types
    rows: list[tuple[str, str]] = []
    for name, each in command.commands.items():
        if hasattr(each, "commands"):
            rows += command_rows(each, f"{prefix} {name}")
        else:
            words = [parameter.name.upper() for parameter in each.params if parameter.param_type_name == "argument"]
            words += [
                f"{parameter.opts[0]} ..."
                for parameter in each.params
                if parameter.required and parameter.name.upper() not in words
            ]
            rows.append((f"`{' '.join([prefix, name, *words])}`", each.help.partition("\n\n")[0].replace("\n", " ")))
    return rows


TABLES: dict[str, Callable[[], str]] = {
    "engine": lambda: members(holdfast.Engine, RunCalls),
    "engine-options": lambda: table(("option", "default", "meaning"), option_rows(holdfast.EngineOptions)),
    "engine-stats": lambda: attributes(holdfast.EngineStats),
    "workflow-handle": lambda: members(holdfast.WorkflowHandle),
    "engine-thread": lambda: members(holdfast.EngineThread),
    "hooks": lambda: attributes(holdfast.Hooks),
    "run-description": lambda: table(
        ("", "meaning"), [*attribute_rows(holdfast.RunSummary), *attribute_rows(holdfast.RunDescription)]
    ),
    "run-summary": lambda: attributes(holdfast.RunSummary),
    "run-page": lambda: attributes(holdfast.RunPage),
    "history-event": lambda: attributes(holdfast.HistoryEvent),
    "failure-info": lambda: attributes(holdfast.FailureInfo),
    "run-status": lambda: attributes(holdfast.RunStatus),
    "event-type": lambda: attributes(holdfast.EventType),
    "executor": lambda: members(executors.Executor),
    "executors": lambda: functions(executors.register, executors.new, executors.names),
    "middleware": lambda: functions(executors.apply_middleware, executors.with_hooks, executors.with_tracing),
    "test-environment": lambda: members(TestEnvironment),
    "histories": lambda: functions(replay, save_history, load_history),
    "state-store": lambda: members(ports.StateStore),
    "capabilities": lambda: attributes(ports.Capabilities),
    "workflow-store": lambda: members(stores.WorkflowStore),
    "workflow-state": lambda: attributes(stores.WorkflowState),
    "workflow-filter": lambda: attributes(stores.WorkflowFilter),
    "workflow-context": lambda: members(holdfast.WorkflowContext),
    "signal-channel": lambda: members(holdfast.SignalChannel),
    "child-handle": lambda: members(holdfast.ChildHandle),
    "activity-context-values": lambda: table(("", "meaning"), attribute_rows(holdfast.ActivityContext)),
    "activity-context": lambda: members(holdfast.ActivityContext),
    "retry-policy": lambda: table(("", "meaning"), attribute_rows(holdfast.RetryPolicy)),
    "errors": lambda: table(("error", "means", "carries"), error_rows()),
    "settings": lambda: table(("variable", "default", "meaning"), setting_rows()),
    "routes": lambda: table(("route", "does"), route_rows()),
    "problems": lambda: table(("status", "code", "means"), problem_rows()),
    "exits": lambda: table(("exit code", "means"), [(str(int(status)), EXITS[status]) for status in Status]),
    "commands": lambda: table(("command", "does"), command_rows(typer.main.get_command(program))),
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
