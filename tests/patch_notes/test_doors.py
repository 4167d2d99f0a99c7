"""Cases about who gets in: other sites' pages, odd ways to write a path, ids that walk through paths."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Coroutine, Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from flask.testing import FlaskClient

from app.factory import create_app
from app.settings import Settings
from holdfast import Engine, EngineThread, InvalidIdError
from holdfast.stores import MemoryStore
from tests.patch_notes.homes import Watched
from tests.service.kit import Process, process
from tests.unit.engine.kit import echo, parked, steps

TOKEN = "the-token-of-the-service"
HEALTH = {"/livez", "/readyz", "/healthz"}


@pytest.fixture
def store() -> Watched:
    return Watched(MemoryStore())


@pytest.fixture
def thread(store: Watched) -> Iterator[EngineThread]:
    with EngineThread(store, workflows=[steps, parked], activities=[echo], drain=0.2) as thread:
        yield thread


@pytest.fixture
def client(thread: EngineThread) -> FlaskClient:
    return create_app(Settings(store="memory:"), thread).test_client()


def every_route(client: FlaskClient) -> list[tuple[str, str]]:
    rules = list(client.application.url_map.iter_rules())
    return [(method, re.sub(r"<[^>]+>", "x", rule.rule)) for rule in rules for method in sorted(rule.methods or ())]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:9999", "http://127.0.0.1:1"])
def test_03_no_answer_lets_the_pages_of_another_site_read_it_or_call_again(client: FlaskClient, origin: str) -> None:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    routes = every_route(client)
    assert len(routes) > 30

    for method, path in routes:
        answer = client.open(path, method=method, headers=asked)
        preflight = client.options(path, headers=asked)
        for each in (answer, preflight):
            given = [name for name in dict(each.headers) if name.lower().startswith("access-control")]
            assert given == [], (method, path)
        if path not in HEALTH and not path.startswith("/dapr/"):
            assert answer.status_code == 403, (method, path)
    simple = client.post("/v1/workflows/steps/runs", data='{"id":"a"}', content_type="text/plain", headers=asked)
    assert simple.status_code == 403
    assert client.get("/v1/runs").get_json()["items"] == []


def told(service: Process, line: str, *headers: str, body: bytes = b"") -> tuple[int, bytes]:
    """Send a request exactly as it is written, which no HTTP client would, and give status and body of the answer."""
    place = urlsplit(service.url)
    head = [line, f"Host: {place.netloc}", "Connection: close", f"Content-Length: {len(body)}", *headers, "", ""]
    with socket.create_connection((str(place.hostname), int(place.port or 0)), timeout=30) as connection:
        connection.sendall("\r\n".join(head).encode("latin-1") + body)
        raw = b"".join(iter(lambda: connection.recv(65_536), b""))
    answer_head, _, content = raw.partition(b"\r\n\r\n")
    return int(answer_head.split(b" ", 2)[1]), content


SECRET = "what only who has the token may read"
PATHS = [
    "/v1/runs/a",
    "v1/runs/a",
    "//v1/runs/a",
    "/./v1/runs/a",
    "/v1//runs/a",
    "/v1/./runs/a",
    "/V1/runs/a",
    "/v1/runs/a/",
    "/%76%31/runs/a",
    "/v1%2Fruns%2Fa",
    "/livez/../v1/runs/a",
    "/livez%2F..%2Fv1/runs/a",
    "/livez/%2e%2e/v1/runs/a",
    "/readyz;/v1/runs/a",
    "/v1/runs/a?/livez",
    "/v1/runs/a#/livez",
    "/v1/runs/a%00",
    "/v1/runs/a%23",
    "/dapr/subscribe/../../v1/runs/a",
    "/dapr/pubsub/../../v1/runs/a",
    "http://127.0.0.1/v1/runs/a",
    "http://livez/v1/runs/a",
    "*",
    "",
]
BY_ANOTHER_NAME = [
    ("X-Original-URL: /livez",),
    ("X-Rewrite-URL: /livez",),
    ("X-HTTP-Method-Override: GET", "X-Forwarded-For: 127.0.0.1"),
    ("X-Forwarded-Prefix: /livez", "Script-Name: /livez"),
    ("dapr-api-token: the-token-of-the-app",),
    ("Authorization: Bearer the-token-of-the-app",),
]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A service with a token, in which the run ``a`` waits."""
    folder = tmp_path_factory.mktemp("guarded")
    app_token = folder / "app-token"
    app_token.write_text("the-token-of-the-app", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("APP_API_TOKEN_FILE", str(app_token))
        with process(folder, token=TOKEN) as service:
            service.ready()
            start = json.dumps({"id": "a", "input": SECRET}).encode()
            bearer = f"Authorization: Bearer {TOKEN}"
            line = "POST /v1/workflows/echo/runs?wait=10s HTTP/1.1"
            assert told(service, line, bearer, "Content-Type: application/json", body=start)[0] == 201
            assert SECRET.encode() in told(service, "GET /v1/runs/a HTTP/1.1", bearer)[1]
            yield service


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "get", "TRACE"])
def test_07_no_way_to_write_a_path_gets_past_the_token(guarded: Process, method: str) -> None:
    for path in PATHS:
        for headers in [(), *BY_ANOTHER_NAME]:
            status, body = told(guarded, f"{method} {path} HTTP/1.1", *headers)
            is_callback = path.startswith("/dapr/") and "dapr-api-token: the-token-of-the-app" in headers
            assert is_callback or 400 <= status < 500, (path, headers, body)
            assert SECRET.encode() not in body, (path, headers)
    assert 400 <= told(guarded, f"{method} /v1/runs/a HTTP/1.0")[0] < 500
    bearer = f"Authorization: Bearer {TOKEN}"
    assert SECRET.encode() in told(guarded, "GET /v1/runs/a HTTP/1.1", bearer)[1]


