"""Answers to refs over HTTP, and what the sidecar brings of threads and timers."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.bootstrap import build_engine
from app.errors import StartupError
from app.factory import create_app
from app.settings import Settings
from holdfast.core.threads import thread_id
from tests.service.kit import Anything, ended, fields, problem, service_of, start, until, waits_for

REF = "answer/of the day"
ANSWER = f"/v1/runs/a/refs/{quote(REF)}"
RESUME = "/dapr/pubsub/workflow-resume"
KEY = {"Idempotency-Key": "m-1"}


# Over HTTP.


def test_an_answer_is_durable_and_says_what_became_of_it(client: FlaskClient) -> None:
    start(client, "asks", "a")
    waits_for(client, "a", "ref 'answer/of the day'")

    response = client.post(ANSWER, json={"value": {"yes": True}})

    assert response.status_code == 202
    assert response.get_json() == {"id": "a", "ref": REF, "resolution": "resolved"}
    assert ended(client, "a")["result"] == [{"yes": True}]


def test_an_answer_before_its_ref_is_kept(client: FlaskClient) -> None:
    start(client, "asks", "a")

    assert client.post("/v1/runs/a/refs/later", json={"value": 1}).get_json()["resolution"] == "kept"


@pytest.mark.parametrize("body", [{"value": None}, {}])
def test_an_answer_without_a_value_is_null(client: FlaskClient, body: dict[str, Any]) -> None:
    start(client, "asks", "a")
    client.post(ANSWER, json=body)

    assert ended(client, "a")["result"] == [None]


def test_an_error_ends_a_run_that_does_not_catch_it(client: FlaskClient) -> None:
    start(client, "asks", "a")
    client.post(ANSWER, json={"error": {"code": 7}})

    error = ended(client, "a")["error"]
    assert (error["type"], error["message"]) == ("RefError", '{"code":7}')


@pytest.mark.parametrize(
    "body", [{"value": 1, "error": 2}, {"value": None, "error": 2}, {"error": None}, {"values": 1}, [1], "x"]
)
def test_an_answer_that_is_none_is_refused(client: FlaskClient, body: object) -> None:
    start(client, "asks", "a")

    problem(client.post(ANSWER, json=body), 422, "invalid")
    assert client.get("/v1/runs/a").get_json()["status"] == "running"


def test_the_same_answer_again_counts_once(client: FlaskClient) -> None:
    start(client, "asks", "a", 2)
    first = client.post(ANSWER, json={"value": 1}, headers=KEY)
    again = client.post(ANSWER, json={"value": 1}, headers=KEY)
    client.post(ANSWER, json={"value": 1}, headers={"Idempotency-Key": "m-2"})

    assert first.get_json() == again.get_json()
    assert ended(client, "a")["result"] == [1, 1]


def test_an_unknown_run_and_one_that_has_ended_take_none(client: FlaskClient) -> None:
    problem(client.post("/v1/runs/nobody/refs/r", json={"value": 1}), 404, "workflow_not_found")
    start(client, "quick", "a")
    ended(client, "a")
    problem(client.post(ANSWER, json={"value": 1}), 409, "already_finished")


def test_a_ref_that_is_too_long_is_refused_and_named(client: FlaskClient) -> None:
    start(client, "asks", "a")

    body = problem(client.post(f"/v1/runs/a/refs/{'x' * 1_025}", json={"value": 1}), 422, "invalid")
    assert fields(body) == ["ref id"]


@pytest.mark.parametrize("ref", ["a//b", "a/", "ü ?#%", "hb4:name:1.2", "..;"])
def test_a_ref_may_have_any_id_that_a_path_can_carry(client: FlaskClient, ref: str) -> None:
    start(client, "asks", "a")

    response = client.post(f"/v1/runs/a/refs/{quote(ref, safe='/')}", json={"value": 1})
    assert response.get_json() == {"id": "a", "ref": ref, "resolution": "kept"}


def test_the_document_shows_the_ref_as_a_part_of_the_path(client: FlaskClient) -> None:
    paths = client.get("/openapi.json").get_json()["paths"]

    assert "/v1/runs/{id}/refs/{ref}" in paths
    assert not [path for path in paths if "path:" in path or "<" in path]


# From topics.


def bulk(client: FlaskClient, *events: object, topic: str = RESUME, key: str = "") -> list[str]:
    """Bring a batch as the sidecar does; what is bytes was published raw."""
    entries = [
        {
            "entryId": str(number),
            "event": base64.b64encode(event).decode() if isinstance(event, bytes) else event,
            "contentType": "application/octet-stream" if isinstance(event, bytes) else "application/cloudevents+json",
            "metadata": {"__key": key} if key else None,
        }
        for number, event in enumerate(events)
    ]
    response = client.post(topic, json={"id": "b", "entries": entries, "pubsubname": "pubsub"})
    assert response.status_code == 200, response.text
    return [each["status"] for each in response.get_json()["statuses"]]


def event(data: Anything, id: str, **attributes: Anything) -> dict[str, Any]:
    return {"specversion": "1.0", "id": id, "source": "shop", "type": "t", **attributes, "data": data}


SETTINGS: dict[str, Any] = {"store": "memory:", "workflows": ("tests.service.flows",), "drain": 1.0}


@pytest.fixture
def threads() -> Iterator[Flask]:
    """A service that takes in threads and timers, made of its settings alone."""
    settings = Settings(**SETTINGS, resume_entry="asks", scheduler=True)
    engine = build_engine(settings, lambda _error: None)
    engine.open()
    app = create_app(settings, engine)
    yield app
    service_of(app).close()


def test_the_sidecar_is_asked_for_the_topics_of_threads_and_timers(threads: Flask) -> None:
    wanted = threads.test_client().get("/dapr/subscribe").get_json()

    assert [each["topic"] for each in wanted] == [
        "workflow-signals",
        "workflow-resume",
        "workflow-scheduler",
        "holdfast-probe",
    ]


def test_records_in_one_batch_start_a_thread_and_answer_its_refs(threads: Flask) -> None:
    client = threads.test_client()
    answers = [event({"ref": REF, "value": number}, f"e-{number}", workflowid="a b") for number in range(2)]

    assert bulk(client, event("new:2", "e-n", workflowid="a b"), *answers) == ["SUCCESS"] * 3
    assert ended(client, thread_id("a b"))["result"] == [0, 1]


def test_raw_records_have_the_key_that_the_broker_tells(threads: Flask) -> None:
    client = threads.test_client()

    assert bulk(client, b"new:1", json.dumps({"ref": REF, "value": 7}).encode(), key="a b") == ["SUCCESS"] * 2
    assert ended(client, thread_id("a b"))["result"] == [7]


def test_a_batch_that_comes_again_changes_nothing(threads: Flask) -> None:
    client = threads.test_client()
    batch = [event("new:1", "e-1", workflowid="a b"), event({"ref": REF, "value": 1}, "e-2", workflowid="a b")]
    for _ in range(3):
        assert bulk(client, *batch) == ["SUCCESS"] * 2
    first = ended(client, thread_id("a b"))
    assert bulk(client, *batch) == ["SUCCESS"] * 2

    assert ended(client, thread_id("a b"))["run_id"] == first["run_id"]
    assert client.get("/v1/dead-letters").get_json()["items"] == []


def test_records_that_ask_for_nothing_are_dead_letters_and_those_for_later_are_held(threads: Flask) -> None:
    client = threads.test_client()
    later = event({"ref": REF, "value": 1}, "e-3", workflowid="later")

    assert bulk(client, event("what?", "e-1", workflowid="a"), event("new:1", "e-2"), later) == ["SUCCESS"] * 3
    reasons = [each["reason"] for each in client.get("/v1/dead-letters").get_json()["items"]]
    assert len(reasons) == 2
    assert [each["workflow_id"] for each in client.get("/v1/held-messages").get_json()["items"]] == ["later"]


def test_a_timer_is_set_and_rings_within_the_process(threads: Flask) -> None:
    client = threads.test_client()
    address = "a b|" + json.dumps({"ref": REF, "value": "it is time"})
    bulk(client, event("new:1", "e-1", workflowid="a b"))

    assert bulk(client, event("1", "e-2", partitionkey=address), topic="/dapr/pubsub/workflow-scheduler") == ["SUCCESS"]
    assert ended(client, thread_id("a b"))["result"] == ["it is time"]


def test_results_are_published(threads: Flask) -> None:
    client = threads.test_client()
    bulk(client, event("new:0", "e-1", workflowid="a b"))

    assert until(lambda: "holdfast_outputs_published_total 1" in client.get("/metrics").text)


def test_a_scheduler_beside_another_topic_for_records_is_refused_at_the_start() -> None:
    settings = Settings(**SETTINGS, scheduler=True, resume_topic="replies")

    with pytest.raises(StartupError, match=r"HOLDFAST_SCHEDULER: .* HOLDFAST_RESUME_TOPIC 'replies'"):
        build_engine(settings, lambda _error: None)
