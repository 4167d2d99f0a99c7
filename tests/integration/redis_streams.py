"""Reading streams of a Redis, by a few lines of its protocol."""

from __future__ import annotations

import json
import socket
from io import BufferedReader
from typing import Any


def events_of(port: int, topic: str) -> list[dict[str, Any]]:
    """Give the CloudEvents that stand in the stream of a topic, the oldest first."""
    entries = ask(port, "XRANGE", topic, "-", "+")
    return [json.loads(dict(zip(fields[::2], fields[1::2], strict=True))[b"data"]) for _, fields in entries]


def ask(port: int, *words: str) -> Any:  # noqa: ANN401 - whatever the command answers
    """Send a command to a Redis of this machine, and give its answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection, connection.makefile("rb") as answer:
        connection.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w.encode()) for w in words))
        return _read(answer)


def _read(stream: BufferedReader) -> Any:  # noqa: ANN401 - as above
    line = stream.readline().rstrip(b"\r\n")
    kind, rest = line[:1], line[1:]
    if kind == b"*":
        return [_read(stream) for _ in range(int(rest))]
    if kind == b"$":
        return stream.read(int(rest) + 2)[:-2] if rest != b"-1" else None
    if kind == b":":
        return int(rest)
    assert kind == b"+", line
    return rest.decode()
