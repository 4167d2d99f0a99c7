"""Workflows for a service beside a sidecar."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from holdfast import ActivityContext, WorkflowContext, activity, workflow


@activity
async def doubled(number: int) -> int:
    return 2 * number


@workflow
async def one_step(ctx: WorkflowContext, number: int) -> int:
    return await ctx.execute_activity(doubled, number)


@workflow
async def collect(ctx: WorkflowContext, expected: int) -> list[Any]:
    """Take so many signals; the result says which, in the order they came."""
    return [await ctx.receive_signal("n") for _ in range(expected)]


@workflow
async def collect_numbers(ctx: WorkflowContext, expected: int) -> list[int]:
    return [(await ctx.receive_signal("n"))["number"] for _ in range(expected)]


@activity
async def note(message: dict[str, Any], context: ActivityContext) -> int:
    """Leave a line in the ledger, in one write: an effect that can be counted."""
    line = {
        "key": context.idempotency_key,
        "attempt": context.attempt,
        "number": message["number"],
        "sent": message["sent"],
        "done": time.time(),
    }
    file = os.open(Path(os.environ["HOLDFAST_TEST_LEDGER"]), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, json.dumps(line).encode() + b"\n")
    finally:
        os.close(file)
    return int(message["number"])


@workflow
async def note_all(ctx: WorkflowContext, expected: int) -> list[int]:
    """Take so many signals, and do something for each."""
    return [await ctx.execute_activity(note, await ctx.receive_signal("n")) for _ in range(expected)]


@workflow
async def payment(ctx: WorkflowContext, order: dict[str, Any]) -> list[Any]:
    """Begin with the first message of another team's topic, and end with the second."""
    return [order, await ctx.receive_signal("paid"), await ctx.receive_signal("paid")]
