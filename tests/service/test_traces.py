"""Traces of the service: from the headers of a request through its run to the activities, and into answers and logs."""

import json
import logging
import sys
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from app import logs
from app.bootstrap import build_spans
from app.errors import StartupError
from app.factory import create_app
from app.modules import load_functions
from app.otel import Spans
from app.settings import Settings
from holdfast import EngineThread
from holdfast.stores import MemoryStore
from tests.service.kit import ended, problem, service_of, start, until

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
OTHER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HEADERS = {"traceparent": PARENT, "tracestate": "congo=t61rcWkgMzE"}


@pytest.fixture
def app() -> Iterator[Flask]:
    """An application over an engine whose activities tell which trace they see."""
    functions = load_functions(["tests.service.traced_flows", "tests.service.flows"])
    engine = EngineThread(MemoryStore(), workflows=functions.workflows, activities=functions.activities, drain=1.0)
    engine.open()
    app = create_app(Settings(store="memory:", drain="1s"), engine)  # type: ignore[arg-type]  # as from a variable
    app.extensions["tests.engine"] = engine
    yield app
    service_of(app).close()


@pytest.fixture
def exporter(app: Flask) -> InMemorySpanExporter:
    """The spans of the application, which is told to make some."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    service_of(app).trace_with(Spans(provider), app.extensions["tests.engine"])
    return exporter


def ids(span: ReadableSpan) -> tuple[str, str]:
    context = span.get_span_context()
    assert context is not None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def named(exporter: InMemorySpanExporter, name: str) -> ReadableSpan:
    """The one span of a name, as soon as it has ended."""
    until(lambda: [span for span in exporter.get_finished_spans() if span.name == name])
    (span,) = [span for span in exporter.get_finished_spans() if span.name == name]
    return span


def parent_of(span: ReadableSpan) -> str:
    assert span.parent is not None
    return f"{span.parent.span_id:016x}"


def test_a_trace_goes_from_a_request_to_the_run_and_is_echoed(client: FlaskClient) -> None:
    started = client.post("/v1/workflows/watched/runs", json={"id": "a"}, headers=HEADERS)
    until(lambda: "go on" in client.get("/v1/runs/a").text)
    sent = client.post("/v1/runs/a/signals/go on", headers={"traceparent": OTHER})
    run = ended(client, "a")
    events = client.get("/v1/runs/a/history").get_json()["events"]

    assert started.headers["traceparent"] == PARENT
    assert sent.headers["traceparent"] == OTHER
    assert run["trace_id"] == TRACE_ID
    assert run["result"] == [PARENT, PARENT]
    assert [event["details"] for event in events if event["type"] == "signal_received"] == [{"traceparent": OTHER}]


def test_an_update_is_kept_with_the_trace_of_who_asked(client: FlaskClient) -> None:
    start(client, "order", "a", {"sku": "A1"})
    until(lambda: "approval" in client.get("/v1/runs/a").text)
    assert client.post("/v1/runs/a/updates/quantity", json=3, headers=HEADERS).get_json()["result"] == 3

    events = client.get("/v1/runs/a/history").get_json()["events"]
    assert [event["details"] for event in events if event["type"] == "update_accepted"] == [HEADERS]


@pytest.mark.parametrize(
    ("of_event", "of_request", "kept"),
    [
        (PARENT, OTHER, PARENT),
        (PARENT, None, PARENT),
        (None, OTHER, OTHER),
        ("nonsense", OTHER, OTHER),
        (None, None, None),
    ],
)
def test_a_cloudevent_brings_its_own_trace_and_else_has_that_of_its_request(
    client: FlaskClient, of_event: str | None, of_request: str | None, kept: str | None
) -> None:
    start(client, "order", "a", {"sku": "A1"})
    event = {"specversion": "1.0", "source": "shop", "type": "t"} | ({"traceparent": of_event} if of_event else {})
    headers = {"traceparent": of_request} if of_request else {}
    binary = {f"ce-{name}": value for name, value in {**event, "id": "2"}.items()}

    structured = {"json": {**event, "id": "1", "data": 1}, "content_type": "application/cloudevents+json"}
    assert client.post("/v1/runs/a/signals/note", headers=headers, **structured).status_code == 202
    assert client.post("/v1/runs/a/signals/note", headers={**headers, **binary}, json=2).status_code == 202

    events = client.get("/v1/runs/a/history").get_json()["events"]
    found = [each["details"] for each in events if each["type"] == "signal_received"]
    assert found == [{"traceparent": kept} if kept else {}] * 2


def test_the_messages_of_a_batch_have_their_own_traces_and_no_span_is_theirs(
    client: FlaskClient, exporter: InMemorySpanExporter
) -> None:
    start(client, "order", "a", {"sku": "A1"})
    fields = [PARENT, 7, None, {"a": 1}, "nonsense"]
    events: list[dict[str, object]] = [
        {
            "specversion": "1.0", "id": f"e-{number}", "source": "shop", "type": "t",
            "workflowid": "a", "signalname": "note", "data": number, "traceparent": field,
        }
        for number, field in enumerate(fields)
    ]  # fmt: skip
    entries = [{"entryId": event["id"], "event": event, "metadata": None} for event in events]
    answer = client.post("/dapr/pubsub/workflow-signals", json={"entries": entries}, headers={"traceparent": OTHER})
    history = client.get("/v1/runs/a/history").get_json()["events"]

    assert [each["status"] for each in answer.get_json()["statuses"]] == ["SUCCESS"] * 5
    found = [event["details"] for event in history if event["type"] == "signal_received"]
    assert sorted(found, key=len) == [{}, {}, {}, {}, {"traceparent": PARENT}]
    assert not any("pubsub" in span.name for span in exporter.get_finished_spans())


@pytest.mark.parametrize("given", ["nonsense", PARENT.upper(), f"00-{'0' * 32}-00f067aa0ba902b7-01", "ü", "1" * 5_000])
def test_a_header_that_is_no_trace_is_ignored_and_not_echoed(client: FlaskClient, given: str) -> None:
    response = client.post("/v1/workflows/quick/runs", json={"id": "a"}, headers={"traceparent": given})

    assert response.status_code == 201
    assert "traceparent" not in response.headers
    assert ended(client, "a")["trace_id"] == ""


def test_the_same_request_again_has_the_same_answer_whatever_its_trace(client: FlaskClient) -> None:
    answers = [
        client.post(
            "/v1/workflows/quick/runs", json={}, headers={"Idempotency-Key": "once", "traceparent": trace}
        ).get_json()
        for trace in (PARENT, OTHER)
    ]

    assert answers[0]["run_id"] == answers[1]["run_id"]
    assert ended(client, answers[0]["id"])["trace_id"] == TRACE_ID


def test_problems_and_logs_name_the_trace(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "holdfast.http")

    body = problem(client.get("/v1/runs/nobody", headers=HEADERS), 404, "workflow_not_found")
    without = problem(client.get("/v1/runs/nobody"), 404, "workflow_not_found")

    assert body["trace_id"] == TRACE_ID
    assert "trace_id" not in without
    assert [getattr(record, "trace_id", None) for record in caplog.records] == [TRACE_ID, None]


def test_the_field_stands_in_the_line_of_the_log(
    client: FlaskClient, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    logs.configure(Settings(store="memory:", log_format="json"))
    logging.captureWarnings(capture=False)

    client.get("/v1/runs", headers=HEADERS)

    assert json.loads(capsys.readouterr().out)["trace_id"] == TRACE_ID


def test_one_trace_goes_from_the_caller_through_the_request_to_the_activities(
    client: FlaskClient, exporter: InMemorySpanExporter
) -> None:
    response = client.post("/v1/workflows/watched/runs", json={"id": "a"}, headers=HEADERS)
    until(lambda: "go on" in client.get("/v1/runs/a").text)
    client.post("/v1/runs/a/signals/go on")
    result = ended(client, "a")["result"]

    request, before, after = (
        named(exporter, name)
        for name in ("POST /v1/workflows/<workflow>/runs", "activity see", "activity see_on_a_thread")
    )
    assert {ids(span)[0] for span in (request, before, after)} == {TRACE_ID}
    assert parent_of(request) == "00f067aa0ba902b7"
    assert parent_of(before) == parent_of(after) == ids(request)[1]
    assert result == [f"00-{TRACE_ID}-{ids(span)[1]}-01" for span in (before, after)]
    assert response.headers["traceparent"] == PARENT
    assert request.kind is SpanKind.SERVER
    assert dict(request.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/v1/workflows/<workflow>/runs",
        "http.response.status_code": 201,
    }


def test_a_request_without_a_trace_begins_one_and_tells_it(client: FlaskClient, exporter: InMemorySpanExporter) -> None:
    response = client.post("/v1/workflows/watched/runs", json={"id": "a"})
    until(lambda: "go on" in client.get("/v1/runs/a").text)

    request, before = named(exporter, "POST /v1/workflows/<workflow>/runs"), named(exporter, "activity see")
    assert request.parent is None
    assert parent_of(before) == ids(request)[1]
    assert response.headers["traceparent"][3:52] == "-".join(ids(request))
    assert client.get("/v1/runs/a").get_json()["trace_id"] == ids(request)[0]


def test_spans_of_requests_have_names_from_a_closed_set_and_health_has_none(
    client: FlaskClient, exporter: InMemorySpanExporter
) -> None:
    for path in ("/livez", "/readyz", "/healthz", "/metrics", "/nowhere/1", "/nowhere/2", "/v1/runs/nobody"):
        client.get(path)
    client.open("/v1/runs", method="BREW")

    assert [span.name for span in exporter.get_finished_spans()] == [
        "HTTP none", "HTTP none", "GET /v1/runs/<id>", "HTTP none",
    ]  # fmt: skip
    assert {span.status.status_code for span in exporter.get_finished_spans()} == {StatusCode.UNSET}


def test_a_fault_of_the_service_is_one_of_its_span(client: FlaskClient, exporter: InMemorySpanExporter) -> None:
    client.application.extensions["holdfast.openapi"] = object()  # nothing that could be written as JSON
    assert client.get("/openapi.json").status_code == 500

    assert named(exporter, "GET /openapi.json").status.status_code is StatusCode.ERROR


def test_without_the_extra_the_service_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    monkeypatch.delitem(sys.modules, "app.otel")

    assert build_spans(Settings(store="memory:")) is None
    with pytest.raises(StartupError, match=r"HOLDFAST_TRACING needs the extra: pip install 'holdfast\[otel\]'"):
        build_spans(Settings(store="memory:", tracing=True))
