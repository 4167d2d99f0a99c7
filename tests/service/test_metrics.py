"""Numbers for Prometheus: what they count, labels from closed sets, and a page that says what there is and no more."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from app.factory import create_app
from app.settings import Settings
from holdfast import EngineThread, WorkflowContext
from holdfast.stores import MemoryStore
from tests.docs.markdown import ROOT
from tests.service.kit import Remote, application, ended, service_of, start, until, waits_for

PAGE = ROOT / "docs" / "reference" / "metrics.md"
ROW = re.compile(r"^\| `(\w+)` \| (gauge|counter|histogram) \| ([^|]*) \|", re.MULTILINE)


def numbers(client: FlaskClient) -> dict[str, float]:
    response = client.get("/metrics")
    assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
    lines = [line for line in response.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_the_numbers_count_runs_and_requests(client: FlaskClient) -> None:
    start(client, "order", "order-1", {"sku": "A1"})
    start(client, "quick", "quick-1")
    ended(client, "quick-1")
    client.get("/v1/runs/order-1")
    client.get("/v1/runs/nobody")
    client.get("/nowhere")
    client.open("/v1/runs", method="BREW")

    found = numbers(client)

    assert found["holdfast_ready"] == 1
    assert found['holdfast_runs{status="running"}'] == 1
    assert found['holdfast_runs{status="completed"}'] == 1
    assert found["holdfast_commits_total"] > 0
    started = 'holdfast_http_requests_total{method="POST",route="/v1/workflows/<workflow>/runs",status="201"}'
    assert found[started] == 2
    assert found['holdfast_http_requests_total{method="GET",route="/v1/runs/<id>",status="404"}'] == 1
    assert found['holdfast_http_requests_total{method="GET",route="none",status="404"}'] == 1
    assert found['holdfast_http_requests_total{method="other",route="none",status="405"}'] == 1
    assert found['holdfast_http_request_seconds_count{route="none"}'] == 2


def test_odd_requests_make_no_new_labels(client: FlaskClient) -> None:
    client.get("/nowhere")
    client.open("/v1/runs", method="BREW")
    before = set(numbers(client))

    for number in range(20):
        client.get(f"/nowhere/{number}")
        client.open("/v1/runs", method=f"BREW{number}")
        client.get("/nowhere", headers={"X-Request-ID": str(number)})

    assert set(numbers(client)) == before | {name for name in numbers(client) if 'route="/metrics"' in name}


def families(client: FlaskClient) -> dict[str, tuple[str, frozenset[str]]]:
    """The kind and labels of each metric, by name."""
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[name] = (family.type, frozenset(labels))
    return found


def documented() -> dict[str, tuple[str, frozenset[str]]]:
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    return {name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def test_the_page_lists_exactly_the_metrics_that_there_are(client: FlaskClient) -> None:
    start(client, "quick", "quick-1")
    start(client, "order", "order-1", {"sku": "A1"})
    waits_for(client, "order-1", "approval")
    ended(client, "quick-1")
    client.get("/metrics")

    assert families(client) == documented()


def test_what_the_page_alerts_on_is_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    alerts = re.findall(r"^\| `(.+?)` \| [^|]+ \| [^|]+ \|$", text.partition("## What to alert on")[2], re.MULTILINE)
    used = {name for alert in alerts for name in re.findall(r"\bholdfast_\w+", alert)}
    histograms = {name for name, (kind, _) in documented().items() if kind == "histogram"}
    there = set(documented()) | {f"{name}_bucket" for name in histograms}

    assert len(alerts) >= 15
    assert used - there == set()
    unbalanced = [
        alert for alert in alerts for left, right in ("()", "{}", "[]") if alert.count(left) != alert.count(right)
    ]
    assert unbalanced == []


def test_names_follow_the_conventions() -> None:
    for name, (kind, _) in documented().items():
        assert name.endswith("_total") == (kind == "counter"), name
        assert re.fullmatch(r"holdfast_[a-z]+(_[a-z]+)*", name), name


def test_the_numbers_of_the_engine_are_those_of_its_runs(client: FlaskClient) -> None:
    start(client, "order", "order-1", {"sku": "A1"})
    waits_for(client, "order-1", "approval")
    client.post("/v1/runs/order-1/signals/approval", json=True)
    ended(client, "order-1")
    start(client, "fails", "fails-1")
    ended(client, "fails-1")

    found = numbers(client)

    assert found['holdfast_runs_started_total{workflow="order"}'] == 1
    assert found['holdfast_runs_ended_total{status="completed",workflow="order"}'] == 1
    assert found['holdfast_runs_ended_total{status="failed",workflow="fails"}'] == 1
    assert found['holdfast_activity_attempts_total{activity="price",outcome="completed"}'] == 1
    assert found['holdfast_activity_attempts_total{activity="price",outcome="failed"}'] == 0
    assert found['holdfast_activity_attempt_seconds_count{activity="price"}'] == 1
    assert found['holdfast_activity_attempt_seconds_bucket{activity="price",le="+Inf"}'] == 1
    assert found["holdfast_commit_seconds_count"] == found["holdfast_commits_total"] > 0
    assert found["holdfast_commit_changes_sum"] == found["holdfast_changes_total"]
    assert found["holdfast_last_commit_timestamp_seconds"] > 1.7e9
    assert found["holdfast_index_entries"] == 2
    assert found['holdfast_outbox_entries{kind="start"}'] == 0
    assert found["holdfast_commit_queue"] == 0


def test_buckets_count_what_is_within_them(client: FlaskClient) -> None:
    start(client, "quick", "quick-1")
    ended(client, "quick-1")
    found = numbers(client)

    buckets = [value for name, value in found.items() if name.startswith("holdfast_commit_seconds_bucket")]
    assert buckets == sorted(buckets)
    assert buckets[-1] == found["holdfast_commit_seconds_count"]


def test_workflows_that_are_not_registered_share_a_label() -> None:
    async def gone(ctx: WorkflowContext) -> None:
        await ctx.receive_signal("end")

    store = MemoryStore()
    with EngineThread(store, workflows=[gone], instance="one") as first:
        first.start(gone, id="gone-1")
    with application(store) as app:
        client = app.test_client()
        assert client.post("/v1/runs/gone-1/terminate", json={}).status_code == 202
        found = numbers(client)

    assert found['holdfast_runs_ended_total{status="terminated",workflow="other"}'] == 1
    assert not any('"gone"' in name for name in found)


def test_the_numbers_are_there_while_the_store_is_away() -> None:
    store = Remote()
    with application(store, call_timeout=0.2) as app:
        client = app.test_client()
        start(client, "quick", "quick-1")
        store.is_away = True
        assert client.post("/v1/workflows/quick/runs", json={}).status_code == 503
        until(lambda: client.get("/readyz").status_code == 503)
        found = numbers(client)
        store.is_away = False
        until(lambda: client.get("/readyz").status_code == 200)

    assert found["holdfast_ready"] == 0
    assert found['holdfast_store_retries_total{call="write"}'] >= 1
    assert found["holdfast_commits_total"] >= 1
    assert found['holdfast_runs{status="completed"}'] == 1


@pytest.mark.parametrize("stop", [lambda _app: None, lambda app: service_of(app).close()], ids=["not begun", "ended"])
def test_without_an_engine_there_are_the_numbers_of_requests_alone(stop: Callable[[Flask], None]) -> None:
    app = create_app(Settings(store="memory:"))
    stop(app)
    client = app.test_client()
    client.get("/livez")

    assert numbers(client)["holdfast_ready"] == 0
    assert set(families(client)) == {"holdfast_ready", "holdfast_http_requests_total", "holdfast_http_request_seconds"}
