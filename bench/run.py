"""Measure the engine: ``python -m bench.run --store memory|sqlite|dapr|URL`` prints one JSON line.

The line has the form of the other engines' benchmarks. ``--runs`` repeats it and prints the median of the runs by
steps per second, with the fastest and slowest beside it. With ``dapr`` the store is the component ``statestore`` of the
sidecar at ``DAPR_GRPC_PORT``. In a store of a URL runs of former measurements stay, unless ``{}`` in it gives each
measurement a name of its own: ``nats://localhost:4222/bench-{}``.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.metadata
import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from app.service import SWITCH_SECONDS
from bench.driver import drive
from bench.places import HELP, url_of
from holdfast import Engine, WorkflowContext, activity, stores
from holdfast.stores.store_url import shown

SYNCED: Final = {"memory": False, "sqlite": True}
"""Whether a write is on the disk when it is acknowledged; of other stores their servers know."""


@activity
async def noop(step: int) -> int:
    """Do nothing."""
    return step


async def bench(ctx: WorkflowContext, steps: int) -> int:
    """Run activities one after the other."""
    for step in range(steps):
        await ctx.execute_activity(noop, step)
    return steps


async def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Open an engine on a new store, and run the workload on it."""
    store = stores.open(url_of(options.store, folder))
    async with Engine(store, workflows=[bench], activities=[noop]) as engine:
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
    parser.add_argument("--store", default="sqlite", help=HELP)
    parser.add_argument("--workflows", type=int, default=200)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--concurrency", type=int, default=50)
    parser.add_argument("--idle-runs", type=int, default=100)
    parser.add_argument("--warmup", type=int, default=20)
    parser.add_argument("--runs", type=int, default=1)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    sys.setswitchinterval(SWITCH_SECONDS)
    rows = []
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory(dir=".") as folder:
            rows.append(asyncio.run(measure(options, Path(folder))))
    rows.sort(key=lambda row: row["steps_per_s"])
    row = {"peer": "holdfast", **rows[len(rows) // 2], "store": shown(options.store)}
    row["sync"] = SYNCED.get(options.store)
    if options.runs > 1:
        row["runs"], row["steps_per_s_range"] = options.runs, [rows[0]["steps_per_s"], rows[-1]["steps_per_s"]]
    row["holdfast"] = importlib.metadata.version("holdfast")
    print(json.dumps(row))


if __name__ == "__main__":
    main()
