"""Processes that send their spans to a collector, over a kill in the midst of a run: one trace, two processes."""

import gzip
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.service.kit import Process, process, until

pytestmark = pytest.mark.slow

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
FLOWS = "tests.service.traced_flows"


class Collector(ThreadingHTTPServer):
    """Takes spans by OTLP over HTTP, as a collector does.

    Attributes:
        spans: The spans so far: service, name, trace id, span id and that of the parent.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[tuple[str, str, str, str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def take(self, raw: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(raw).resource_spans:
            attributes = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [
                    (
                        attributes["service.name"],
                        span.name,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                    )
                    for span in scope.spans
                ]

    def named(self, name: str) -> list[tuple[str, str, str, str, str]]:
        return [span for span in list(self.spans) if span[1] == name]


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, Collector)
        assert self.path == "/v1/traces"
        self.server.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the standard library's
        """Say nothing."""


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    collector = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SDK_DISABLED", "OTEL_TRACES_SAMPLER"):
        monkeypatch.delenv(name, raising=False)
    thread = threading.Thread(target=collector.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield collector
    collector.shutdown()
    collector.server_close()


def begin(running: Process) -> None:
    headers = {"traceparent": PARENT}
    response = running.request("POST", "/v1/workflows/watched/runs", json={"id": "a"}, headers=headers)
    assert response.status_code == 201
    assert response.headers["traceparent"] == PARENT
    until(lambda: "go on" in running.request("GET", "/v1/runs/a").text)


def test_a_trace_goes_on_in_the_process_that_takes_over_after_a_kill(tmp_path: Path, collector: Collector) -> None:
    with process(tmp_path, workflows=FLOWS, tracing="true") as first:
        begin(first.ready())
        until(lambda: collector.named("activity see"))
        first.send(signal.SIGKILL)
        assert first.exit_status() == -signal.SIGKILL

    with process(tmp_path, workflows=FLOWS, tracing="true") as second:
        second.ready().request("POST", "/v1/runs/a/signals/go on")
        result = until(lambda: second.request("GET", "/v1/runs/a").json()["result"])
        second.send(signal.SIGTERM)
        assert second.exit_status() == 0

    (request,) = collector.named("POST /v1/workflows/<workflow>/runs")
    (before,) = collector.named("activity see")
    (after,) = collector.named("activity see_on_a_thread")  # sent before the process ended, at the latest
    assert {span[2] for span in (request, before, after)} == {TRACE_ID}
    assert request[4] == "00f067aa0ba902b7"
    assert before[4] == after[4] == request[3]
    assert result == [f"00-{TRACE_ID}-{span[3]}-01" for span in (before, after)]
    assert {span[0] for span in collector.spans} == {"holdfast"}


def test_the_variables_of_open_telemetry_have_the_last_word(
    tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "bookings")
    with process(tmp_path, workflows=FLOWS, tracing="true") as running:
        begin(running.ready())
        until(lambda: collector.named("activity see"))

    assert {span[0] for span in collector.spans} == {"bookings"}


def test_without_the_setting_nothing_is_sent_and_traces_are_passed_on(tmp_path: Path, collector: Collector) -> None:
    with process(tmp_path, workflows=FLOWS) as first:
        begin(first.ready())
        first.send(signal.SIGKILL)
        first.exit_status()
    with process(tmp_path, workflows=FLOWS) as second:
        second.ready().request("POST", "/v1/runs/a/signals/go on")
        result = until(lambda: second.request("GET", "/v1/runs/a").json()["result"])
        second.send(signal.SIGTERM)
        assert second.exit_status() == 0

    assert result == [PARENT, PARENT]
    assert collector.spans == []


def test_a_collector_that_is_away_holds_nothing_up(
    tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")  # nobody listens there
    with process(tmp_path, workflows=FLOWS, tracing="true") as running:
        begin(running.ready())
        running.request("POST", "/v1/runs/a/signals/go on")
        until(lambda: running.request("GET", "/v1/runs/a").json()["result"])
        running.send(signal.SIGTERM)

        assert running.exit_status() == 0
        assert running.err == ""
        assert any(line["message"].startswith("the last spans could not be sent") for line in running.logs)
