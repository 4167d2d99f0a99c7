"""Sending spans with OpenTelemetry's SDK; the one module of the service that needs it, an extra.

Where they go, and how many are kept, is set by OpenTelemetry's own variables, such as ``OTEL_EXPORTER_OTLP_ENDPOINT``,
``OTEL_SERVICE_NAME`` and ``OTEL_TRACES_SAMPLER``. A process in which somebody else has set OpenTelemetry up, such as
``opentelemetry-instrument`` or a module of workflows, keeps that.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

from opentelemetry import trace as otel
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from holdfast.executors.otel import OpenTelemetry, context_of, trace_of

if TYPE_CHECKING:
    from holdfast.core.trace import Trace

__all__ = ["RequestSpan", "Spans"]

_LAST_SECONDS: Final = 3.0
_SERVER_FAULT: Final = 500

_log = logging.getLogger("holdfast.service")


class RequestSpan(NamedTuple):
    """The span of one request.

    Attributes:
        trace: What the work of the request goes on from; None where nobody sends spans.
    """

    span: otel.Span
    trace: Trace | None

    def end(self, status: int) -> None:
        """End it with the status of the answer."""
        self.span.set_attribute("http.response.status_code", status)
        if status >= _SERVER_FAULT:
            self.span.set_status(otel.StatusCode.ERROR)
        self.span.end()


class Spans:
    """The spans of one service.

    Attributes:
        activities: Puts spans around activities, for the engine.
    """

    def __init__(self, provider: otel.TracerProvider | None = None) -> None:
        """Make spans.

        Args:
            provider: Where they go; by default what the process has set up, or else a collector that takes OTLP.
        """
        self._own: TracerProvider | None = None
        provider = provider or otel.get_tracer_provider()
        if isinstance(provider, otel.ProxyTracerProvider):
            provider = self._own = TracerProvider(resource=_resource(), shutdown_on_exit=False)
            provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
            otel.set_tracer_provider(provider)
        self._tracer = provider.get_tracer("holdfast")
        self.activities = OpenTelemetry(self._tracer)

    def begin(self, method: str, route: str, trace: Trace | None) -> RequestSpan:
        """Begin the span of a request.

        Args:
            method: Its method.
            route: Its route, with the variable parts by name.
            trace: What it goes on from, unless the server has begun a span for it already; None begins a trace.
        """
        context = None if self.activities.current() is not None else context_of(trace)
        attributes = {"http.request.method": method, "http.route": route}
        span = self._tracer.start_span(
            f"{method} {route}", context=context, kind=otel.SpanKind.SERVER, attributes=attributes
        )
        return RequestSpan(span, trace_of(span))

    def close(self) -> None:
        """Send what has not been sent, for a while; what somebody else has set up is theirs to close."""
        if self._own is None:
            return
        last = threading.Thread(target=self._own.shutdown, name="holdfast-spans", daemon=True)
        last.start()
        last.join(_LAST_SECONDS)
        if last.is_alive():
            _log.warning("the last spans could not be sent within %g s", _LAST_SECONDS)


def _resource() -> Resource:
    """Say who sends the spans: this service, unless the variables say otherwise."""
    named = "OTEL_SERVICE_NAME" in os.environ or SERVICE_NAME in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return Resource.create(None if named else {SERVICE_NAME: "holdfast"})
