"""A reference server in this process, with something between it and its callers that can go wrong."""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication

from werkzeug.test import run_wsgi_app

from holdfast.ports import ANY, Write
from holdfast.stores.inngest import InngestStore
from holdfast.testing.inngest_server import create_app
from holdfast.testing.keep_alive_server import serving
from tests.play import Anything

KEY = "s3cret-event-key"
Environ = dict[str, Any]
Answer = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True)
class Call:
    """What a caller has sent."""

    method: str
    path: str
    key: str | None
    content_type: str
    body: bytes
    connection: tuple[Any, ...]


Fault = Callable[["Server", Environ], Answer | None]
"""Does something to a call; None lets it go on to the server."""


@dataclass
class Server:
    """A server, and what is done to its callers.

    Attributes:
        url: Its base URL.
        fault: Is asked about every call.
        calls: Those that came.
        at_once: How many are under way, and how many were at the most.
    """

    app: WSGIApplication
    url: str = ""
    fault: Fault | None = None
    calls: list[Call] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        environ["wsgi.input"].seek(0)
        with self.lock:
            self.calls.append(
                Call(
                    environ["REQUEST_METHOD"],
                    environ["PATH_INFO"],
                    environ.get("HTTP_AUTHORIZATION"),
                    environ["CONTENT_TYPE"],
                    body,
                    environ["werkzeug.socket"].getpeername(),
                )
            )
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            answer = self.fault(self, environ) if self.fault is not None else None
            status, headers, content = answer or self.pass_on(environ)
        finally:
            with self.lock:
                self.under_way -= 1
        start_response(f"{status} Status", list(headers.items()))
        return [content]

    def pass_on(self, environ: Environ) -> Answer:
        """Let the server answer."""
        parts, status, headers = run_wsgi_app(self.app, environ, buffered=True)
        return int(status.split()[0]), dict(headers), b"".join(parts)

    def called(self, method: str) -> list[str]:
        return [call.path.rpartition("/")[2] for call in self.calls if call.method == method]


@contextmanager
def server(folder: Path, *, key: str | None = KEY, port: int = 0, fault: Fault | None = None) -> Iterator[Server]:
    """A server on a file of a folder, with the event key that `store_of` sends unless told otherwise."""
    app = create_app(folder / "documents.db", event_key=key)
    with closing(app.extensions["holdfast-documents"]):
        found = Server(app, fault=fault)
        with serving(found, port) as found.url:
            yield found


def store_of(server: Server, **options: Anything) -> InngestStore:
    return InngestStore(server.url, **{"event_key": KEY, "timeout": 5.0, "connect_timeout": 5.0, **options})


def answers(status: int, body: bytes = b"", **headers: str) -> Fault:
    """Answer so, and do nothing."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _server, _environ: (status, {"Content-Length": str(len(body)), **named}, body)


def resets(_server: Server, environ: Environ) -> Answer | None:
    """Break the connection off, without an answer."""
    environ["werkzeug.socket"].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise ConnectionResetError


def hangs(_server: Server, environ: Environ) -> Answer | None:
    """Answer nothing until the caller has hung up."""
    look = select.poll()
    look.register(environ["werkzeug.socket"], select.POLLIN)
    assert look.poll(60_000), "the caller waits for ever"
    raise ConnectionResetError


def cuts(server: Server, environ: Environ) -> Answer | None:
    """Give half of the server's answer."""
    status, headers, content = server.pass_on(environ)
    content = content or b"abcdef"
    return (
        200 if status == 204 else status,
        {**headers, "Content-Length": str(len(content))},
        content[: len(content) // 2],
    )


def applied_and(fault: Fault) -> Fault:
    """Let the server do what it was asked for, and its answer come to nothing."""

    def after(server: Server, environ: Environ) -> Answer | None:
        server.pass_on(environ)
        return fault(server, environ)

    return after


def only(fault: Fault, *methods: str, path: str = "") -> Fault:
    """Do it to some calls, and let the others through."""

    def chosen(server: Server, environ: Environ) -> Answer | None:
        wanted = environ["REQUEST_METHOD"] in methods and environ["PATH_INFO"].endswith(path)
        return fault(server, environ) if wanted else None

    return chosen


def threads() -> list[str]:
    """The threads on which stores make their calls."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("holdfast-inngest")]


def writes(*keys: str) -> list[Write]:
    return [Write(key, b"1", ANY) for key in keys]
