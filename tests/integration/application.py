"""What a sidecar finds where it looks for the service."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Application(ThreadingHTTPServer):
    """A stand-in for the service that takes messages in bulk.

    Attributes:
        asked: The paths of all requests.
        refusals: How many of the next batches it cannot take.
        taken: The events of the others.
    """

    daemon_threads = True

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.refusals = 0
        self.taken: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Application

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.answer(200, [])  # it subscribes to nothing: others have said to what

    def do_POST(self) -> None:
        self.server.asked.append(self.path)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.refusals:
            self.server.refusals -= 1
            self.answer(503, {})
            return
        self.server.taken += [entry["event"] for entry in body["entries"]]
        self.answer(
            200, {"statuses": [{"entryId": entry["entryId"], "status": "SUCCESS"} for entry in body["entries"]]}
        )

    def answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
