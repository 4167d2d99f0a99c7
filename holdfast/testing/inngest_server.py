"""A reference server of the protocol that `InngestStore` speaks, for tests and development. It is no Inngest product.

    python -m holdfast.testing.inngest_server --database documents.db --port 8288 --event-key KEY

``PUT``, ``GET`` and ``DELETE`` of ``/v1/workflows/<key>`` store, give and delete a JSON document, byte for byte, each
on the disk before it is answered. ``Authorization: Bearer <event key>`` is asked for where the server has a key.
What a server must keep besides: a call whose caller has hung up is not carried out any more. Without that a write that
was given up and made again could come a second time, later, over a newer one.
"""

from __future__ import annotations

import argparse
import hmac
import os
import select
import signal
import socket
import sqlite3
import threading
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson
from flask import Flask, Response, request

from holdfast.testing.keep_alive_server import serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["create_app", "reference_server"]

_MIB: Final = 1024 * 1024
_DOCUMENTS: Final = "holdfast-documents"


class _Documents:
    """Documents in a SQLite file; any thread may call."""

    def __init__(self, database: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
        for statement in (
            "pragma journal_mode = wal",
            "pragma synchronous = full",
            "create table if not exists documents (key text primary key, value blob not null)",
        ):
            self._connection.execute(statement)

    def get(self, key: str) -> bytes | None:
        with self._lock:
            row = self._connection.execute("select value from documents where key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def change(self, key: str, value: bytes | None, connection: socket.socket | None) -> bool:
        """Store a document, or with no value delete it; False, and nothing is done, if the caller has hung up.

        That is looked at behind the lock: whatever the caller does after hanging up comes later than this.
        """
        with self._lock:
            if connection is not None and _has_hung_up(connection):
                return False
            if value is None:
                self._connection.execute("delete from documents where key = ?", (key,))
            else:
                self._connection.execute("insert or replace into documents values (?, ?)", (key, value))
            return True

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def create_app(database: Path, *, event_key: str | None = None, max_value_bytes: int = _MIB) -> Flask:
    """Make the application.

    Args:
        database: The SQLite file of the documents; it is created if it does not exist.
        event_key: What callers must send; without one nothing is asked for.
        max_value_bytes: The largest document it takes.
    """
    app = Flask(__name__)
    documents = app.extensions[_DOCUMENTS] = _Documents(database)
    expected = f"Bearer {event_key}".encode() if event_key else b""

    @app.before_request
    def check_key() -> Response | None:
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if expected and not hmac.compare_digest(given, expected):
            return _problem(401, "the event key is missing, or another")
        return None

    @app.get("/v1/workflows/<key>")
    def read(key: str) -> Response:
        value = documents.get(key)
        return _problem(404, "no such document") if value is None else Response(value, mimetype="application/json")

    @app.put("/v1/workflows/<key>")
    def write(key: str) -> Response:
        if (request.content_length or 0) > max_value_bytes:
            return _problem(413, f"a document may have {max_value_bytes} bytes")
        value = request.get_data()
        try:
            orjson.loads(value)
        except orjson.JSONDecodeError as error:
            return _problem(400, f"the body is not JSON: {error}")
        return _change(documents, key, value)

    @app.delete("/v1/workflows/<key>")
    def delete(key: str) -> Response:
        return _change(documents, key, None)

    return app


@contextmanager
def reference_server(database: Path, *, event_key: str | None = None, port: int = 0) -> Iterator[str]:
    """Serve documents on this machine as long as the context lasts.

    Args:
        database: The SQLite file of the documents; it is created if it does not exist.
        event_key: What callers must send; without one nothing is asked for.
        port: Where; 0 takes a free one.

    Yields:
        The base URL for `InngestStore`.
    """
    app = create_app(database, event_key=event_key)
    with closing(app.extensions[_DOCUMENTS]), serving(app, port) as base_url:
        yield base_url


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGINT or SIGTERM comes."""
    parser = argparse.ArgumentParser(prog="python -m holdfast.testing.inngest_server", description=__doc__)
    parser.add_argument("--database", type=Path, required=True, help="the SQLite file of the documents")
    parser.add_argument("--port", type=int, default=8288, help="0 takes a free one")
    parser.add_argument(
        "--event-key", default=os.environ.get("INNGEST_EVENT_KEY", ""), help="by default INNGEST_EVENT_KEY"
    )
    options = parser.parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with reference_server(options.database, event_key=options.event_key, port=options.port) as base_url:
        print(f"serving {options.database} on {base_url}", flush=True)  # noqa: T201 - it is a program
        ended.wait()


def _change(documents: _Documents, key: str, value: bytes | None) -> Response:
    done = documents.change(key, value, request.environ.get("werkzeug.socket"))
    return Response(status=204) if done else _problem(400, "the caller has hung up")


def _has_hung_up(connection: socket.socket) -> bool:
    look = select.poll()
    try:
        look.register(connection, select.POLLIN)
        return bool(look.poll(0)) and connection.recv(1, socket.MSG_PEEK) == b""
    except (OSError, ValueError):  # it is reset, or closed
        return True


def _problem(status: int, detail: str) -> Response:
    body = orjson.dumps({"status": status, "detail": detail})
    return Response(body, status, mimetype="application/problem+json")


if __name__ == "__main__":
    main()
