"""Whether a process on this machine serves yet, and ports that nobody has."""

from __future__ import annotations

import http.client
import secrets
import socket
from typing import Final

__all__ = ["HOST", "answers", "answers_ping", "free_port", "is_listening"]

HOST: Final = "127.0.0.1"
_SECONDS: Final = 2.0
_OK: Final = 200
_PORTS: Final = range(10_000, 32_768)
_given: Final[set[int]] = set()
"""Ports that were found already: whoever asked may not have taken its own yet."""


def free_port() -> int:
    """Find a port that nobody uses.

    It is none of those that the system itself gives to connections: while the server of such a port is down, any client
    may be given it, even the one that is trying to reach the server and is then connected to itself.
    """
    while True:
        port = secrets.choice(_PORTS)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        _given.add(port)
        return port


def answers(port: int, path: str) -> bool:
    """Say whether an HTTP server is well."""
    connection = http.client.HTTPConnection(HOST, port, timeout=_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status // 100 * 100 == _OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def is_listening(address: str) -> bool:
    """Say whether anything takes connections at ``host:port``; the host of IPv6 stands in brackets."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS):
            return True
    except (OSError, OverflowError):  # the latter: no such port
        return False


def answers_ping(port: int) -> bool:
    """Say whether a Redis has read its files and takes commands."""
    try:
        with socket.create_connection((HOST, port), timeout=_SECONDS) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
