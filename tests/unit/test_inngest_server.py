"""The reference server keeps the protocol that the store counts on."""

from __future__ import annotations

import http.client
import os
import select
import socket
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from holdfast.testing.inngest_server import create_app, reference_server
from tests.integration.processes import Server as Process
from tests.integration.processes import free_port, listens
from tests.unit.inngest_kit import Answer, Environ, Server, only, server

KEY = "s3cret-event-key"
HEADERS = {"Authorization": f"Bearer {KEY}"}
ROOT = Path(__file__).parents[2]


class Caller:
    """One connection to a server."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)

    def __call__(
        self, method: str, key: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        self.connection.request(method, f"/v1/workflows/{key}", body, HEADERS if headers is None else headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def port(self) -> int:
        assert self.connection.sock is not None
        number: int = self.connection.sock.getsockname()[1]
        return number

    def close(self) -> None:
        self.connection.close()


def test_it_stores_gives_and_deletes_documents_byte_for_byte(tmp_path: Path) -> None:
    value = b' { "b" : 1.0 ,\n "a": "\\u00fc" , "a":null} '
    with reference_server(tmp_path / "documents.db", event_key=KEY) as url:
        call = Caller(url)
        assert call("GET", "a")[0] == 404
        assert call("PUT", "a", value) == (204, b"")
        first = call.port()
        assert call("GET", "a") == (200, value)
        assert call("PUT", "a", b"2")[0] == 204
        assert call("GET", "a") == (200, b"2")
        assert call("GET", "A")[0] == 404
        assert call("DELETE", "a")[0] == 204
        assert call("DELETE", "a")[0] == 204
        assert call("GET", "a")[0] == 404
        assert call.port() == first  # one connection for all of it
        call.close()


@pytest.mark.parametrize(
    "authorization", [None, "", KEY, "Bearer", "Bearer ", "Bearer x", f"Bearer {KEY}x", "Bearer \xfc"]
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_without_the_event_key_it_does_nothing(tmp_path: Path, method: str, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    with reference_server(tmp_path / "documents.db", event_key=KEY) as url:
        call = Caller(url)
        call("PUT", "a", b"1")
        status, words = call(method, "a", b"2" if method == "PUT" else None, headers)
        assert (status, KEY.encode() in words) == (401, False)
        assert call("GET", "a") == (200, b"1")
        call.close()


def test_a_server_without_a_key_asks_for_none(tmp_path: Path) -> None:
    with reference_server(tmp_path / "documents.db") as url:
        call = Caller(url)
        assert call("PUT", "a", b"1", {})[0] == 204
        assert call("GET", "a", headers=HEADERS)[0] == 200
        call.close()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"{'a':1}", 400),
        (b'"' + b"x" * 1_048_574 + b'"', 204),
        (b'"' + b"x" * 1_048_575 + b'"', 413),
    ],
)
def test_it_takes_json_up_to_its_limit(tmp_path: Path, body: bytes, status: int) -> None:
    with reference_server(tmp_path / "documents.db", event_key=KEY) as url:
        call = Caller(url)
        assert call("PUT", "a", body)[0] == status
        assert call("GET", "a") == ((200, body) if status == 204 else call("GET", "absent"))
        call.close()


def test_other_ways_and_paths_are_none_of_its_own(tmp_path: Path) -> None:
    app = create_app(tmp_path / "documents.db")
    client = app.test_client()

    assert client.post("/v1/workflows/a", data=b"1").status_code == 405
    assert client.put("/v1/workflows/", data=b"1").status_code == 404
    assert client.put("/v1/workflows/a/b", data=b"1").status_code == 404
    app.extensions["holdfast-documents"].close()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"PUT /v1/workflows/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n", b"411"),
        (b"PUT /v1/workflows/a HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"411"),
        (b"PUT /v1/workflows/a HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
        (b"PUT /v1/workflows/a HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", b"413"),
        (b"rubbish\r\n\r\n", b"400"),
    ],
)
def test_a_request_whose_end_it_cannot_tell_is_refused_and_the_connection_closed(
    tmp_path: Path, head: bytes, status: bytes
) -> None:
    with reference_server(tmp_path / "documents.db") as url, socket.create_connection(address(url)) as connection:
        connection.sendall(head)
        answer = connection.makefile("rb").read()

    assert status in answer


def test_half_a_body_is_not_stored(tmp_path: Path) -> None:
    with reference_server(tmp_path / "documents.db") as url:
        with socket.create_connection(address(url)) as connection:
            connection.sendall(b"PUT /v1/workflows/a HTTP/1.1\r\nContent-Length: 5\r\n\r\n12")
            connection.shutdown(socket.SHUT_WR)
            assert connection.makefile("rb").read() == b""
        call = Caller(url)
        assert call("GET", "a")[0] == 404
        call.close()


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_call_whose_caller_has_hung_up_is_not_carried_out(tmp_path: Path, method: str) -> None:
    """A write that was given up would otherwise come after the one that was made in its place."""
    done = threading.Event()

    def late(found: Server, environ: Environ) -> Answer | None:
        look = select.poll()
        look.register(environ["werkzeug.socket"], select.POLLIN)
        assert look.poll(30_000)
        answer = found.pass_on(environ)
        done.set()
        return answer

    with server(tmp_path, key=None) as found:
        call = Caller(found.url)
        call("PUT", "a", b'"kept"')
        found.fault = only(late, method)
        with socket.create_connection(address(found.url)) as connection:
            connection.sendall(f"{method} /v1/workflows/a HTTP/1.1\r\nContent-Length: 1\r\n\r\n2".encode())
        assert done.wait(30)
        assert call("GET", "a") == (200, b'"kept"')
        call.close()


def test_its_documents_are_there_again_after_it_was_killed(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "holdfast.testing.inngest_server", "--database", str(tmp_path / "documents.db")]
    process = Process(
        [*command, "--port", str(port), "--event-key", KEY],
        tmp_path / "server.log",
        lambda: listens(port),
        environment={"PYTHONPATH": str(ROOT)},
    )
    for number in range(3):
        process.start()
        call = Caller(f"http://127.0.0.1:{port}")
        assert [call("GET", f"k{before}") for before in range(number)] == [(200, b"1")] * number
        assert call("PUT", f"k{number}", b"1")[0] == 204
        process.kill()
        call.close()


def test_the_program_says_where_it_serves_and_ends_when_told_to(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "holdfast.testing.inngest_server", "--database", "documents.db", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "INNGEST_EVENT_KEY": KEY}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment) as process:
        assert process.stdout is not None
        said, _, url = process.stdout.readline().strip().rpartition(" ")
        assert said == "serving documents.db on"
        call = Caller(url)
        assert call("GET", "a", headers={})[0] == 401
        assert call("GET", "a")[0] == 404
        process.terminate()
        assert process.wait(30) == 0
        call.close()


def address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return str(parts.hostname), parts.port or 0
