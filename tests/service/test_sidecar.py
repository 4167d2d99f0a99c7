"""What the sidecar calls: subscriptions, batches of messages, and nobody else's requests."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.bootstrap import build_engine
from app.errors import StartupError
from app.settings import MappedTopic, Settings, load_settings
from tests.service.kit import FLOWS, Anything, Remote, application, ended, problem, service_of, start, until

SIGNALS = "/dapr/pubsub/workflow-signals"


def event(workflow_id: str, number: int = 1, **fields: Anything) -> dict[str, Any]:
    fixed = {"specversion": "1.0", "id": f"e-{number}", "source": "shop", "type": "t"}
    return {**fixed, "workflowid": workflow_id, "signalname": "approval", "data": f"yes {number}", **fields}


def entry(id: str, event: object, **more: Anything) -> dict[str, Any]:
    return {"entryId": id, "event": event, "contentType": "application/cloudevents+json", "metadata": None, **more}


def bulk(client: FlaskClient, *entries: object, path: str = SIGNALS, **headers: str) -> dict[str, str]:
    body = {"id": "b", "entries": list(entries), "pubsubname": "pubsub", "topic": "t", "type": "sent.bulk"}
    response = client.post(path, json=body, headers=headers)
    assert response.status_code == 200, response.text
    return {each["entryId"]: each["status"] for each in response.get_json()["statuses"]}


def test_the_sidecar_is_told_every_topic_and_that_it_comes_in_batches() -> None:
    mapped = [{"topic": "payments", "pubsub": "kafka", "workflow_id": "o-{data.id}", "signal": "payment"}]
    with application(topics=mapped) as app:
        wanted = app.test_client().get("/dapr/subscribe").get_json()

    assert {(each["pubsubname"], each["topic"]) for each in wanted} == {
        ("pubsub", "workflow-signals"),
        ("pubsub", "workflow-resume"),
        ("pubsub", "holdfast-probe"),
        ("kafka", "payments"),
        ("kafka", "holdfast-probe"),
    }
    for each in wanted:
        assert each["route"] == f"/dapr/pubsub/{each['topic']}"
        assert each["bulkSubscribe"] == {"enabled": True, "maxMessagesCount": 100, "maxAwaitDurationMs": 10}
        assert "deadLetterTopic" not in each


def test_where_subscription_files_say_it_the_sidecar_is_told_only_of_the_probe() -> None:
    with application(subscribe="declarative") as app:
        wanted = app.test_client().get("/dapr/subscribe").get_json()

    assert [each["topic"] for each in wanted] == ["holdfast-probe"]


def test_every_entry_of_a_batch_has_its_status_once_what_it_asks_for_is_durable(client: FlaskClient) -> None:
    start(client, "order", "order-1", {"sku": "A1"})

    statuses = bulk(
        client,
        entry("1", event("order-1")),
        entry("2", event("order-1")),
        entry("3", event("later")),
        entry("4", event("a b")),
        entry("5", {"specversion": "1.0"}),
        entry("6", None),
    )

    assert statuses == dict.fromkeys("123456", "SUCCESS")
    assert ended(client, "order-1")["result"]["approval"] == "yes 1"
    held = client.get("/v1/held-messages").get_json()["items"]
    assert [each["workflow_id"] for each in held] == ["later"]
    dead = client.get("/v1/dead-letters").get_json()
    assert sorted(each["value"] is None for each in dead["items"]) == [False, False, True]
    assert all(each["reason"] for each in dead["items"])


def test_what_was_published_raw_comes_in_base64(client: FlaskClient) -> None:
    start(client, "order", "order-1", {"sku": "A1"})
    raw = json.dumps({"workflow_id": "order-1", "signal": "approval", "payload": "raw"}).encode()

    packed = entry("1", base64.b64encode(raw).decode(), contentType="application/octet-stream")
    assert bulk(client, packed, entry("2", "no base64!")) == {"1": "SUCCESS", "2": "SUCCESS"}

    assert ended(client, "order-1")["result"]["approval"] == "raw"
    assert [each["value"] for each in client.get("/v1/dead-letters").get_json()["items"]] == ["no base64!"]


def test_a_message_that_comes_alone_is_taken_too(client: FlaskClient) -> None:
    start(client, "order", "order-1", {"sku": "A1"})

    answer = client.post(SIGNALS, json=event("order-1"), content_type="application/cloudevents+json")

    assert answer.get_json() == {"status": "SUCCESS"}
    assert ended(client, "order-1")["result"]["approval"] == "yes 1"


def test_a_message_that_no_parser_can_read_harms_no_other(client: FlaskClient) -> None:
    start(client, "order", "order-1", {"sku": "A1"})
    deep = b'{"specversion":"1.0","id":"deep","data":' + b'{"a":[' * 50_000 + b"1" + b"]}" * 50_000 + b"}"
    good = json.dumps(event("order-1", data='quote " bracket ] comma , brace }')).encode()
    body = b'{"entries":[{"entryId":"1","event":%b},{"entryId" : "2", "event" : %b , "metadata":null}],"id":"b"}'

    response = client.post(SIGNALS, data=body % (deep, good), content_type="application/json")

    assert response.get_json()["statuses"] == [
        {"entryId": "1", "status": "SUCCESS"},
        {"entryId": "2", "status": "SUCCESS"},
    ]
    assert ended(client, "order-1")["result"]["approval"] == 'quote " bracket ] comma , brace }'
    (letter,) = client.get("/v1/dead-letters").get_json()["items"]
    assert "levels deep" in letter["reason"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"7", b"[]", b'{"entries":7}', b"[" * 100_000])
def test_a_body_that_is_no_message_at_all_is_a_dead_letter_and_never_an_error(client: FlaskClient, body: bytes) -> None:
    response = client.post(SIGNALS, data=body, content_type="application/json")

    assert (response.status_code, response.get_json()) == (200, {"status": "SUCCESS"})
    assert len(client.get("/v1/dead-letters").get_json()["items"]) == 1


@pytest.mark.parametrize("topic", ["unknown", "a/b", "%2e%2e/x", "workflow-signals/"])
def test_a_topic_that_is_not_mapped_is_never_answered_with_404(client: FlaskClient, topic: str) -> None:
    assert bulk(client, entry("1", event("order-1")), path=f"/dapr/pubsub/{topic}") == {"1": "SUCCESS"}

    (letter,) = client.get("/v1/dead-letters").get_json()["items"]
    assert "is not mapped" in letter["reason"]


@pytest.mark.parametrize("trace", [7, None, [], {"a": 1}])
def test_a_trace_field_that_is_no_text_does_not_matter(client: FlaskClient, trace: object) -> None:
    start(client, "order", "order-1", {"sku": "A1"})

    bulk(client, entry("1", event("order-1", traceparent=trace, traceid=trace, tracestate=trace)))

    assert ended(client, "order-1")["status"] == "completed"


def test_while_the_store_is_away_messages_are_to_come_again() -> None:
    store = Remote()
    with application(store, call_timeout=0.3) as app:
        client = app.test_client()
        start(client, "order", "order-1", {"sku": "A1"})
        store.is_away = True
        assert bulk(client, entry("1", event("order-1")), entry("2", {})) == {"1": "RETRY", "2": "RETRY"}
        assert bulk(client, entry("1", event("order-1"))) == {"1": "RETRY"}
        answer = client.post(SIGNALS, json=event("order-1"))
        assert (answer.status_code, answer.get_json()) == (200, {"status": "RETRY"})

        store.is_away = False
        until(lambda: client.get("/readyz").status_code == 200)
        assert bulk(client, entry("1", event("order-1")), entry("2", {})) == {"1": "SUCCESS", "2": "SUCCESS"}
        assert ended(client, "order-1")["status"] == "completed"
        signals = [each for each in client.get("/v1/runs/order-1/history").get_json()["events"] if each["id"]]
        assert len([each for each in signals if each["type"] == "signal_received"]) == 1
        service_of(app).begin_drain()
        until(lambda: client.get("/readyz").status_code == 503)
        assert bulk(client, entry("1", event("order-2"))) == {"1": "RETRY"}


@pytest.mark.parametrize("path", ["/dapr/subscribe", "/dapr/config", SIGNALS])
def test_with_a_token_only_who_has_it_may_call_as_the_sidecar(path: str) -> None:
    with application(token="service", app_api_token="sidecar") as app:
        client = app.test_client()

        def call(**headers: str) -> Anything:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            method = "POST" if path == SIGNALS else "GET"
            return client.open(path, method=method, json={"entries": []} if path == SIGNALS else None, headers=given)

        assert call(dapr_api_token="sidecar").status_code == 200
        for headers in ({}, {"dapr_api_token": "service"}, {"dapr_api_token": "sidecar "}, {"dapr_api_token": ""}):
            problem(call(**headers), 401, "unauthorized")
        problem(call(Authorization="Bearer service"), 401, "unauthorized")
        problem(call(dapr_api_token="sidecar", dapr_caller_app_id="other"), 403, "forbidden")
        problem(call(dapr_api_token="sidecar", Origin="http://elsewhere"), 403, "forbidden_origin")


def test_the_token_of_the_sidecar_opens_nothing_else() -> None:
    with application(token="service", app_api_token="sidecar") as app:
        client = app.test_client()
        for headers in ({"dapr-api-token": "sidecar"}, {"Authorization": "Bearer sidecar"}):
            problem(client.get("/v1/runs", headers=headers), 401, "unauthorized")


def test_a_token_in_a_file_is_read_again_when_it_is_renewed(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old", encoding="utf-8")
    with application(app_api_token_file=file) as app:
        client = app.test_client()
        assert client.get("/dapr/subscribe", headers={"dapr-api-token": "old"}).status_code == 200
        renewed = tmp_path / "renewed"
        renewed.write_text("newer", encoding="utf-8")
        renewed.replace(file)

        assert client.get("/dapr/subscribe", headers={"dapr-api-token": "old"}).status_code == 401
        assert client.get("/dapr/subscribe", headers={"dapr-api-token": "newer"}).status_code == 200


def test_a_token_file_that_is_not_there_lets_nobody_in(tmp_path: Path) -> None:
    with application(app_api_token_file=tmp_path / "missing") as app:
        for token in ("", "x"):
            answer = app.test_client().get("/dapr/subscribe", headers={"dapr-api-token": token})
            assert answer.status_code == 401


@pytest.mark.parametrize(("address", "status"), [("127.0.0.1", 200), ("::1", 200), ("10.0.0.7", 403), ("", 403)])
def test_without_a_token_only_this_machine_may_call_as_the_sidecar(app: Flask, address: str, status: int) -> None:
    answer = app.test_client().get("/dapr/subscribe", environ_overrides={"REMOTE_ADDR": address})

    assert answer.status_code == status


def test_service_invocation_does_not_reach_the_callbacks(client: FlaskClient) -> None:
    answer = client.post(SIGNALS, json=event("order-1"), headers={"dapr-caller-app-id": "other"})

    problem(answer, 403, "forbidden")
    assert client.get("/v1/dead-letters").get_json()["items"] == []


def test_a_batch_may_be_larger_than_what_others_may_send(app: Flask) -> None:
    client = app.test_client()
    start(client, "order", "order-1", {"sku": "A1"})
    large = [entry(str(number), event("a b", number, data="x" * 500_000)) for number in range(8)]

    assert set(bulk(client, *large).values()) == {"SUCCESS"}
    too_large = client.post("/v1/runs/order-1/signals/approval", json="x" * 3_000_000)
    problem(too_large, 413, "too_large")


@pytest.mark.parametrize(
    "topics",
    [
        '[{"topic": "t", "signal": "s"}]',
        '[{"topic": ""}]',
        '[{"topic": "t", "workflow_id": "{", "signal": "s"}]',
        '[{"topik": "t"}]',
        '[{"topic": "t"}, {"topic": "t", "pubsub": "kafka"}]',
        '[{"topic": "t", "workflow_id": "a-{key-b", "signal": "s"}]',
        "{",
    ],
)
def test_a_mapping_that_cannot_work_is_refused_at_the_start(topics: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_TOPICS", topics)

    with pytest.raises(StartupError, match="HOLDFAST_TOPICS"):
        load_settings()


def test_a_mapping_that_starts_what_is_not_loaded_is_refused_at_the_start() -> None:
    mapped = MappedTopic(topic="payments", workflow_id="o-{data.id}", signal="payment", start="ordr")
    settings = Settings(store="memory:", workflows=(FLOWS,), topics=(mapped,))

    with pytest.raises(StartupError, match=r"topic 'payments' has in start 'ordr', .* loaded are .*\border\b"):
        build_engine(settings, lambda _: None)


def test_a_mapping_that_starts_what_is_loaded_is_taken() -> None:
    mapped = MappedTopic(topic="payments", workflow_id="o-{data.id}", signal="payment", start="order")

    build_engine(Settings(store="memory:", workflows=(FLOWS,), topics=(mapped,)), lambda _: None)


def test_dead_letters_are_shown_replayed_and_dropped(client: FlaskClient) -> None:
    for number in range(3):
        bulk(client, entry("1", event("a b", number)))
    bulk(client, entry("1", {"workflow_id": "order-1"}))
    page = client.get("/v1/dead-letters?limit=2").get_json()
    assert [each["number"] for each in page["items"]] == [4, 3]
    rest = client.get(f"/v1/dead-letters?limit=2&cursor={page['next_cursor']}").get_json()
    assert [each["number"] for each in rest["items"]] == [2, 1]
    assert rest["next_cursor"] is None

    shown = client.get("/v1/dead-letters/2").get_json()
    assert (shown["topic"], shown["value"]["id"]) == ("workflow-signals", "e-1")
    problem(client.post("/v1/dead-letters/2/replay"), 400, "invalid_id")
    assert client.delete("/v1/dead-letters/2").status_code == 204
    problem(client.delete("/v1/dead-letters/2"), 404, "dead_letter_not_found")
    problem(client.get("/v1/dead-letters/0"), 422, "invalid")
    problem(client.get("/v1/dead-letters/x"), 422, "invalid")
    problem(client.get("/v1/dead-letters?cursor=x"), 422, "invalid")


def test_a_message_for_a_run_that_has_ended_can_be_replayed_once_there_is_another(client: FlaskClient) -> None:
    start(client, "order", "order-1", {"sku": "A1"})
    bulk(client, entry("1", event("order-1")))
    ended(client, "order-1")
    bulk(client, entry("1", event("order-1", 2)))
    problem(client.post("/v1/dead-letters/1/replay"), 409, "already_finished")

    start(client, "order", "order-1", {"sku": "A1"})
    answer = client.post("/v1/dead-letters/1/replay")

    assert answer.get_json() == {"number": 1, "delivery": "applied"}
    assert ended(client, "order-1")["result"]["approval"] == "yes 2"
    problem(client.post("/v1/dead-letters/1/replay"), 404, "dead_letter_not_found")
