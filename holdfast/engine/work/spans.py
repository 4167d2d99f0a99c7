"""Running an activity inside a span that goes on from the trace of its run."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holdfast.core.activities import ActivityContext
    from holdfast.core.definitions import ActivityDefinition
    from holdfast.engine.records.head import Head
    from holdfast.engine.records.pending import PendingActivity
    from holdfast.ports import Tracing

__all__ = ["traced"]


def traced(
    definition: ActivityDefinition, tracing: Tracing, head: Head, pending: PendingActivity
) -> ActivityDefinition:
    """Give an activity whose body, for one attempt of one call, runs inside a span.

    Args:
        definition: The activity.
        tracing: Makes the span.
        head: Of the run that calls.
        pending: The call, whose attempt that is on it is for.
    """
    name, invoke, trace = definition.name, definition.invoke, head.trace
    attributes: dict[str, str | int] = {
        "holdfast.workflow_id": head.workflow_id,
        "holdfast.run_id": head.run_id,
        "holdfast.activity": name,
        "holdfast.attempt": pending.attempt,
    }

    @contextmanager
    def span(context: ActivityContext | None) -> Iterator[None]:
        """Let what the activity sends to others go on from the span, too."""
        with tracing.span(f"activity {name}", trace, attributes) as own:
            if context is not None and own is not None:
                context.traceparent, context.tracestate = own.parent, own.state
            yield

    def call(raw: bytes, context: ActivityContext | None) -> Any:  # noqa: ANN401 - of the activity's own type
        with span(context):
            return invoke(raw, context)

    async def call_async(raw: bytes, context: ActivityContext | None) -> Any:  # noqa: ANN401 - as above
        with span(context):
            return await invoke(raw, context)

    return replace(definition, invoke=call_async if definition.is_async else call)
