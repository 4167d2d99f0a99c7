"""The tables of the reference, made from the code: `python -m tests.docs.reference` writes them into the pages.

A page says where, between `<!-- table: NAME -->` and `<!-- end -->`.
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from datetime import timedelta
from enum import Enum
from typing import Any

import typer
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from pydantic_core import PydanticUndefined

import holdfast
from app.api import metrics, problem
from app.api.numbers import NUMBERS, Number
from app.cli.client import Status
from app.cli.program import program
from app.factory import create_app
from app.settings import Settings, variable
from holdfast import activities, executors, patterns, ports, publishers, stores
from holdfast.core import errors
from holdfast.core.branching import BranchCalls
from holdfast.core.outside import OutsideCalls
from holdfast.engine.calls import RunCalls
from holdfast.engine.commits.numbers import CommitStats, IndexStats
from holdfast.engine.histogram import Distribution
from holdfast.engine.receiving import TopicCalls
from holdfast.engine.views import PendingView
from holdfast.engine.work.numbers import ActivityStats
from holdfast.publishers.dapr import DaprPublisher
from holdfast.stores.dapr import DaprStore
from holdfast.stores.inngest import InngestStore
from holdfast.stores.kafka import KafkaStore
from holdfast.stores.nats import NatsStore
from holdfast.testing import SkippingClock, TestEnvironment, load_history, replay, save_history
from holdfast.testing.store_conformance import ConformanceReport, run_conformance
from tests.docs import store_tables
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
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name == "self":
            continue
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


def section_rows(subject: object, section: str) -> list[tuple[str, str]]:
    """What a docstring lists under a heading, such as "Args"."""
    body = (inspect.getdoc(subject) or "").partition(f"{section}:\n")[2]
    body = re.split(r"\n(?=\S)", body)[0]
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", body, re.MULTILINE)
    return [(f"`{name}`", " ".join(text.split()).replace("``", "`")) for name, text in found]


def attribute_rows(cls: type) -> list[tuple[str, str]]:
    return section_rows(cls, "Attributes")


def attributes(cls: type) -> str:
    """What is said of the attributes of a class; of all of them, if it is a dataclass."""
    rows = attribute_rows(cls)
    if is_dataclass(cls):
        assert {field.name for field in fields(cls)} <= {name.strip("`") for name, _ in rows}, cls
    return table(("", "meaning"), rows)


def arguments(function: Callable[..., object], documented: object = None) -> str:
    """The parameters of a call, with their defaults; the docstring may be another's, such as that of the class."""
    meanings = {name.strip("`"): text for name, text in section_rows(documented or function, "Args")}
    rows = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name != "self":
            shown = "" if parameter.default is parameter.empty else f"`{parameter.default!r}`"
            rows.append((f"`{STARS.get(parameter.kind, '')}{parameter.name}`", shown, meanings[parameter.name]))
    return table(("argument", "default", "meaning"), rows)


def members_of(cls: type[Enum]) -> str:
    """The members of an enumeration, and how each is written in JSON."""
    rows = [(name, f"`{cls[name.strip('`')].value}`", text) for name, text in attribute_rows(cls)]
    assert len(rows) == len(cls), cls
    return table(("", "written as", "meaning"), rows)


MADE = {
    "clock": "the machine's",
    "ids": "16 random characters",
    "chance": "`random.random`",
    "instance": "the host's name",
    "logger": "the one named `holdfast`",
    "publisher": "a `LocalBus`",
}


def option_rows(cls: type) -> list[tuple[str, str, str]]:
    """The fields of a dataclass of options, with their defaults."""
    meanings = {name.strip("`"): text for name, text in attribute_rows(cls)}
    return [
        (f"`{field.name}`", MADE.get(field.name) or f"`{field.default!r}`", meanings[field.name])
        for field in fields(cls)
    ]


def functions(*named: Callable[..., object]) -> str:
    """Plain functions, with the first sentence of each."""
    return table(("", "does"), [(signature(each.__name__, each), first_sentence(each)) for each in named])


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
        (f"`{variable(name)}`", default_words(known.default), meanings[name])
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
                f"{parameter.opts[0]} {parameter.metavar or parameter.name.upper()}"
                for parameter in each.params
                if parameter.required and parameter.param_type_name == "option"
            ]
            rows.append((f"`{' '.join([prefix, name, *words])}`", each.help.partition("\n\n")[0].replace("\n", " ")))
    return rows


KINDS: dict[object, str] = {
    GaugeMetricFamily: "gauge",
    CounterMetricFamily: "counter",
    HistogramMetricFamily: "histogram",
}


def metric_rows() -> list[tuple[str, str, str, str]]:
    """All metrics: their names as they are shown, kinds, labels and sentences."""
    rows: list[tuple[metrics.Own | Number, str]] = [
        (metrics.READY, "gauge"),
        *((number, KINDS[number.kind]) for number in NUMBERS),
        (metrics.REQUESTS, "counter"),
        (metrics.SECONDS, "histogram"),
    ]
    return [
        (
            f"`{metric.name}{'_total' if kind == 'counter' else ''}`",
            kind,
            ", ".join(f"`{label}`" for label in metric.labels),
            metric.help,
        )
        for metric, kind in rows
    ]


