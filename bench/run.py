"""Measure the engine: ``python -m bench.run --store memory|sqlite|dapr`` prints one JSON line.

The line has the form of the other engines' benchmarks. ``--runs`` repeats it and prints the median of the runs by
steps per second, with the fastest and slowest beside it. With ``dapr`` the store is the component ``statestore`` of the
sidecar at ``DAPR_GRPC_PORT``; runs of former measurements stay in it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.metadata
import json
import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.driver import drive
from holdfast import Engine, WorkflowContext, activity
from holdfast.stores import MemoryStore, SqliteStore

if TYPE_CHECKING:
    from holdfast.ports import StateStore


@activity
async def noop(step: int) -> int:
    """Do nothing."""
    return step


async def bench(ctx: WorkflowContext, steps: int) -> int:
    """Run activities one after the other."""
    for step in range(steps):
        await ctx.execute_activity(noop, step)
    return steps


def make_store(kind: str, folder: Path) -> StateStore:
    """Make the store to measure."""
    if kind == "dapr":
        from holdfast.stores.dapr import DaprStore  # noqa: PLC0415 - an extra that takes a while to import

        return DaprStore("statestore")
    return MemoryStore() if kind == "memory" else SqliteStore(folder / "bench.db")


async def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Open an engine on a new store, and run the workload on it."""
    async with Engine(make_store(options.store, folder), workflows=[bench], activities=[noop]) as engine:
        gc.collect()
        gc.freeze()

        async def run_one(steps: int) -> int:
            return int(await engine.execute(bench, steps))

        row = await drive(options, run_one)
        stats = engine.stats()
        row["mean_batch"] = round(stats.written / stats.commits, 1)
        return row


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=["memory", "sqlite", "dapr"], default="sqlite")
    parser.add_argument("--workflows", type=int, default=200)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--concurrency", type=int, default=50)
    parser.add_argument("--idle-runs", type=int, default=100)
    parser.add_argument("--warmup", type=int, default=20)
    parser.add_argument("--runs", type=int, default=1)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    rows = []
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory(dir=".") as folder:
            rows.append(asyncio.run(measure(options, Path(folder))))
    rows.sort(key=lambda row: row["steps_per_s"])
    row = {"peer": "holdfast", **rows[len(rows) // 2], "store": options.store, "sync": options.store == "sqlite"}
    if options.runs > 1:
        row["runs"], row["steps_per_s_range"] = options.runs, [rows[0]["steps_per_s"], rows[-1]["steps_per_s"]]
    row["holdfast"] = importlib.metadata.version("holdfast")
    print(json.dumps(row))


if __name__ == "__main__":
    main()
