"""What reaches the socket and is no proper request: cut short, too slow, or not HTTP at all."""

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.service.kit import Process, fields, process, until

pytestmark = pytest.mark.slow

HEAD = b"Host: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"


@contextmanager
def connection(running: Process) -> Iterator[socket.socket]:
    url = urlsplit(running.url)
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=20) as client:
        yield client


def send(running: Process, data: bytes, *, and_leave: bool = False) -> tuple[int, str, bytes]:
    """Send bytes, and give status, content type and body of the answer."""
    with connection(running) as client:
        client.sendall(data)
        if and_leave:
            client.shutdown(socket.SHUT_WR)
        response = HTTPResponse(client)
        response.begin()
        return response.status, response.headers["Content-Type"], response.read()


@pytest.fixture(scope="module")
def run(running: Process) -> str:
    running.request("POST", "/v1/workflows/order/runs", json={"id": "worker-1", "input": {"sku": "A1"}})
    return "/v1/runs/worker-1"


def signals(running: Process, run: str) -> list[object]:
    events = running.request("GET", f"{run}/history").json()["events"]
    return [event["value"] for event in events if event["type"] == "signal_received"]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 9_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nBad Header: 1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ],
)
def test_what_is_not_http_gets_a_problem(running: Process, data: bytes, status: int) -> None:
    assert send(running, data)[:2] == (status, "application/problem+json")


@pytest.mark.parametrize("data", [b"Content-Length: 9\r\n\r\n12", b"Transfer-Encoding: chunked\r\n\r\n2\r\n12\r\n"])
def test_a_body_that_is_cut_short_is_never_taken_for_a_whole(running: Process, run: str, data: bytes) -> None:
    request = b"POST " + run.encode() + b"/signals/cut HTTP/1.1\r\n" + HEAD + data

    status, kind, _ = send(running, request, and_leave=True)

    assert (status, kind) == (400, "application/problem+json")
    assert 12 not in signals(running, run)


def test_a_body_in_pieces_is_put_together(running: Process, run: str) -> None:
    chunks = b"Transfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n3\r\n,2]\r\n0\r\n\r\n"

    assert send(running, b"POST " + run.encode() + b"/signals/go HTTP/1.1\r\n" + HEAD + chunks)[0] == 202

    assert [1, 2] in signals(running, run)


def test_a_body_of_no_announced_length_has_the_same_limit(running: Process, run: str) -> None:
    body = b"%x\r\n" % 2_097_153 + b"1" * 2_097_153 + b"\r\n0\r\n\r\n"
    request = (
        b"POST " + run.encode() + b"/signals/go HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + body
    )

    assert send(running, request)[:2] == (413, "application/problem+json")


def test_an_encoded_slash_is_a_slash(running: Process) -> None:
    status, _, body = send(running, b"GET /v1/runs/nobody%2Fhistory HTTP/1.1\r\n" + HEAD + b"\r\n")

    assert (status, b"no workflow 'nobody'" in body) == (404, True)
    assert fields({"errors": []}) == []


@pytest.mark.parametrize("limit", ["ARRIVAL_SECONDS", "CROWDED_SECONDS"])
def test_slow_clients_are_cut_off_and_leave_the_service_to_others(tmp_path: Path, limit: str) -> None:
    impatient = f"import sys, app.worker; app.worker.{limit} = 1.0; sys.argv[1:] = ['serve'];"
    script = impatient + "from app.cli import main; main()"
    with process(tmp_path, sys.executable, "-c", script, threads="4") as running:
        running.ready()
        head = b"POST /v1/workflows/echo/runs HTTP/1.1\r\n" + HEAD
        starts = [b"G", b"GET /livez HTTP/1.1\r\nX: ", head + b"Content-Length: 99\r\n\r\n1", head + b"X:"]
        ended: list[float] = []
        began = time.monotonic()

        def drip(start: bytes) -> None:
            with connection(running) as client:
                client.sendall(start)
                try:
                    while time.monotonic() - began < 15:
                        client.sendall(b"1")
                        client.settimeout(0.1)
                        try:
                            if not client.recv(1_000):
                                break
                        except TimeoutError:
                            continue
                except OSError:
                    pass
                ended.append(time.monotonic() - began)

        threads = [threading.Thread(target=drip, args=(start,)) for start in starts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(ended) == 4
        assert max(ended) < 10
        until(lambda: running.request("GET", "/readyz").ok)
        assert running.request("GET", "/v1/runs").json()["items"] == []
