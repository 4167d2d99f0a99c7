"""The gunicorn worker: gthread, with a limit on how long a request may take to arrive, and errors as problems."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING, Any, Final

from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker

from app.api.problem import type_uri
from app.factory import ARRIVED
from app.json_writer import dump
from app.settings import Address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["LoneWorker", "RootLogger", "Worker"]

ARRIVAL_SECONDS: Final = 30.0
"""The longest that a request, head and body, may take to arrive; then its connection is closed."""
CROWDED_SECONDS: Final = 2.0
"""The same while half of the threads, or more, do nothing else than to wait for requests to arrive."""


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Serves requests on threads.

    Gunicorn itself limits how large a request is, not how long it takes: each client that sends one byte now and then
    would keep one of our threads.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - gunicorn's own
        """Begin with nothing arriving."""
        super().__init__(*args, **kwargs)
        self._arriving: dict[socket.socket, float] = {}

    def load_wsgi(self) -> None:
        """Let the application say when a request has arrived."""
        super().load_wsgi()
        application: Callable[..., Iterable[bytes]] = self.app.wsgi()

        def wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:  # noqa: ANN401 - of WSGI
            environ[ARRIVED] = lambda: self._arriving.pop(environ["gunicorn.socket"], None)
            return application(environ, start_response)

        self.wsgi = wsgi

    def run(self) -> None:
        """Open the port, which stays closed until the engine is ready, and serve."""
        for listener in self.sockets:
            listener.listen(self.cfg.backlog)
            self.log.info("listening on http://%s", Address(*listener.getsockname()[:2]))
        super().run()

    def handle(self, conn: Any) -> Any:  # noqa: ANN401 - gunicorn's own
        """Serve the next request of a connection."""
        self._arriving[conn.sock] = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            self._arriving.pop(conn.sock, None)

    def murder_pending(self) -> None:
        """Close connections whose request has not arrived in time; gunicorn calls this every second."""
        super().murder_pending()
        crowded = len(self._arriving) >= self.cfg.threads // 2
        began = time.monotonic() - (CROWDED_SECONDS if crowded else ARRIVAL_SECONDS)
        for client, since in list(self._arriving.items()):
            if since < began and self._arriving.pop(client, None) is not None:
                with contextlib.suppress(OSError):  # it has just closed by itself
                    client.shutdown(socket.SHUT_RD)  # whoever reads from it sees its end

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:  # noqa: ANN401
        """Answer what is not even HTTP as a problem, too."""
        page = _Page()
        super().handle_error(req, page, addr, exc)
        with contextlib.suppress(OSError):  # the client is gone
            client.sendall(_as_problem(page.status()))


class LoneWorker(Worker):
    """A worker that is the whole process: it has no arbiter, and its parent may come and go."""

    def is_parent_alive(self) -> bool:
        """Say yes: whoever started this process may have left."""
        return True


class _Page:
    """Stands in for the client, and keeps the page that gunicorn would have sent."""

    def __init__(self) -> None:
        self._sent = b""

    @staticmethod
    def gettimeout() -> float:
        """Be a socket that does not block."""
        return 0.0

    def sendall(self, data: bytes) -> None:
        """Keep what is sent."""
        self._sent += data

    def status(self) -> tuple[int, str]:
        """Read the status line."""
        parts = self._sent.partition(b"\r\n")[0].decode("latin-1").split(" ", 2)
        return int(parts[1]), parts[2]


def _as_problem(status: tuple[int, str]) -> bytes:
    code, phrase = status
    name = phrase.lower().replace(" ", "_")
    body = dump({"type": type_uri(name), "title": phrase, "status": code, "code": name, "detail": phrase, "errors": []})
    head = (
        f"HTTP/1.1 {code} {phrase}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("latin-1") + body


class RootLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """Lets gunicorn log through the process's own logging, in its form and at its level."""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401 - gunicorn's own
        """Take off gunicorn's handlers."""
        self.cfg = cfg
        self._access_log_enabled = False
        for logger in (self.error_log, self.access_log):
            logger.handlers.clear()
            logger.propagate = True
