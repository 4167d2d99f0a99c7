"""Spans made with the real OpenTelemetry SDK: calls and activities, linked into the traces they belong to."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace as otel
from opentelemetry.propagate import inject
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, Tracer

from holdfast import ActivityContext, Engine, Hooks, RetryPolicy, UnsupportedOperationError, WorkflowContext
from holdfast.executors import apply_middleware, open_telemetry, with_hooks, with_tracing
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import died

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
SENT: list[dict[str, str]] = []
"""The headers that an instrumented client would have sent from an activity."""
TOLD: list[tuple[str, str]] = []


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    SENT.clear()
    TOLD.clear()
    exporter = InMemorySpanExporter()
    yield exporter
    exporter.shutdown()


@pytest.fixture
def tracer(exporter: InMemorySpanExporter) -> Tracer:
    """A tracer of a provider of its own: the process has one that nobody sets up."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("tests")


def note(context: ActivityContext) -> None:
    headers: dict[str, str] = {}
    inject(headers)
    SENT.append(headers)
    TOLD.append((context.traceparent, context.tracestate))


async def call(_value: Anything, context: ActivityContext) -> None:
    await asyncio.sleep(0)
    note(context)


def call_on_a_thread(_value: Anything, context: ActivityContext) -> None:
    assert threading.current_thread() is not threading.main_thread()
    note(context)


async def fails_once(context: ActivityContext) -> None:
    if context.attempt == 1:
        raise OSError("the card machine is on fire")


async def order(ctx: WorkflowContext) -> None:
    await ctx.execute_activity(call)
    await ctx.execute_activity(call_on_a_thread)


async def unlucky(ctx: WorkflowContext) -> None:
    await ctx.execute_activity(fails_once, retry=RetryPolicy(max_attempts=2, initial_interval=0.001))


async def chain(ctx: WorkflowContext, number: int = 2) -> None:
    await ctx.execute_activity(call)
    if number > 1:
        ctx.continue_as_new(number - 1)


async def waits(ctx: WorkflowContext) -> None:
    await ctx.receive_signal("go on")
    await ctx.execute_activity(call)


def engine(tracer: Tracer | None, store: MemoryStore | None = None) -> Engine:
    return Engine(
        store or MemoryStore(),
        workflows=[order, unlucky, chain, waits],
        activities=[call, call_on_a_thread, fails_once],
        tracing=open_telemetry(tracer) if tracer is not None else None,
    )


def shown(span: ReadableSpan) -> tuple[str, str]:
    """The ids of a span and its trace, as they are sent."""
    context = span.get_span_context()
    assert context is not None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def parent_of(span: ReadableSpan) -> str:
    assert span.parent is not None
    return f"{span.parent.span_id:016x}"


async def test_activities_run_in_spans_of_the_trace_that_their_run_was_started_with(
    tracer: Tracer, exporter: InMemorySpanExporter
) -> None:
    async with engine(tracer) as opened:
        run = await opened.start(order, id="order-1", trace=f"{PARENT} congo=t61rcWkgMzE")
        await run.result()

    spans = exporter.get_finished_spans()
    assert [span.name for span in spans] == ["activity call", "activity call_on_a_thread"]
    for span, headers, told in zip(spans, SENT, TOLD, strict=True):
        trace_id, span_id = shown(span)
        assert trace_id == TRACE_ID
        assert parent_of(span) == "00f067aa0ba902b7"
        assert headers["traceparent"] == told[0] == f"00-{TRACE_ID}-{span_id}-01"
        assert headers["tracestate"] == told[1] == "congo=t61rcWkgMzE"
        assert span.attributes == {
            "holdfast.workflow_id": "order-1",
            "holdfast.run_id": run.run_id,
            "holdfast.activity": span.name.removeprefix("activity "),
            "holdfast.attempt": 1,
        }
        assert span.status.status_code is StatusCode.UNSET


