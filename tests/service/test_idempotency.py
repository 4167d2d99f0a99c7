"""A request that is sent again under its key is done once."""

import threading

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.service.kit import ended, fields, problem, start, waits_for

KEY = {"Idempotency-Key": "request-1"}


def test_the_same_start_again_gives_the_same_answer(client: FlaskClient) -> None:
    body = {"input": {"sku": "A1"}}

    first = client.post("/v1/workflows/order/runs", json=body, headers=KEY)
    second = client.post("/v1/workflows/order/runs", json=body, headers=KEY)

    assert first.status_code == second.status_code == 201
    assert first.get_json() == second.get_json()
    assert first.headers["Location"] == second.headers["Location"]
    assert len(client.get("/v1/runs").get_json()["items"]) == 1


def test_another_start_under_the_same_key_is_refused(client: FlaskClient) -> None:
    client.post("/v1/workflows/order/runs", json={"input": {"sku": "A1"}}, headers=KEY)

    response = client.post("/v1/workflows/order/runs", json={"input": {"sku": "B2"}}, headers=KEY)

    problem(response, 422, "request_id_reused")


def test_the_same_start_with_use_existing_gives_the_same_answer(client: FlaskClient) -> None:
    body = {"id": "order-1", "input": {"sku": "A1"}, "on_conflict": "use_existing"}

    first = client.post("/v1/workflows/order/runs", json=body, headers=KEY)
    second = client.post("/v1/workflows/order/runs", json=body, headers=KEY)
    other = client.post("/v1/workflows/order/runs", json=body)

    assert [each.status_code for each in (first, second, other)] == [201, 201, 200]
    assert first.get_json() == second.get_json() == other.get_json()


def test_a_signal_sent_again_is_applied_once(client: FlaskClient) -> None:
    start(client, "order", "order-1", {"sku": "A1"})

    for _ in range(3):
        response = client.post("/v1/runs/order-1/signals/note", json=1, headers={"Idempotency-Key": "note-1"})
        assert response.status_code == 202
    client.post("/v1/runs/order-1/signals/note", json=1, headers={"Idempotency-Key": "note-2"})

    events = client.get("/v1/runs/order-1/history").get_json()["events"]
    assert [event["id"] for event in events if event["type"] == "signal_received"] == ["note-1", "note-2"]


def test_a_signal_sent_again_after_the_end_gets_its_first_answer(client: FlaskClient) -> None:
    start(client, "order", "order-1", {"sku": "A1"})
    first = client.post("/v1/runs/order-1/signals/approval", json=1, headers=KEY)
    waits = client.post("/v1/runs/order-1/signals/approval", json=1, headers=KEY)

    assert (first.status_code, waits.status_code) == (202, 202)


def test_an_update_asked_again_is_applied_once(client: FlaskClient) -> None:
    start(client, "order", "order-1", {"sku": "A1"})

    first = client.post("/v1/runs/order-1/updates/quantity", json=4, headers=KEY)
    second = client.post("/v1/runs/order-1/updates/quantity", json=4, headers=KEY)

    assert first.get_json() == second.get_json() == {"id": "order-1", "update_id": "request-1", "result": 4}
    events = client.get("/v1/runs/order-1/history").get_json()["events"]
    assert [event["type"] for event in events].count("update_accepted") == 1


@pytest.mark.parametrize("key", ["", "x" * 257, "a\tb", "a b", "ä"])
@pytest.mark.parametrize(
    "path", ["/v1/workflows/quick/runs", "/v1/runs/order-1/signals/note", "/v1/runs/order-1/updates/quantity"]
)
def test_a_key_that_is_none_is_named(client: FlaskClient, key: str, path: str) -> None:
    start(client, "order", "order-1", {"sku": "A1"})

    assert fields(problem(client.post(path, headers={"Idempotency-Key": key}), 422, "invalid")) == ["Idempotency-Key"]


def test_of_many_that_start_one_id_at_once_one_wins(app: Flask) -> None:
    answers: list[int] = []
    body = {"id": "race", "input": {"sku": "A1"}}

    def race() -> None:
        answers.append(app.test_client().post("/v1/workflows/order/runs", json=body).status_code)

    threads = [threading.Thread(target=race) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [201] + [409] * 15
    waits_for(app.test_client(), "race", "signal 'approval'")


def test_a_signal_may_be_a_cloud_event_and_is_known_by_its_id(client: FlaskClient) -> None:
    start(client, "order", "order-1", {"sku": "A1"})
    binary = {"ce-specversion": "1.0", "ce-id": "7", "ce-source": "shop", "ce-type": "t"}
    structured = {"specversion": "1.0", "id": "7", "source": "shop", "type": "t", "data": "yes"}

    for _ in range(2):
        path = "/v1/runs/order-1/signals/approval"
        assert client.post(path, json="yes", headers=binary).status_code == 202
        answer = client.post(path, json=structured, content_type="application/cloudevents+json")
        assert answer.status_code == 202

    run = ended(client, "order-1")
    assert run["result"]["approval"] == "yes"
    events = client.get("/v1/runs/order-1/history").get_json()["events"]
    assert [each["id"] for each in events if each["type"] == "signal_received"] == ["shop 7"]


def test_what_claims_to_be_a_cloud_event_and_is_none_is_refused(client: FlaskClient) -> None:
    start(client, "order", "order-1", {"sku": "A1"})
    path = "/v1/runs/order-1/signals/approval"

    for body in (7, {}, {"specversion": "2.0"}):
        problem(client.post(path, json=body, content_type="application/cloudevents+json"), 422, "invalid")
