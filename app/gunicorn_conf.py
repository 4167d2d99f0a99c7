"""For those who run gunicorn themselves: ``gunicorn -c python:app.gunicorn_conf 'app.factory:create_app()'``.

`holdfast serve` needs none of this. Gunicorn's names are module variables, so this module is configuration: it reads
the settings when it is loaded.
"""

from __future__ import annotations

import mmap
import sys
from typing import TYPE_CHECKING, Any

from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

from app import logs
from app.errors import StartupError
from app.server import FENCED_STATUS, configuration, service_of, start
from app.settings import load_settings

if TYPE_CHECKING:
    from app.worker import Worker

_settings = load_settings()
logs.configure(_settings)
globals().update(configuration(_settings))

_fenced = mmap.mmap(-1, 1)
"""One byte that the arbiter shares with its worker: set where the worker lost the runs to another process."""


def on_starting(server: Any) -> None:  # noqa: ANN401 - gunicorn has no types
    """Refuse what the engine cannot live with.

    Raises:
        HaltServer: The engine would be started before the fork, more than once, or be ended by a count of requests.
    """
    config = server.cfg
    if config.preload_app or config.workers != 1 or config.max_requests:
        message = "one worker, without --preload and --max-requests: one process owns the runs"
        raise HaltServer(message, 1)


def post_worker_init(worker: Worker) -> None:
    """Start the engine; where it cannot start, say why and end, arbiter and all."""
    try:
        start(worker)
    except StartupError as error:
        sys.stderr.write(f"holdfast: cannot start: {error}\n")
        sys.exit(Arbiter.WORKER_BOOT_ERROR)


def worker_exit(server: Any, worker: Worker) -> None:  # noqa: ANN401, ARG001 - gunicorn's own
    """Close the engine."""
    service = service_of(worker)
    service.close()
    if service.is_fenced:
        _fenced[0] = 1


def child_exit(server: Any, worker: Worker) -> None:  # noqa: ANN401, ARG001 - gunicorn's own
    """End the arbiter as well, where its worker has lost the runs.

    Raises:
        HaltServer: It has, and the arbiter is not ending yet.
    """
    if _fenced[0] and server.LISTENERS:
        message = "another process owns the runs"
        raise HaltServer(message, FENCED_STATUS)
