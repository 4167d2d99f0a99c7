"""The workload: 1-step runs one at a time on an idle engine, then W runs of N no-op steps, C at a time."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Sequence

__all__ = ["drive", "percentile_ms"]


def percentile_ms(seconds: Sequence[float], share: float) -> float:
    """Give the value below which a share of the measurements lies, in milliseconds."""
    ordered = sorted(seconds)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 2)


async def drive(options: argparse.Namespace, run_one: Callable[[int], Awaitable[int]]) -> dict[str, Any]:
    """Run the workload, and give one row of figures.

    Args:
        options: workflows, steps, concurrency, idle_runs and warmup.
        run_one: Runs a workflow of that many steps, and gives how many it reports.
    """

    async def timed(steps: int) -> float:
        start = time.perf_counter()
        reported = await run_one(steps)
        if reported != steps:
            message = f"a workflow reported {reported} steps of {steps}"
            raise RuntimeError(message)
        return time.perf_counter() - start

    for _ in range(options.warmup):
        await timed(1)
    idle = [await timed(1) for _ in range(options.idle_runs)]
    gate = asyncio.Semaphore(options.concurrency)

    async def gated() -> float:
        async with gate:
            return await timed(options.steps)

    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    loaded = await asyncio.gather(*(gated() for _ in range(options.workflows)))
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    steps = options.workflows * options.steps
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "workflows": options.workflows,
        "steps": options.steps,
        "concurrency": options.concurrency,
        "wall_s": round(wall, 3),
        "workflows_per_s": round(options.workflows / wall, 1),
        "steps_per_s": round(steps / wall, 1),
        "load_p50_ms": percentile_ms(loaded, 0.5),
        "load_p99_ms": percentile_ms(loaded, 0.99),
        "idle_runs": len(idle),
        "idle_p50_ms": percentile_ms(idle, 0.5),
        "idle_p99_ms": percentile_ms(idle, 0.99),
        "client_cpu_ms_per_step": round(cpu * 1000 / steps, 4),
        "server_cpu_ms_per_step": None,
        "cpus": os.cpu_count(),
    }
