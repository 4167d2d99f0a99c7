"""Spans made with OpenTelemetry; the one module that needs its API, an extra."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from opentelemetry import trace as otel
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from holdfast.core.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

__all__ = ["OpenTelemetry", "context_of", "trace_of"]

_W3C: Final = TraceContextTextMapPropagator()


class OpenTelemetry:
    """Makes spans, and reads the current one."""

    def __init__(self, tracer: otel.Tracer | None = None) -> None:
        """Make spans with a tracer; by default the one that the process has set up."""
        self._tracer = tracer or otel.get_tracer("holdfast")

    @contextmanager
    def span(self, name: str, trace: Trace | None, attributes: Mapping[str, str | int]) -> Iterator[Trace | None]:
        """Begin a span that goes on from a trace, not from whatever span the caller happens to be in."""
        with self._tracer.start_as_current_span(
            name, context=context_of(trace), attributes=attributes, links=_links(trace)
        ):
            yield self.current()

    def inner_span(self, name: str, attributes: Mapping[str, str | int]) -> AbstractContextManager[otel.Span]:
        """Begin a span inside the current one."""
        return self._tracer.start_as_current_span(name, attributes=attributes)

    @staticmethod
    def current() -> Trace | None:
        """Give the trace context of the current span; None where there is none."""
        return trace_of(otel.get_current_span())


def context_of(trace: Trace | None) -> Context:
    """Make a context in which the current span is that of a trace; an empty one for None."""
    if trace is None:
        return Context()
    return _W3C.extract(trace.details(), Context())


def trace_of(span: otel.Span) -> Trace | None:
    """Give the trace context that goes on from a span; None where that is in none."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, otel.set_span_in_context(span, Context()))
    return Trace.read(f"{carrier.get('traceparent', '')} {carrier.get('tracestate', '')}")


def _links(trace: Trace | None) -> list[otel.Link]:
    if trace is None or not trace.link:
        return []
    before = otel.get_current_span(context_of(Trace(trace.link))).get_span_context()
    return [otel.Link(before)]
