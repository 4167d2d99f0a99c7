"""Serving: gunicorn's threaded worker as the whole process, the engine started in it, and an orderly end.

One process owns the runs, so there is nothing for an arbiter to arbitrate: without one, the exit status is the
worker's own, a start-up error is said once, and killing the process kills all of it.
"""

from __future__ import annotations

import gc
import math
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, Final

from gunicorn.app.base import BaseApplication

from app import logs
from app.errors import StartupError
from app.factory import create_app
from app.service import CLOSE_SECONDS
from app.sidecar.client import SidecarClient
from app.worker import LoneWorker, RootLogger, Worker

if TYPE_CHECKING:
    from flask import Flask

    from app.service import Service
    from app.settings import Address, Settings
    from app.sidecar.probe import RetryProbe

__all__ = ["FENCED_STATUS", "configuration", "serve", "service_of", "start"]

FENCED_STATUS: Final = 75
"""The exit status where another process has taken the runs over (``EX_TEMPFAIL``): start me again, and I wait."""
_INTERRUPTED_STATUS: Final = 130
_SWITCH_SECONDS: Final = 0.0005
"""How long a thread may keep the interpreter: the engine's shares it with those of the requests."""
_BACKLOG: Final = 1_024


def configuration(settings: Settings) -> dict[str, Any]:
    """Give gunicorn's settings."""
    return {
        "bind": [str(settings.address)],
        "backlog": _BACKLOG,
        "worker_class": Worker,
        "workers": 1,
        "threads": settings.threads,
        "timeout": 0,  # the engine's own watchdog knows more: see /livez
        "graceful_timeout": math.ceil(settings.drain.total_seconds() + CLOSE_SECONDS),
        "keepalive": 60,
        "max_requests": 0,
        "preload_app": False,
        "control_socket_disable": True,
        "logger_class": RootLogger,
        "loglevel": settings.log_level,
        "accesslog": None,
        "proc_name": "holdfast",
    }


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """The application as gunicorn loads it, with our settings instead of its command line."""

    def __init__(self, settings: Settings) -> None:
        """Configure gunicorn."""
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Take gunicorn's settings from ours."""
        for name, value in configuration(self._settings).items():
            self.cfg.set(name, value)
        self.cfg.set("post_worker_init", start)

    def load(self) -> Flask:
        """Make the application."""
        return create_app(self._settings)


def serve(settings: Settings) -> int:
    """Serve until a signal says to end, or the runs are lost to another process.

    Returns:
        The exit status of the process.

    Raises:
        StartupError: It cannot start; the text says why, for a person.
    """
    logs.configure(settings)
    server = _Server(settings)
    listener = bind(settings.address)
    worker = LoneWorker(1, os.getppid(), [listener], server, 0, server.cfg, RootLogger(server.cfg))
    worker.pid = os.getpid()
    try:
        worker.init_process()
    finally:
        service = service_of(worker)
        service.close()
    return FENCED_STATUS if service.is_fenced else 0


def bind(address: Address) -> socket.socket:
    """Take a port without opening it yet.

    Raises:
        StartupError: It is in use, or not ours to take.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else the rest of an answer waits 40 ms
    try:
        listener.bind(address)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        message = f"cannot listen on {address}: {reason}; set HOLDFAST_ADDRESS=host:port to another"
        raise StartupError(message) from error
    return listener


def service_of(worker: Worker) -> Service:
    """Give the service of the application that a worker serves."""
    service: Service = worker.app.wsgi().extensions["holdfast"]
    return service


def start(worker: Worker) -> None:
    """Start the engine in a worker's process, and let signals end both in order.

    Raises:
        StartupError: It cannot start.
    """
    service = service_of(worker)
    signal.signal(signal.SIGTERM, worker.handle_quit)  # until it is open there is nothing to end in order
    service.open()

    def stop(number: int, frame: object) -> None:
        """End in order; at the second interrupt, at once: whatever is stored is whole."""
        if number == signal.SIGINT and service.is_draining:
            os._exit(_INTERRUPTED_STATUS)
        service.begin_drain()
        worker.handle_exit(number, frame)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
        signal.siginterrupt(number, False)  # noqa: FBT003 - the standard library's own
    service.on_fenced = lambda: os.kill(os.getpid(), signal.SIGTERM)
    if SidecarClient.is_expected():  # which may have subscribed long ago, for a former process
        probe: RetryProbe = worker.app.wsgi().extensions["holdfast.probe"]
        probe.begin()
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(_SWITCH_SECONDS)
