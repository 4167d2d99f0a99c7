"""What bad input gets: never a traceback, never a half-written run, and the field at fault by name."""

import json

import pytest
from flask import Flask
from flask.testing import FlaskClient

from holdfast import Engine
from tests.service.kit import application, ended, fields, problem, service_of, start, waits_for

RUNS = "/v1/workflows/order/runs"
JSON = {"Content-Type": "application/json"}


def no_runs(client: FlaskClient) -> bool:
    return not client.get("/v1/runs").get_json()["items"]


def test_an_unknown_workflow_is_not_found(client: FlaskClient) -> None:
    body = problem(client.post("/v1/workflows/nothing/runs", json={}), 404, "workflow_not_found")

    assert "known: asks, counts, echo" in body["detail"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"id": "a",}',
        "{'id': 'a'}",
        "NaN",
        '{"input": NaN}',
        '{"input": Infinity}',
        '{"input": 1e999}',
        '{"input": 18446744073709551616}',
        '{"input": ' + "9" * 5_000 + "}",
        '{"id": "a", "id": "b"}',
        '{"input": {"sku": 1, "sku": 2}}',
        '{"input": "\\ud800"}',
        "[" * 100_000,
        '{"input": ' * 100 + "1" + "}" * 100,
        "\ufeff{}",
        '{"input": "\x00"}',
        '{"input": 01}',
        "{} {}",
        "// comment",
        "null",
    ],
)
def test_malformed_json_is_refused_and_nothing_is_started(client: FlaskClient, text: str) -> None:
    problem(client.post(RUNS, data=text.encode() or b" ", headers=JSON), 422, "invalid")
    problem(client.post(RUNS, data=b'{"id": "\xff"}', headers=JSON), 422, "invalid")

    assert no_runs(client)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"input": {}}, ["input.sku"]),
        ({"input": {"sku": 1}}, ["input.sku"]),
        ({"input": {"sku": "A1", "quantity": "many"}}, ["input.quantity"]),
        ({"input": {"sku": 1, "quantity": "many"}}, ["input.sku", "input.quantity"]),
        ({"input": [1]}, ["input"]),
        ({}, ["input"]),
        ({"id": 1, "input": {"sku": "A1"}}, ["id"]),
        ({"input": {"sku": "A1"}, "timeout": "soon"}, ["timeout"]),
        ({"input": {"sku": "A1"}, "timeout": -1}, ["timeout"]),
        ({"input": {"sku": "A1"}, "timeout": 1e300}, ["timeout"]),
        ({"input": {"sku": "A1"}, "timeout": True}, ["timeout"]),
        ({"input": {"sku": "A1"}, "on_conflict": "hope"}, ["on_conflict"]),
        ({"input": {"sku": "A1"}, "colour": "red"}, ["colour"]),
        ({"id": 1, "colour": "red"}, ["id", "colour"]),
        ([], [""]),
        ("text", [""]),
    ],
)
def test_a_wrong_type_or_a_missing_field_is_named(client: FlaskClient, body: object, named: list[str]) -> None:
    assert fields(problem(client.post(RUNS, json=body), 422, "invalid")) == named
    assert no_runs(client)


def test_a_key_that_stands_twice_is_named(client: FlaskClient) -> None:
    body = problem(client.post(RUNS, data=b'{"input": {"sku": 1, "sku": 2}}', headers=JSON), 422, "invalid")

    assert fields(body) == ["sku"]


def test_input_for_a_workflow_that_takes_none_is_refused(client: FlaskClient) -> None:
    assert fields(problem(client.post("/v1/workflows/quick/runs", json={"input": 1}), 422, "invalid")) == ["input"]


@pytest.mark.parametrize(
    "id",
    ["", "a b", "a/b", "..", ".", "a||b", "a%2Fb", "ä", "a\x00", "a\n", "\u202ea", "a" * 65, "a" * 10_000, "а"],  # noqa: RUF001
)
def test_a_bad_id_is_refused_in_a_body(client: FlaskClient, id: str) -> None:
    body = problem(client.post(RUNS, json={"id": id, "input": {"sku": "A1"}}), 400, "invalid_id")

    assert len(body["detail"]) < 300
    assert no_runs(client)


@pytest.mark.parametrize(
    "id", ["a%20b", "%2e%2e", "%00", "a%0A", "%E2%80%AE", "%C3%A4", "a%7C%7Cb", "%", "a" * 65, "a%zz"]
)
@pytest.mark.parametrize(
    ("method", "rest"),
    [("GET", ""), ("GET", "/history"), ("GET", "/events"), ("POST", "/signals/go"), ("POST", "/cancel")],
)
def test_a_bad_id_is_refused_in_a_path_after_decoding(client: FlaskClient, id: str, method: str, rest: str) -> None:
    problem(client.open(f"/v1/runs/{id}{rest}", method=method), 400, "invalid_id")


