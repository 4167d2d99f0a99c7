"""Which trace a request belongs to: read from its headers and echoed, or begun with a span of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from flask import Response, current_app, g, request

from holdfast.core.trace import Trace

if TYPE_CHECKING:
    from app.service import Service

__all__ = ["TRACEPARENT", "TRACESTATE", "begin_trace", "end_trace", "is_quiet", "sender", "trace_fields"]

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
_QUIET: Final = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})
_CALLBACKS: Final = "/dapr/pubsub/"


def is_quiet(path: str) -> bool:
    """Say whether a path is asked for so often that an answer is worth no span, and no line of the log unless bad.

    A batch of messages is such a thing: each message in it has a trace of its own.
    """
    return path in _QUIET or path.startswith(_CALLBACKS)


def begin_trace() -> None:
    """Find out which trace the request belongs to; what its headers say that is no trace context is ignored."""
    given = f"{request.headers.get(TRACEPARENT, '')} {request.headers.get(TRACESTATE, '')}"
    g.sent = g.trace = Trace.read(given)
    g.span = None
    spans = cast("Service", current_app.extensions["holdfast"]).spans
    if spans is not None and not is_quiet(request.path):
        route = request.url_rule.rule if request.url_rule is not None else "none"
        g.span = spans.begin(request.method if request.url_rule is not None else "HTTP", route, g.trace)
        g.trace = g.span.trace or g.trace


def end_trace(response: Response) -> None:
    """Echo the ``traceparent`` that came, or else tell the one of the request's own span; end that."""
    trace: Trace | None = g.sent or g.trace
    if trace is not None:
        response.headers[TRACEPARENT] = trace.parent
    if g.span is not None:
        g.span.end(response.status_code)


def sender() -> str | None:
    """Give the trace context that what the request starts or sends goes on from, as the engine takes it."""
    trace: Trace | None = g.trace
    return trace.text if trace is not None else None


def trace_fields() -> dict[str, str]:
    """Give what a record of a log, or a problem, says of the trace."""
    trace: Trace | None = g.get("trace")
    return {"trace_id": trace.id} if trace is not None else {}
