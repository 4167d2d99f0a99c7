"""Whether a process on this machine serves yet, and ports that nobody has."""

from __future__ import annotations

import http.client
import socket
from typing import Final

__all__ = ["HOST", "answers", "answers_ping", "free_port"]

HOST: Final = "127.0.0.1"
_SECONDS: Final = 2.0
_MANY: Final = 200


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def answers(port: int, path: str) -> bool:
    """Say whether an HTTP server is well."""
    connection = http.client.HTTPConnection(HOST, port, timeout=_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status // 100 * 100 == _MANY
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def answers_ping(port: int) -> bool:
    """Say whether a Redis has read its files and takes commands."""
    try:
        with socket.create_connection((HOST, port), timeout=_SECONDS) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
