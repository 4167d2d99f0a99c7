"""Structured logs: one JSON object a line on stdout, or lines for a person on a terminal.

All of it comes through the standard `logging`, ours and everybody else's; what is passed as ``extra`` becomes fields.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import structlog
from flask import g, request

from app.text import visible
from app.tracing import is_quiet, trace_fields

if TYPE_CHECKING:
    from flask import Response
    from structlog.typing import EventDict, Processor, WrappedLogger

    from app.settings import Settings

__all__ = ["configure", "log_request"]

_http = logging.getLogger("holdfast.http")
_CALLER_FAULT: Final = 400
_SERVER_FAULT: Final = 500
_EVENT: Final = "_event"
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_IN_MESSAGE: Final = frozenset({"method", "path", "status", "remote", "request_id", "trace_id", "logger"})


def configure(settings: Settings) -> None:
    """Let every logger of the process write in the form that the settings ask for."""
    on_terminal = sys.stdout.isatty()
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not on_terminal)
    processors = _json() if as_json else _console(colors=on_terminal)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *processors],
            foreign_pre_chain=[_add_extra, structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name],
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings.log_level.upper())
    logging.captureWarnings(capture=True)


def _json() -> list[Processor]:
    return [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message", _EVENT),
        structlog.processors.JSONRenderer(default=str, ensure_ascii=True),
    ]


def _console(*, colors: bool) -> list[Processor]:
    return [
        _without_repetition,
        _escaped,
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
        structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback, pad_event_to=0),
    ]


def _add_extra(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Take over what a record has beyond its own attributes; a field named `event` does not replace the message."""
    for name, value in vars(event["_record"]).items():
        if name not in _OWN:
            event[_EVENT if name == "event" else name] = value
    return event


def _without_repetition(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Leave out of a request's line what its message says already."""
    hidden = _IN_MESSAGE if event.get("logger") == _http.name else ()
    return {name: value for name, value in event.items() if name not in hidden}


def _escaped(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape what would move the cursor of a terminal, or begin a line of its own."""
    return {name: visible(value) if isinstance(value, str) else value for name, value in event.items()}


def log_request(response: Response) -> None:
    """Log a request in one line; those about the process's health, and messages, only where they fail.

    A sidecar whose messages are refused, for want of the token, brings them again without end: that has to be seen.
    """
    quiet = is_quiet(request.path)
    failed = response.status_code >= (_CALLER_FAULT if quiet else _SERVER_FAULT)
    if quiet and not failed:
        return
    fields: dict[str, Any] = {
        "method": request.method,
        "path": request.path,
        "status": response.status_code,
        "ms": round((time.perf_counter() - g.began) * 1000, 1),
        "request_id": g.request_id,
        "remote": request.remote_addr,
        **trace_fields(),
    }
    level = logging.WARNING if failed else logging.INFO
    _http.log(level, "%s %s %d", request.method, request.path, response.status_code, extra=fields)
