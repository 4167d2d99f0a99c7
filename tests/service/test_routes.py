"""Every route does what it says, over an engine in memory, and over SQLite."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from holdfast.stores import SqliteStore
from tests.service.kit import application, ended, start, waits_for


def test_the_workflows_are_listed_with_the_schema_of_their_input(client: FlaskClient) -> None:
    items = client.get("/v1/workflows").get_json()["items"]

    by_name = {item["name"]: item for item in items}
    assert by_name["order"]["input_schema"]["required"] == ["sku"]
    assert by_name["order"]["doc"] == "Price an order, and wait for its approval."
    assert by_name["order"]["newest"] is True
    assert by_name["quick"]["takes_input"] is False
    assert by_name["quick"]["outputs"] == []
    assert by_name["tells"]["outputs"] == ["workflow-signals"]


def test_a_run_is_started_found_signalled_and_ends(client: FlaskClient) -> None:
    response = start(client, "order", "order-1", {"sku": "A1", "quantity": 2})

    assert response.headers["Location"] == "/v1/runs/order-1"
    started = response.get_json()
    assert started["id"] == "order-1"
    assert started["status"] == "running"
    assert "result" not in started
    waits_for(client, "order-1", "signal 'approval'")
    run = client.get(response.headers["Location"]).get_json()
    assert run["workflow_id"] == run["id"] == "order-1"
    assert run["run_id"] == started["run_id"]
    assert run["input"] == {"sku": "A1", "quantity": 2}
    assert run["attributes"] == {"sku": "A1", "quantity": 2}
    assert run["waiting_for"] == ["signal 'approval'"]
    assert run["pending"] == []

    response = client.post("/v1/runs/order-1/signals/approval", json={"by": "ann"})

    assert response.status_code == 202
    assert response.get_json() == {"id": "order-1", "signal": "approval"}
    run = ended(client, "order-1")
    assert run["status"] == "completed"
    assert run["result"] == {"cents": 200, "approval": {"by": "ann"}}
    events = client.get("/v1/runs/order-1/history").get_json()["events"]
    assert [event["type"] for event in events] == [
        "workflow_started",
        "attributes_set",
        "activity_started",
        "activity_completed",
        "signal_received",
        "workflow_completed",
    ]
    assert [event["seq"] for event in events] == [1, 2, 3, 4, 5, 6]
    assert client.get("/v1/runs/order-1/history?after=4").get_json()["events"] == events[4:]


def test_the_service_works_the_same_over_sqlite(tmp_path: Path) -> None:
    with application(SqliteStore(tmp_path / "runs.db")) as app:
        client = app.test_client()
        start(client, "order", "order-1", {"sku": "A1"})
        client.post("/v1/runs/order-1/signals/approval")
        assert ended(client, "order-1")["result"] == {"cents": 100, "approval": None}

    with application(SqliteStore(tmp_path / "runs.db")) as app:
        run = app.test_client().get("/v1/runs/order-1").get_json()
        assert run["result"] == {"cents": 100, "approval": None}


def test_a_start_without_an_id_makes_one(client: FlaskClient) -> None:
    first = client.post("/v1/workflows/quick/runs")
    second = client.post("/v1/workflows/quick/runs", json={})

    assert first.status_code == second.status_code == 201
    assert first.get_json()["id"] != second.get_json()["id"]


@pytest.mark.parametrize("wait", ["5s", "5", "PT5S", "5000ms"])
def test_a_start_that_waits_answers_with_the_result(client: FlaskClient, wait: str) -> None:
    response = client.post(f"/v1/workflows/quick/runs?wait={wait}")

    assert response.status_code == 201
    assert response.get_json() | {"id": "", "run_id": ""} == {
        "id": "",
        "run_id": "",
        "status": "completed",
        "result": 42,
    }


def test_a_start_that_waits_answers_with_the_error(client: FlaskClient) -> None:
    response = client.post("/v1/workflows/fails/runs?wait=5s")

    assert response.status_code == 201
    body = response.get_json()
    assert body["status"] == "failed"
    assert body["error"] == {"type": "ValueError", "message": "no\x1b[31m luck\nat all", "details": None, "cause": None}
    assert "result" not in body


def test_a_start_that_waits_too_short_answers_without_a_result(client: FlaskClient) -> None:
    response = client.post("/v1/workflows/order/runs?wait=0.05", json={"input": {"sku": "A1"}})

    assert response.status_code == 201
    assert response.get_json()["status"] == "running"
    assert "result" not in response.get_json()


def test_a_run_that_takes_longer_than_its_time_out_is_ended(client: FlaskClient) -> None:
    response = client.post("/v1/workflows/naps/runs?wait=10s", json={"timeout": "100ms"})

    assert response.get_json()["status"] == "timed_out"


def test_runs_are_listed_newest_first_in_pages(client: FlaskClient) -> None:
    for number in range(5):
        start(client, "order", f"list-{number}", {"sku": f"A{number}"})

    first = client.get("/v1/runs?limit=2").get_json()
    second = client.get(f"/v1/runs?limit=2&cursor={first['next_cursor']}").get_json()
    third = client.get(f"/v1/runs?limit=2&cursor={second['next_cursor']}").get_json()

    ids = [run["id"] for page in (first, second, third) for run in page["items"]]
    assert ids == [f"list-{number}" for number in (4, 3, 2, 1, 0)]
    assert third["next_cursor"] is None
    assert set(first["items"][0]) == {
        "id",
        "workflow_id",
        "run_id",
        "workflow",
        "status",
        "created_at",
        "finished_at",
        "attributes",
    }


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=find", {"find-1", "find-2"}),
        ("q=sku=A1", {"find-1"}),
        ("q=quantity=2", {"find-2"}),
        ("q=sku=A1 quantity=1", {"find-1"}),
        ("q=sku=A1 find-2", set()),
        ("q=sku=", set()),
        ("q=other=1", set()),
        ("workflow=order", {"find-1", "find-2"}),
        ("workflow=nothing", set()),
        ("status=completed", {"quick"}),
        ("status=running&workflow=order", {"find-1", "find-2"}),
        ("status=purged", set()),
    ],
)
def test_a_list_is_narrowed_by_status_workflow_and_words(client: FlaskClient, query: str, found: set[str]) -> None:
    start(client, "order", "find-1", {"sku": "A1"})
    start(client, "order", "find-2", {"sku": "B2", "quantity": 2})
    start(client, "quick", "quick")
    ended(client, "quick")
    for each in ("find-1", "find-2"):
        waits_for(client, each, "signal")

    items = client.get(f"/v1/runs?{query}").get_json()["items"]

    assert {run["id"] for run in items} == found


def test_queries_answer_the_built_in_ones_and_the_runs_own(client: FlaskClient) -> None:
    start(client, "order", "order-1", {"sku": "A1", "quantity": 3})
    waits_for(client, "order-1", "signal")

    def ask(name: str) -> object:
        return client.get(f"/v1/runs/order-1/queries/{name}").get_json()

    assert ask("status") == {"result": "running"}
    assert ask("stack") == {"result": ["signal 'approval'"]}
    assert ask("result") == {"result": None}
    assert ask("quantity") == {"result": 3}
    assert ask("times?input=4") == {"result": 12}


def test_an_update_changes_the_run_and_replies(client: FlaskClient) -> None:
    start(client, "order", "order-1", {"sku": "A1"})

    response = client.post("/v1/runs/order-1/updates/quantity", json=7)

    assert response.status_code == 200
    assert response.get_json()["result"] == 7
    assert client.get("/v1/runs/order-1/queries/quantity").get_json() == {"result": 7}


def test_an_update_without_a_reply_in_time_is_accepted_under_a_name_to_ask_again(client: FlaskClient) -> None:
    start(client, "order", "order-1", {"sku": "A1"})

    response = client.post("/v1/runs/order-1/updates/never?wait=0.1s")

    assert response.status_code == 202
    body = response.get_json()
    assert "result" not in body
    events = client.get("/v1/runs/order-1/history").get_json()["events"]
    assert [event["id"] for event in events if event["type"] == "update_accepted"] == [body["update_id"]]


def test_control_pauses_resumes_cancels_terminates_reruns_and_purges(client: FlaskClient) -> None:
    start(client, "order", "order-1", {"sku": "A1"})
    waits_for(client, "order-1", "signal")

    def order(action: str, **body: object) -> tuple[int, str]:
        response = client.post(f"/v1/runs/order-1/{action}", json=body)
        return response.status_code, response.get_json()["status"]

    assert order("pause", reason="lunch") == (202, "paused")
    assert client.get("/v1/runs/order-1").get_json()["waiting_for"][0] == "a resume"
    assert order("resume") == (202, "running")
    assert order("cancel", reason="not wanted")[0] == 202
    assert ended(client, "order-1")["status"] == "canceled"
    first = client.get("/v1/runs/order-1").get_json()["run_id"]

    response = client.post("/v1/runs/order-1/rerun", json={"from_event": 2, "reason": "again"})

    assert response.status_code == 201
    assert response.headers["Location"] == "/v1/runs/order-1"
    assert response.get_json()["run_id"] != first
    assert client.get(f"/v1/runs/order-1?run_id={first}").get_json()["status"] == "canceled"
    assert (
        client.get(f"/v1/runs/order-1/history?run_id={first}").get_json()["events"][-1]["type"] == "workflow_canceled"
    )
    assert order("terminate") == (202, "terminated")
    assert client.delete("/v1/runs/order-1?reason=done").status_code == 204
    assert client.get("/v1/runs/order-1").status_code == 404


def test_use_existing_finds_the_open_run_and_terminate_existing_replaces_it(client: FlaskClient) -> None:
    first = start(client, "order", "order-1", {"sku": "A1"}).get_json()["run_id"]
    body = {"id": "order-1", "input": {"sku": "B2"}}

    found = client.post("/v1/workflows/order/runs", json=body | {"on_conflict": "use_existing"})
    replaced = client.post("/v1/workflows/order/runs", json=body | {"on_conflict": "terminate_existing"})

    assert found.status_code == 200
    assert found.get_json()["run_id"] == first
    assert replaced.status_code == 201
    assert replaced.get_json()["run_id"] != first
    assert client.get(f"/v1/runs/order-1?run_id={first}").get_json()["status"] == "terminated"


def test_use_existing_starts_the_run_where_there_is_none(client: FlaskClient) -> None:
    response = client.post("/v1/workflows/quick/runs", json={"id": "new", "on_conflict": "use_existing"})

    assert response.status_code == 201


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
def test_a_well_process_says_so(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 200


def test_every_answer_carries_its_request_id_and_is_not_kept(client: FlaskClient) -> None:
    response = client.get("/v1/runs", headers={"X-Request-ID": "my-request.1"})
    made_up = client.get("/v1/runs", headers={"X-Request-ID": "no good\x7f"})
    refused = client.get("/v1/nothing")

    assert response.headers["X-Request-ID"] == "my-request.1"
    assert made_up.headers["X-Request-ID"] not in {"", "no good\x7f"}
    assert refused.get_json()["request_id"] == refused.headers["X-Request-ID"]
    for each in (response, made_up, refused):
        assert each.headers["Cache-Control"] == "no-store"
        assert each.headers["X-Content-Type-Options"] == "nosniff"
        assert "Access-Control-Allow-Origin" not in each.headers
