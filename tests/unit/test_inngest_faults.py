"""What goes wrong between the store and its server, and what is told of it."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from holdfast.core.errors import StoreError, StoreUnavailableError
from holdfast.ports import ANY, Write
from holdfast.stores.inngest import InngestStore
from tests.unit.inngest_kit import (
    KEY,
    Answer,
    Environ,
    Fault,
    Server,
    answers,
    applied_and,
    cuts,
    hangs,
    only,
    resets,
    server,
    store_of,
)

VALUES = {"PUT": b"1", "DELETE": None}


def at(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


async def failure(folder: Path, fault: Fault, method: str, **options: float) -> StoreError:
    """What a call raises that something was done to."""
    with server(folder) as found:
        store = store_of(found, **options)
        await store.open()
        await store.write([Write("a", b'{"x":"abcdef"}', ANY)])
        found.fault = only(fault, method)
        call = store.read(["a"]) if method == "GET" else store.write([Write("a", VALUES[method], ANY)])
        with pytest.raises(StoreError) as caught:
            await call
        await store.close()
    assert "'a'" in str(caught.value)
    assert found.url in str(caught.value)
    return caught.value


every_method = pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])


@every_method
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
async def test_a_server_that_is_out_of_order_or_busy_is_an_outage(tmp_path: Path, method: str, status: int) -> None:
    error = await failure(tmp_path, answers(status, b"come\nback \xff later"), method)

    assert isinstance(error, StoreUnavailableError)
    assert error.retry_after is None
    assert str(error).endswith(f"{status} Status: come back later")


@every_method
@pytest.mark.parametrize("fault", [resets, hangs, applied_and(resets), applied_and(hangs)])
async def test_an_answer_that_does_not_come_is_an_outage(tmp_path: Path, method: str, fault: Fault) -> None:
    error = await failure(tmp_path, fault, method, timeout=0.5)

    assert isinstance(error, StoreUnavailableError)
    assert str(error).startswith("no answer ")


@every_method
@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_that_is_refused_while_the_store_is_in_use_is_an_outage(
    tmp_path: Path, method: str, status: int
) -> None:
    error = await failure(tmp_path, answers(status, KEY.encode()), method)

    assert isinstance(error, StoreUnavailableError)
    assert KEY not in str(error)


@every_method
@pytest.mark.parametrize("status", [400, 402, 405, 409, 411, 413, 414, 422, 431, 499])
async def test_a_call_that_is_refused_for_good_is_none(tmp_path: Path, method: str, status: int) -> None:
    error = await failure(tmp_path, answers(status, b"too much"), method)

    assert not isinstance(error, StoreUnavailableError)
    assert f"the server refuses {'deleting' if method == 'DELETE' else ''}" in str(error)
    assert f"{status} Status: too much" in str(error)


async def test_a_write_that_finds_no_such_path_asks_for_the_base_url(tmp_path: Path) -> None:
    error = await failure(tmp_path, answers(404), "PUT")

    assert not isinstance(error, StoreUnavailableError)
    assert str(error).endswith("404 Status; is this a server of this protocol, at this base URL?")


@every_method
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(tmp_path: Path, method: str, status: int) -> None:
    error = await failure(tmp_path, answers(status, Location="http://elsewhere.invalid/"), method)

    assert not isinstance(error, StoreUnavailableError)
    assert "the server redirects, and redirects are not followed" in str(error)
    assert "http://elsewhere.invalid/" in str(error)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_write_that_is_only_accepted_is_not_written(tmp_path: Path, method: str) -> None:
    assert isinstance(await failure(tmp_path, answers(202), method), StoreUnavailableError)


@pytest.mark.parametrize(
    "fault",
    [
        cuts,
        answers(200),
        answers(204),
        answers(206, b"{}"),
        answers(200, Content_Type="application/json"),
        answers(200, b"<html>sign in</html>", Content_Type="text/html"),
        answers(200, b"busy", Content_Type="text/plain"),
        answers(200, b'{"x":', Content_Type="application/octet-stream"),
        answers(200, b'{"x":"ab', Content_Type="application/json", Content_Length=""),
    ],
    ids=["cut", "empty", "no content", "a part", "empty JSON", "a page", "text", "half of it", "of no length"],
)
async def test_what_is_no_document_is_an_outage(tmp_path: Path, fault: Fault) -> None:
    assert isinstance(await failure(tmp_path, fault, "GET"), StoreUnavailableError)


@pytest.mark.parametrize("kind", ["", "text/plain; charset=utf-8", "application/octet-stream"])
async def test_a_document_may_be_called_something_else(tmp_path: Path, kind: str) -> None:
    with server(tmp_path) as found:
        store = store_of(found)
        await store.open()
        found.fault = answers(200, b'{"a":1}', Content_Type=kind)
        assert await store.read(["a"]) == {"a": (b'{"a":1}', "")}
        await store.close()


async def test_a_document_that_was_stored_damaged_is_given_as_it_is(tmp_path: Path) -> None:
    with server(tmp_path) as found:
        store = store_of(found)
        await store.open()
        found.fault = answers(200, b'{"a":', Content_Type="application/json")
        assert await store.read(["a"]) == {"a": (b'{"a":', "")}  # one run is damaged then, and the others go on
        await store.close()


@pytest.mark.parametrize(
    ("said", "understood"),
    [
        ("0", 0),
        ("7", 7),
        (" 2.5 ", 2.5),
        ("86400", 60),
        ("9" * 17, 60),
        ("9" * 5000, None),
        ("-1", None),
        ("inf", None),
        ("nan", None),
        ("soon", None),
        ("", None),
        ("Sun, 01 Nov 2020 00:00:00 GMT", 0),
        ("Fri, 31 Dec 2999 00:00:00 GMT", 60),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Thu, 99 Foo 2999 00:00:00 GMT", None),
    ],
)
async def test_how_long_the_server_wants_to_be_left_alone_is_told(
    tmp_path: Path, said: str, understood: float | None
) -> None:
    error = await failure(tmp_path, answers(429, Retry_After=said), "PUT")

    assert isinstance(error, StoreUnavailableError)
    assert error.retry_after == understood


async def test_a_date_to_come_back_at_is_understood(tmp_path: Path) -> None:
    error = await failure(tmp_path, answers(503, Retry_After=at(40)), "GET")

    assert isinstance(error, StoreUnavailableError)
    assert error.retry_after is not None
    assert 0 < error.retry_after <= 40


def by_key(faults: dict[str, Fault]) -> Fault:
    """Do another thing to each document, once calls for all of them have come."""
    together = threading.Barrier(len(faults))

    def chosen(found: Server, environ: Environ) -> Answer | None:
        fault = faults.get(environ["PATH_INFO"].rpartition("/")[2])
        if fault is None:
            return None
        together.wait(30)
        return fault(found, environ)

    return chosen


@pytest.mark.parametrize("keys", ["abcd", "dcba", "bdac"])
async def test_of_several_failures_an_outage_speaks_with_the_longest_pause(tmp_path: Path, keys: str) -> None:
    faults = {"a": answers(413), "b": answers(503, Retry_After="3"), "c": answers(429, Retry_After="9"), "d": resets}
    with server(tmp_path) as found:
        store = store_of(found)
        await store.open()
        found.fault = by_key({key: faults[key] for key in keys})
        with pytest.raises(StoreUnavailableError) as caught:
            await store.write([Write(key, b"1", ANY) for key in ["first", *keys]])
        await store.close()

    assert caught.value.retry_after == 9
    assert str(caught.value).endswith("(and 2 more)")


async def test_of_several_refusals_one_is_told(tmp_path: Path) -> None:
    with server(tmp_path) as found:
        store = store_of(found)
        await store.open()
        found.fault = by_key({"a": answers(413), "b": answers(400)})
        with pytest.raises(StoreError, match=r"the server refuses reading '[ab]'") as caught:
            await store.read(["a", "b", "c"])
        assert not isinstance(caught.value, StoreUnavailableError)
        await store.close()


async def test_after_a_failure_no_more_calls_are_begun(tmp_path: Path) -> None:
    with server(tmp_path) as found:
        store = store_of(found, max_connections=2)
        await store.open()
        found.calls.clear()
        found.fault = only(answers(503), "GET")
        with pytest.raises(StoreUnavailableError):
            await store.read([f"k{number}" for number in range(100)])
        await store.close()

    assert len(found.calls) <= 2


async def test_the_event_key_is_told_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    texts = []
    echo = f"you sent Bearer {KEY}, which is wrong".encode()
    for status in (302, 400, 401, 413, 418, 500):
        error = await failure(tmp_path, answers(status, echo, Location=f"http://x.invalid/?key={KEY}"), "PUT")
        texts += [str(error), repr(error), repr(error.__cause__), repr(error.__dict__)]
    texts += [repr(InngestStore(event_key=KEY)), caplog.text]

    assert caplog.text
    assert not [text for text in texts if KEY in text]


Script = Callable[[socket.socket], None]


@contextmanager
def raw_server(*scripts: Script) -> Iterator[str]:
    """A server that answers its callers with whatever bytes it likes, one connection after the other."""
    failed: list[BaseException] = []

    def serve() -> None:
        for script in scripts:
            connection, _ = listener.accept()
            with connection:
                try:
                    script(connection)
                except BaseException as error:  # noqa: BLE001 - it is raised where the test waits
                    failed.append(error)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(30)
    assert failed == []


def says(answer: bytes) -> Script:
    """Take one request, give an answer, and hang up."""

    def script(connection: socket.socket) -> None:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += connection.recv(65536)
        connection.sendall(answer)

    return script


ABSENT = says(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n",
        JSON + b'Content-Length: 9\r\n\r\n{"a":1}',
        JSON + b'Content-Length: x\r\n\r\n{"a":',
        JSON + b'\r\n{"a":',
        JSON + b'Transfer-Encoding: chunked\r\n\r\n7\r\n{"a":1',
        JSON + b'Transfer-Encoding: chunked\r\n\r\n7\r\n{"a":1}\r\n',
        JSON + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        JSON + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nno",
    ],
)
async def test_an_answer_that_is_broken_off_or_is_no_http_is_an_outage(answer: bytes) -> None:
    with raw_server(ABSENT, says(answer)) as url:
        store = InngestStore(url, timeout=5)
        await store.open()
        with pytest.raises(StoreUnavailableError):
            await store.read(["a"])
        await store.close()


@pytest.mark.parametrize(
    "answer",
    [
        JSON + b'Content-Length: 7\r\n\r\n{"a":1}',
        JSON + b'\r\n{"a":1}',
        JSON + b'Transfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n',
        b'HTTP/1.0 200 OK\r\n\r\n{"a":1}',
        b"HTTP/1.1 100 Continue\r\n\r\n" + JSON + b'Content-Length: 7\r\n\r\n{"a":1}',
    ],
)
async def test_an_answer_may_end_in_any_way_that_http_knows(answer: bytes) -> None:
    with raw_server(ABSENT, says(answer)) as url:
        store = InngestStore(url, timeout=5)
        await store.open()
        assert await store.read(["a"]) == {"a": (b'{"a":1}', "")}
        await store.close()