WALKS = [
    "admin/../public",
    "admin/..//public",
    "./public",
    "public/.",
    "../public",
    "..",
    ".",
    "public/",
    "/public",
    "//public",
    "public\x00",
    "public||x",
    "public\\..\\public",
    "admin%2F..%2Fpublic",
    "public%00",
    "public?x",
    "public#x",
    "public;x",
    "publi\u0441",  # a letter that only looks like the last one
    "public\u202e",
]


def calls_of(client: FlaskClient, id: str) -> Iterator[tuple[str, Any]]:
    """Every way to name a run to the service, and what answers."""
    for encoded in {quote(id, safe=""), quote(id, safe="/"), quote(quote(id, safe=""), safe="")}:
        run = f"/v1/runs/{encoded}"
        yield f"GET {run}", client.get(run)
        yield f"GET {run}/history", client.get(f"{run}/history")
        yield f"GET {run}/queries/status", client.get(f"{run}/queries/status")
        yield f"POST {run}/signals/end", client.post(f"{run}/signals/end", json="walked")
        yield f"POST {run}/terminate", client.post(f"{run}/terminate", json={})
        yield f"DELETE {run}", client.delete(run)
    yield "POST start", client.post("/v1/workflows/parked/runs", json={"id": id})


def engine_calls(engine: Engine, id: str) -> Iterator[Coroutine[Any, Any, object]]:
    """Every way to name a run to the engine."""
    yield engine.start(parked, id=id)
    yield engine.signal(id, "end")
    yield engine.signal_with_start(parked, id=id, signal="end")
    yield engine.query(id, "status")
    yield engine.update(id, "x", 1)
    yield engine.describe(id)
    yield engine.history(id)
    yield engine.terminate(id)
    yield engine.purge(id)


@pytest.mark.parametrize("id", WALKS)
def test_09_an_id_that_walks_through_paths_is_refused_before_it_reaches_a_store(
    client: FlaskClient, thread: EngineThread, store: Watched, id: str
) -> None:
    assert client.post("/v1/workflows/parked/runs", json={"id": "public", "input": 1}).status_code == 201
    calls = store.calls

    for call, answer in calls_of(client, id):
        assert 400 <= answer.status_code < 500, call
        assert "running" not in answer.text, call
    for asked in engine_calls(thread.engine, id):
        with pytest.raises(InvalidIdError):
            thread.run(asked)

    assert store.calls == calls
    assert client.get("/v1/runs/public").get_json()["status"] == "running"
