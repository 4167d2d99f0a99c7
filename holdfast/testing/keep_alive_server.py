"""A WSGI application over HTTP/1.1 with connections that stay open, in threads: for tests and development only.

The servers of the standard library and of Werkzeug close a connection after each answer.
"""

from __future__ import annotations

import socket
import sys
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from werkzeug.test import run_wsgi_app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.types import WSGIApplication

__all__ = ["serving"]

_LONGEST_BODY: Final = 64 * 1024 * 1024
_IDLE_SECONDS: Final = 120.0
_NO_BODY: Final = {"204", "304"}


@contextmanager
def serving(application: WSGIApplication, port: int = 0) -> Iterator[str]:
    """Serve an application on this machine as long as the context lasts, on threads; then close every connection.

    Its environment has the connection as ``werkzeug.socket``, as on Werkzeug's own server.

    Args:
        application: What answers.
        port: Where; 0 takes a free one.

    Yields:
        The URL of the server.
    """
    with _Server(application, port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    """Knows its connections, so that none outlives it."""

    request_queue_size = 128
    daemon_threads = False
    block_on_close = True

    def __init__(self, application: WSGIApplication, port: int) -> None:
        self.application = application
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - of the standard library
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as above
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):  # its caller was faster
                    connection.shutdown(socket.SHUT_RDWR)
        super().server_close()  # waits for the threads

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as above
        if not isinstance(sys.exception(), OSError):  # a caller that has gone is no fault of the server
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Reads each body to its end before it is answered, so that the next request begins where it should."""

    server: _Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer goes out in one piece
    disable_nagle_algorithm = True
    timeout = _IDLE_SECONDS

    def do_GET(self) -> None:
        """Answer."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            self.send_error(411)
        elif len(length) > len(str(_LONGEST_BODY)) or int(length) > _LONGEST_BODY:
            self.send_error(413)
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):
                self._answer(body)
                return
        self.close_connection = True

    do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - names of the standard library

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as above
        """Say nothing: the callers do."""

    def _answer(self, body: bytes) -> None:
        parts, status, headers = run_wsgi_app(self.server.application, self._environ(body), buffered=True)
        content = b"".join(parts)
        code, _, reason = status.partition(" ")
        self.send_response_only(int(code), reason)
        for name, value in headers:
            self.send_header(name, value)
        if code not in _NO_BODY and headers.get("Content-Length") != str(len(content)):
            self.send_header("Connection", "close")  # that is where the answer ends
        self.end_headers()
        self.wfile.write(content)

    def _environ(self, body: bytes) -> dict[str, Any]:
        path, _, query = self.path.partition("?")
        headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()}
        return {
            **headers,
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(path, "latin-1"),
            "QUERY_STRING": query,
            "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": str(self.server.server_port),
            "SERVER_PROTOCOL": self.request_version,
            "REMOTE_ADDR": str(self.client_address[0]),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "werkzeug.socket": self.connection,
        }
