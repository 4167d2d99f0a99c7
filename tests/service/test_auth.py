"""Who may call what: a matrix over every route there is, so that a new one cannot be forgotten."""

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.factory import create_app
from app.settings import Settings
from tests.service.kit import application, problem

OPEN = {"/livez", "/readyz", "/healthz"}
TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def guarded() -> Iterator[FlaskClient]:
    with application(token=TOKEN) as app:
        yield app.test_client()


def every_route() -> list[tuple[str, str]]:
    app = create_app(Settings(store="memory:"))
    rules = [(rule, rule.methods or set()) for rule in app.url_map.iter_rules()]
    return sorted((method, re.sub(r"<[\w:]+>", "1", rule.rule)) for rule, methods in rules for method in methods)


EVERY_ROUTE = every_route()
CALLBACKS = [(method, path) for method, path in EVERY_ROUTE if path.startswith("/dapr/")]
ROUTES = [each for each in EVERY_ROUTE if each not in CALLBACKS]


def test_the_matrix_is_about_the_routes_there_are() -> None:
    assert ("POST", "/v1/workflows/1/runs") in ROUTES
    assert ("DELETE", "/v1/runs/1") in ROUTES
    assert ("POST", "/dapr/pubsub/1") in CALLBACKS


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    "header",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer ä"},
    ],
)
def test_without_the_token_only_health_is_told(
    guarded: FlaskClient, method: str, path: str, header: dict[str, str]
) -> None:
    response = guarded.open(path, method=method, headers=header)

    if path in OPEN:
        assert response.status_code == 200
    else:
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="holdfast"'
        if method != "HEAD":
            assert problem(response, 401, "unauthorized")


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_with_the_token_every_route_lets_in(guarded: FlaskClient, method: str, path: str) -> None:
    response = guarded.open(path, method=method, headers={"Authorization": f"bearer  {TOKEN}"})

    assert response.status_code not in {401, 403}


@pytest.mark.parametrize(("method", "path"), CALLBACKS)
def test_the_sidecars_routes_open_to_its_own_token_only(method: str, path: str) -> None:
    with application(token=TOKEN, app_api_token="sidecar") as app:
        client = app.test_client()
        for headers in ({}, {"Authorization": f"Bearer {TOKEN}"}, {"dapr-api-token": TOKEN}):
            assert client.open(path, method=method, headers=headers).status_code == 401
        assert client.open(path, method=method, headers={"dapr-api-token": "sidecar"}).status_code == 200


def test_an_unknown_route_tells_strangers_nothing(guarded: FlaskClient) -> None:
    problem(guarded.get("/v1/nothing"), 401, "unauthorized")


def test_every_operation_states_who_may_call_it() -> None:
    app = create_app(Settings(store="memory:"))
    documented = app.extensions["holdfast.openapi"]["paths"]

    rules = {re.sub(r"<(?:path:)?(\w+)>", r"{\1}", rule.rule) for rule in app.url_map.iter_rules()}

    assert {rule for rule in rules if not rule.startswith("/dapr/")} == set(documented)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "10.0.0.7", ""])
def test_without_a_token_no_foreign_name_is_answered_to(client: FlaskClient, host: str) -> None:
    response = client.get("/v1/runs", headers={"Host": host})

    assert response.status_code in {400, 403}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "localhost:1", "[::1]:8000"])
def test_this_machines_names_are_answered_to(client: FlaskClient, host: str) -> None:
    assert client.get("/v1/runs", headers={"Host": host}).status_code == 200


def test_with_a_token_any_name_will_do(guarded: FlaskClient) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Host": "runs.example"}

    assert guarded.get("/v1/runs", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_pages_of_other_sites_change_nothing(app: Flask, headers: dict[str, str]) -> None:
    client = app.test_client()

    problem(client.post("/v1/workflows/quick/runs", headers=headers), 403, "forbidden_origin")

    assert client.get("/v1/runs").get_json()["items"] == []


def test_a_page_of_the_service_itself_may_call_it(client: FlaskClient) -> None:
    headers = {"Host": "localhost:8000", "Origin": "http://localhost:8000", "Sec-Fetch-Site": "same-origin"}

    assert client.post("/v1/workflows/quick/runs", headers=headers).status_code == 201