TABLES: dict[str, Callable[[], str]] = {
    "engine": lambda: members(holdfast.Engine, RunCalls, TopicCalls),
    "engine-options": lambda: table(("option", "default", "meaning"), option_rows(holdfast.EngineOptions)),
    "engine-start": lambda: arguments(holdfast.Engine.start),
    "engine-list": lambda: arguments(holdfast.Engine.list),
    "engine-stats": lambda: attributes(holdfast.EngineStats),
    "activity-stats": lambda: attributes(ActivityStats),
    "commit-stats": lambda: attributes(CommitStats),
    "index-stats": lambda: attributes(IndexStats),
    "distribution": lambda: attributes(Distribution),
    "metrics": lambda: table(("metric", "kind", "labels", "says"), metric_rows()),
    "workflow-handle": lambda: members(holdfast.WorkflowHandle),
    "workflow-handle-values": lambda: attributes(holdfast.WorkflowHandle),
    "engine-thread": lambda: members(holdfast.EngineThread),
    "delivery": lambda: members_of(holdfast.Delivery),
    "topic-mapping": lambda: attributes(holdfast.TopicMapping),
    "held-message": lambda: attributes(holdfast.HeldMessage),
    "dead-letter": lambda: attributes(holdfast.DeadLetter),
    "dead-letter-page": lambda: attributes(holdfast.DeadLetterPage),
    "hooks": lambda: attributes(holdfast.Hooks),
    "publisher": lambda: members(ports.Publisher),
    "record": lambda: attributes(ports.Record),
    "dapr-publisher": lambda: arguments(DaprPublisher.__init__, DaprPublisher),
    "local-bus": lambda: members(publishers.LocalBus),
    "run-description": lambda: table(
        ("", "meaning"), [*attribute_rows(holdfast.RunSummary), *attribute_rows(holdfast.RunDescription)]
    ),
    "pending-view": lambda: attributes(PendingView),
    "run-summary": lambda: attributes(holdfast.RunSummary),
    "run-page": lambda: attributes(holdfast.RunPage),
    "history-event": lambda: attributes(holdfast.HistoryEvent),
    "failure-info": lambda: attributes(holdfast.FailureInfo),
    "run-status": lambda: members_of(holdfast.RunStatus),
    "event-type": lambda: members_of(holdfast.EventType),
    "executor": lambda: members(executors.Executor),
    "executors": lambda: functions(executors.register, executors.new, executors.names),
    "middleware": lambda: functions(
        executors.apply_middleware, executors.with_hooks, executors.with_tracing, executors.open_telemetry
    ),
    "test-environment-options": lambda: arguments(TestEnvironment.__init__),
    "test-environment-values": lambda: attributes(TestEnvironment),
    "test-environment": lambda: members(TestEnvironment),
    "skipping-clock": lambda: members(SkippingClock),
    "histories": lambda: functions(replay, save_history, load_history),
    "conformance": lambda: arguments(run_conformance),
    "conformance-report": lambda: attributes(ConformanceReport),
    "store-kinds": lambda: table(("kind", "URL", "adapter", "needs"), store_tables.kind_rows()),
    "store-options": lambda: table(("kind", "option", "meaning"), store_tables.option_rows()),
    "store-registry": lambda: functions(stores.open, stores.names, stores.register),
    "stores": lambda: table(store_tables.store_head(), store_tables.store_rows()),
    "dapr-store": lambda: arguments(DaprStore.__init__, DaprStore),
    "kafka-store": lambda: arguments(KafkaStore.__init__, KafkaStore),
    "nats-store": lambda: arguments(NatsStore.__init__, NatsStore),
    "inngest-store": lambda: arguments(InngestStore.__init__, InngestStore),
    "memory-store": lambda: arguments(stores.MemoryStore.__init__, stores.MemoryStore),
    "sqlite-store": lambda: arguments(stores.SqliteStore.__init__, stores.SqliteStore),
    "state-store": lambda: members(ports.StateStore),
    "capabilities": lambda: attributes(ports.Capabilities),
    "workflow-store": lambda: members(stores.WorkflowStore),
    "workflow-state": lambda: attributes(stores.WorkflowState),
    "workflow-filter": lambda: attributes(stores.WorkflowFilter),
    "workflow-context": lambda: members(holdfast.WorkflowContext, OutsideCalls, BranchCalls),
    "cancellation-scope": lambda: members(holdfast.CancellationScope),
    "settled": lambda: attributes(holdfast.Settled),
    "ref-values": lambda: attributes(holdfast.Ref),
    "ref": lambda: members(holdfast.Ref),
    "resolution": lambda: members_of(holdfast.Resolution),
    "signal-channel": lambda: members(holdfast.SignalChannel),
    "child-handle": lambda: members(holdfast.ChildHandle),
    "activity-context-values": lambda: table(("", "meaning"), attribute_rows(holdfast.ActivityContext)),
    "activity-context": lambda: members(holdfast.ActivityContext),
    "retry-policy": lambda: table(("", "meaning"), attribute_rows(holdfast.RetryPolicy)),
    "llm-activity": lambda: arguments(activities.llm_activity),
    "llm-request": lambda: attributes(activities.LlmRequest),
    "llm-message": lambda: attributes(activities.LlmMessage),
    "llm-reply": lambda: attributes(activities.LlmReply),
    "llm-tool-call": lambda: attributes(activities.LlmToolCall),
    "llm-usage": lambda: attributes(activities.LlmUsage),
    "tool-activity": lambda: arguments(activities.tool_activity),
    "llm-tool": lambda: attributes(activities.LlmTool),
    "human-task": lambda: arguments(patterns.human_task),
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