def test_a_duplicate_id_conflicts_and_names_the_run_that_has_it(client: FlaskClient) -> None:
    first = start(client, "order", "order-1", {"sku": "A1"}).get_json()

    body = problem(client.post(RUNS, json={"id": "order-1", "input": {"sku": "B2"}}), 409, "already_started")

    assert (body["id"], body["run_id"]) == ("order-1", first["run_id"])


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("POST", "/signals/approval"),
        ("POST", "/updates/quantity"),
        ("POST", "/cancel"),
        ("POST", "/terminate"),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("POST", "/rerun"),
        ("DELETE", ""),
        ("GET", ""),
        ("GET", "/history"),
        ("GET", "/events"),
        ("GET", "/queries/status"),
    ],
)
def test_an_unknown_run_is_not_found(client: FlaskClient, method: str, rest: str) -> None:
    problem(client.open(f"/v1/runs/nobody{rest}", method=method), 404, "workflow_not_found")


@pytest.mark.parametrize(
    "rest", ["/signals/approval", "/updates/quantity", "/cancel", "/terminate", "/pause", "/resume"]
)
def test_a_finished_run_takes_nothing_more(client: FlaskClient, rest: str) -> None:
    start(client, "quick", "done")
    ended(client, "done")

    problem(client.post(f"/v1/runs/done{rest}"), 409, "already_finished")


def test_an_open_run_is_neither_rerun_nor_purged(client: FlaskClient) -> None:
    start(client, "order", "order-1", {"sku": "A1"})

    problem(client.post("/v1/runs/order-1/rerun"), 409, "still_open")
    problem(client.delete("/v1/runs/order-1"), 409, "still_open")


def test_a_body_over_the_limit_is_too_large() -> None:
    with application(max_body_bytes=10_000) as app:
        client = app.test_client()
        start(client, "echo", "fits", "x" * 9_000)

        problem(client.post(RUNS, json={"input": {"sku": "x" * 10_000}}), 413, "too_large")
        problem(client.post("/v1/runs/fits/signals/go", data=b"x" * 20_000, headers=JSON), 413, "too_large")


def test_a_value_over_the_engines_limit_is_too_large(client: FlaskClient) -> None:
    problem(client.post("/v1/workflows/echo/runs", json={"input": "x" * 1_100_000}), 413, "too_large")

    assert no_runs(client)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/xml"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
@pytest.mark.parametrize("body", [b"", b"{}"])
def test_a_body_that_is_not_json_is_unsupported(client: FlaskClient, headers: dict[str, str], body: bytes) -> None:
    start(client, "order", "order-1", {"sku": "A1"})

    for path in ("/v1/workflows/quick/runs", "/v1/runs/order-1/signals/go", "/v1/runs/order-1/cancel"):
        problem(client.post(path, data=body, headers=headers), 415, "unsupported_media_type")


def test_a_body_without_a_type_is_unsupported(client: FlaskClient) -> None:
    problem(client.post("/v1/workflows/quick/runs", data=b"{}"), 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "type", ["application/json", "application/json; charset=UTF-8", "application/cloudevents+json"]
)
def test_json_by_its_other_names_is_taken(client: FlaskClient, type: str) -> None:
    assert client.post("/v1/workflows/quick/runs", data=b"{}", content_type=type).status_code == 201


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=ten", "limit"),
        ("limit=1&limit=2", "limit"),
        ("status=unheard-of", "status"),
        ("cursor=nonsense", "cursor"),
        ("cursor=%FF", "cursor"),
        ("q=a%20b", "q"),
        ("q=a=1%20a=2", "q"),
        ("q==1", "q"),
        (f"q={'x' * 1001}", "q"),
        ("colour=red", "colour"),
    ],
)
def test_a_bad_parameter_of_a_list_is_named(client: FlaskClient, query: str, named: str) -> None:
    assert fields(problem(client.get(f"/v1/runs?{query}"), 422, "invalid")) == [named]


@pytest.mark.parametrize("wait", ["soon", "-1", "61s", "2m", "1e3", "", "PT", "P", "5 s"])
def test_a_bad_wait_is_named_and_nothing_is_started(client: FlaskClient, wait: str) -> None:
    assert fields(problem(client.post(f"/v1/workflows/quick/runs?wait={wait}"), 422, "invalid")) == ["wait"]
    assert no_runs(client)


@pytest.mark.parametrize("from_event", [0, -1, 7, 10**12, "1", 1.5, None, True])
def test_a_rerun_from_no_event_is_refused(client: FlaskClient, from_event: object) -> None:
    start(client, "quick", "done")
    ended(client, "done")

    response = client.post("/v1/runs/done/rerun", json={"from_event": from_event})

    assert fields(problem(response, 422, "invalid")) == ["from_event"]


