"""Traces around an executor: a span for each call, and for each activity of the runs that the calls are about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from holdfast.core.errors import UnsupportedOperationError
from holdfast.executors.middleware import Layer

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from opentelemetry.trace import Tracer

    from holdfast.engine.handle import WorkflowHandle
    from holdfast.executors.middleware import Middleware
    from holdfast.executors.otel import OpenTelemetry
    from holdfast.executors.registry import Executor
    from holdfast.ports import Tracing

__all__ = ["open_telemetry", "with_tracing"]


def open_telemetry(tracer: Tracer | None = None) -> OpenTelemetry:
    """Make what `EngineOptions.tracing` takes: with it activities run in spans of OpenTelemetry.

    Args:
        tracer: An OpenTelemetry tracer; by default the one that the process has set up.

    Raises:
        UnsupportedOperationError: OpenTelemetry is not installed.
    """
    try:
        from holdfast.executors.otel import OpenTelemetry  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        message = "tracing needs OpenTelemetry: pip install 'holdfast[otel]'"
        raise UnsupportedOperationError(message) from error
    return OpenTelemetry(tracer)


def with_tracing(tracer: Tracer | None = None) -> Middleware:
    """Put a span around each call of an executor.

    An executor that can trace by itself (the engine) does more: its activities run in spans as well, and go on from
    the trace of the call that started their run.

    Args:
        tracer: An OpenTelemetry tracer; by default the one that the process has set up.

    Raises:
        UnsupportedOperationError: OpenTelemetry is not installed.
    """
    tracing = open_telemetry(tracer)

    def wrap(inner: Executor) -> Executor:
        goes_on = callable(getattr(inner, "trace_with", None))
        if goes_on:
            cast("_Traceable", inner).trace_with(tracing)
        return _Traced(inner, tracing, goes_on=goes_on)

    return wrap


class _Traceable(Protocol):
    def trace_with(self, tracing: Tracing) -> None: ...


class _Traced(Layer):
    def __init__(self, inner: Executor, tracing: OpenTelemetry, *, goes_on: bool) -> None:
        super().__init__(inner)
        self._tracing = tracing
        self._goes_on = goes_on

    def _span(self, call: str, workflow_id: str, **more: str) -> AbstractContextManager[Any]:
        attributes = {"holdfast.workflow_id": workflow_id, **{f"holdfast.{key}": value for key, value in more.items()}}
        return self._tracing.inner_span(f"holdfast {call}", attributes)

    def _here(self) -> dict[str, str]:
        """Give the option that lets a run, or a signal, go on from the current span."""
        trace = self._tracing.current() if self._goes_on else None
        return {"trace": trace.text} if trace is not None else {}

    async def start(self, workflow: Any, input: object = None, **options: Any) -> WorkflowHandle:  # noqa: ANN401
        name = workflow if isinstance(workflow, str) else getattr(workflow, "__name__", repr(workflow))
        with self._span("start", str(options.get("id") or ""), workflow=name):
            return await super().start(workflow, input, **{**self._here(), **options})

    async def signal(self, workflow_id: str, name: str, payload: object = None, **options: Any) -> None:  # noqa: ANN401
        with self._span("signal", workflow_id, signal=name):
            await super().signal(workflow_id, name, payload, **{**self._here(), **options})

    async def query(self, workflow_id: str, name: str, input: object = None) -> Any:  # noqa: ANN401
        with self._span("query", workflow_id, query=name):
            return await super().query(workflow_id, name, input)

    async def cancel(self, workflow_id: str, *, reason: str = "") -> None:
        with self._span("cancel", workflow_id):
            await super().cancel(workflow_id, reason=reason)
