"""Timers for whoever speaks the scheduler protocol of kafka-workflow, over our own durable ones."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.core.context import WorkflowContext  # noqa: TC001 - annotations of workflows are read at run time
from holdfast.core.definitions import workflow
from holdfast.core.outputs import RESUME_TOPIC

__all__ = ["ScheduledResume", "scheduler"]


@dataclass(frozen=True, slots=True)
class ScheduledResume:
    """A record that a thread is to get.

    Attributes:
        key: The key of the thread.
        value: The record.
        delay: How many milliseconds from now; None for not at all.
    """

    key: str
    value: str
    delay: int | None


@workflow(name="workflow-scheduler")
async def scheduler(ctx: WorkflowContext, _timer: ScheduledResume) -> None:
    """Send a record when its time has come, unless it is called off before; the newest word on it counts.

    An engine that knows this workflow takes in the topic ``workflow-scheduler``, with a run for each address.
    """
    timer: ScheduledResume = await ctx.receive_signal("delay", type=ScheduledResume)
    while timer.delay is not None:
        try:
            timer = await ctx.receive_signal("delay", timeout=timer.delay / 1000, type=ScheduledResume)
        except TimeoutError:
            ctx.output(RESUME_TOPIC, timer.value, key=timer.key)
            return