def test_a_reason_has_a_limit(client: FlaskClient) -> None:
    start(client, "order", "order-1", {"sku": "A1"})

    response = client.post("/v1/runs/order-1/cancel", json={"reason": "x" * 1_001})

    assert fields(problem(response, 422, "invalid")) == ["reason"]


@pytest.mark.parametrize("name", ["%0A", "a" * 257, "%00", "%E2%80%AE"])
@pytest.mark.parametrize(("method", "kind"), [("POST", "signals"), ("GET", "queries"), ("POST", "updates")])
def test_a_bad_name_is_refused(client: FlaskClient, name: str, method: str, kind: str) -> None:
    start(client, "order", "order-1", {"sku": "A1"})

    assert fields(problem(client.open(f"/v1/runs/order-1/{kind}/{name}", method=method), 422, "invalid")) == ["name"]


def test_an_unregistered_activity_lets_the_run_wait_visibly(client: FlaskClient) -> None:
    start(client, "lost", "lost-1")
    waits_for(client, "lost-1", "not registered")

    run = client.get("/v1/runs/lost-1").get_json()

    assert run["status"] == "running"
    assert run["waiting_for"] == ["activity 'nowhere', which is not registered here"]
    assert [(pending["name"], pending["registered"]) for pending in run["pending"]] == [("nowhere", False)]


def test_an_exception_in_a_query_reaches_the_caller_and_leaves_the_run_untouched(client: FlaskClient) -> None:
    start(client, "order", "order-1", {"sku": "A1"})
    waits_for(client, "order-1", "signal")
    before = client.get("/v1/runs/order-1/history").get_json()

    body = problem(client.get("/v1/runs/order-1/queries/broken"), 422, "query_failed")
    unknown = problem(client.get("/v1/runs/order-1/queries/nothing"), 422, "query_failed")

    assert "the handler is broken" in body["detail"]
    assert "known: broken, quantity" in unknown["detail"]
    assert client.get("/v1/runs/order-1/history").get_json() == before
    assert client.get("/v1/runs/order-1").get_json()["status"] == "running"


@pytest.mark.parametrize("input", ["{", "NaN", "%5B1,", "1 2"])
def test_a_query_with_bad_input_names_it(client: FlaskClient, input: str) -> None:
    start(client, "order", "order-1", {"sku": "A1"})

    assert fields(problem(client.get(f"/v1/runs/order-1/queries/times?input={input}"), 422, "invalid")) == ["input"]


def test_an_exception_in_a_validator_reaches_the_caller_and_leaves_the_run_untouched(client: FlaskClient) -> None:
    start(client, "order", "order-1", {"sku": "A1"})
    waits_for(client, "order-1", "signal")
    before = client.get("/v1/runs/order-1/history").get_json()

    body = problem(client.post("/v1/runs/order-1/updates/quantity", json=11), 422, "update_rejected")
    unknown = problem(client.post("/v1/runs/order-1/updates/nothing", json=11), 422, "update_rejected")
    misfit = problem(client.post("/v1/runs/order-1/updates/quantity", json="many"), 422, "invalid")

    assert body["detail"] == "at most 10"
    assert "known: never, quantity" in unknown["detail"]
    assert "quantity" in misfit["detail"]
    assert client.get("/v1/runs/order-1/history").get_json() == before
    assert client.get("/v1/runs/order-1/queries/quantity").get_json() == {"result": 1}


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/runs", "/v1/runs/", "/v1//runs", "/v1/runs/a/b/c", "/static/x"])
def test_an_unknown_route_is_a_problem(client: FlaskClient, path: str) -> None:
    problem(client.get(path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/runs", "GET"),
        ("POST", "/livez", "GET"),
        ("GET", "/v1/runs/a/cancel", "POST"),
        ("BREW", "/v1/runs", "GET"),
    ],
)
def test_a_wrong_method_is_a_problem_that_names_the_right_ones(
    client: FlaskClient, method: str, path: str, allowed: str
) -> None:
    response = client.open(path, method=method)

    problem(response, 405, "method_not_allowed")
    assert allowed in response.headers["Allow"]


def test_a_defect_of_the_service_is_a_problem_without_a_traceback(
    app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_make: object, *, waits: float | None = None) -> Engine:
        raise ZeroDivisionError("a secret")

    service_of(app).call = broken  # type: ignore[assignment,method-assign]
    response = client.get("/v1/runs")

    body = problem(response, 500, "internal_error")
    assert "secret" not in response.text
    assert any(record.exc_info and body["request_id"] == record.__dict__["request_id"] for record in caplog.records)


def test_a_deep_bomb_is_refused_at_once(client: FlaskClient) -> None:
    for text in ("[" * 1_000_000, '{"a":' * 300_000, json.dumps("x" * 1_500_000)):
        assert client.post("/v1/workflows/quick/runs", data=text, headers=JSON).status_code == 422