async def test_a_run_without_a_trace_leaves_spans_of_their_own_and_not_of_whoever_opened_the_engine(
    tracer: Tracer, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_as_current_span("of the program around it"):
        async with engine(tracer) as opened:
            await opened.execute(order)

    calls = [span for span in exporter.get_finished_spans() if span.name.startswith("activity")]
    assert [span.parent for span in calls] == [None, None]
    assert [span.links for span in calls] == [(), ()]
    assert [headers["traceparent"][36:52] for headers in SENT] == [shown(span)[1] for span in calls]


async def test_without_tracing_activities_are_told_the_trace_and_run_in_no_span(exporter: InMemorySpanExporter) -> None:
    async with engine(None) as opened:
        await opened.execute(order, trace=PARENT)

    assert SENT == [{}, {}]
    assert TOLD == [(PARENT, ""), (PARENT, "")]
    assert exporter.get_finished_spans() == ()


async def test_each_attempt_has_a_span_and_a_failed_one_says_why(
    tracer: Tracer, exporter: InMemorySpanExporter
) -> None:
    async with engine(tracer) as opened:
        await opened.execute(unlucky, trace=PARENT)

    failed, completed = exporter.get_finished_spans()
    assert [(span.attributes or {})["holdfast.attempt"] for span in (failed, completed)] == [1, 2]
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.status.description == "OSError: the card machine is on fire"
    assert [event.name for event in failed.events] == ["exception"]
    assert completed.status.status_code is StatusCode.UNSET
    assert shown(failed)[0] == shown(completed)[0] == TRACE_ID


async def test_a_run_that_continues_as_new_has_a_trace_of_its_own_linked_to_the_one_before(
    tracer: Tracer, exporter: InMemorySpanExporter
) -> None:
    async with engine(tracer) as opened:
        await opened.execute(chain, 3, trace=PARENT)

    first, second, third = exporter.get_finished_spans()
    assert len({shown(span)[0] for span in (first, second, third)}) == 3
    assert first.links == ()
    for before, after in ((first, second), (second, third)):
        (link,) = after.links
        assert f"{link.context.trace_id:032x}" == shown(before)[0]
        assert f"{link.context.span_id:016x}" == parent_of(before)


async def test_a_run_taken_up_by_the_next_process_goes_on_in_its_trace(
    tracer: Tracer, exporter: InMemorySpanExporter
) -> None:
    store = MemoryStore()
    first = engine(tracer, store)
    await first.open()
    await first.start(waits, id="a", trace=PARENT)
    await died(first)

    async with engine(tracer, store) as second:
        await second.signal("a", "go on")
        await second.handle("a").result()

    (span,) = exporter.get_finished_spans()
    assert shown(span)[0] == TRACE_ID


async def test_the_middleware_lets_runs_and_signals_go_on_from_the_calls_that_made_them(
    tracer: Tracer, exporter: InMemorySpanExporter
) -> None:
    opened = engine(None)
    async with opened:
        executor: Any = apply_middleware(opened, with_tracing(tracer))
        with tracer.start_as_current_span("request"):
            await executor.start("waits", id="a")
        with tracer.start_as_current_span("another request"):
            await executor.signal("a", "go on")
        await executor.handle("a").result()
        (signal,) = [event for event in await opened.history("a") if event.type == "signal_received"]

    spans = {span.name: span for span in exporter.get_finished_spans()}
    started, sent, called = (spans[name] for name in ("holdfast start", "holdfast signal", "activity call"))
    assert parent_of(started) == shown(spans["request"])[1]
    assert parent_of(called) == shown(started)[1]
    assert len({shown(spans[name])[0] for name in ("request", "holdfast start", "activity call")}) == 1
    assert signal.details["traceparent"][:-2] == "00-{}-{}-".format(*shown(sent))


async def test_a_trace_that_the_caller_names_comes_before_that_of_the_middleware(tracer: Tracer) -> None:
    opened = engine(None)
    async with opened:
        executor: Any = apply_middleware(opened, with_tracing(tracer))
        await executor.start("waits", id="a", trace=PARENT)

        assert (await opened.describe("a")).trace_id == TRACE_ID


async def test_an_executor_that_knows_nothing_of_traces_gets_spans_around_its_calls_alone(
    tracer: Tracer, exporter: InMemorySpanExporter
) -> None:
    calls: list[tuple[str, dict[str, Any]]] = []

    class Plain:
        async def start(self, workflow: Anything, input: object = None, **options: Anything) -> Anything:
            calls.append(("start", options))

        async def signal(self, workflow_id: str, name: str, payload: object = None, *, id: str | None = None) -> None:
            calls.append(("signal", {"id": id}))

        async def query(self, workflow_id: str, name: str, input: object = None) -> Anything:
            calls.append(("query", {}))

        async def cancel(self, workflow_id: str, *, reason: str = "") -> None:
            calls.append(("cancel", {}))

    executor = apply_middleware(Plain(), with_tracing(tracer))
    await executor.start("order", id="a")
    await executor.signal("a", "go on", id="s")
    await executor.query("a", "status")
    await executor.cancel("a")

    assert calls == [("start", {"id": "a"}), ("signal", {"id": "s"}), ("query", {}), ("cancel", {})]
    assert [span.name for span in exporter.get_finished_spans()] == [f"holdfast {call}" for call, _ in calls]


async def test_layers_may_stand_in_any_order(tracer: Tracer, exporter: InMemorySpanExporter) -> None:
    started: list[str] = []
    hooks = Hooks(on_workflow_start=lambda workflow_id, _input: started.append(workflow_id))
    opened = engine(None)
    async with opened:
        executor: Any = apply_middleware(opened, with_tracing(tracer), with_hooks(hooks), with_tracing(tracer))
        await executor.start("waits", id="a")
        await executor.signal("a", "go on")
        await executor.handle("a").result()

    assert started == ["a"]
    assert [span.name for span in exporter.get_finished_spans()].count("holdfast signal") == 2


async def test_what_is_not_recorded_is_still_passed_on(exporter: InMemorySpanExporter) -> None:
    async with engine(otel.NoOpTracer()) as opened:  # OpenTelemetry is there, and nobody has set it up
        await opened.execute(order, trace=PARENT)

    assert [headers["traceparent"] for headers in SENT] == [PARENT, PARENT]
    assert exporter.get_finished_spans() == ()


@pytest.mark.parametrize("make", [open_telemetry, with_tracing])
def test_without_the_extra_the_error_says_what_to_install(make: Anything, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "holdfast.executors.otel")

    with pytest.raises(UnsupportedOperationError, match=r"pip install 'holdfast\[otel\]'"):
        make()


def test_the_engine_itself_needs_no_open_telemetry() -> None:
    code = "import sys; sys.modules['opentelemetry'] = None; import holdfast, holdfast.executors, holdfast.stores"
    subprocess.run([sys.executable, "-c", code], check=True)
