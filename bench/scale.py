"""Measure what grows: ``python -m bench.scale steps|refs|restart|index|live|cold`` prints one JSON line each.

With ``--store URL`` on a store of yours, which has to be new: ``{}`` in the URL becomes a new name, such as in
``kafka://localhost:9092/bench-{}``. Without it on SQLite, in a folder that is gone afterwards.

steps: 5,000 activities in one run: what the last 1,000 cost against the first 200.
refs: 10,000 answers to one run with 1,000 refs: what the last 1,000 cost against the tenth 100.
restart: 10,000 open runs with an activity under way; the time from opening until all of them move again.
index: 100,000 runs that wait for a signal; the time until an engine is open over them.
live: bytes of memory per run that waits for a signal, with its code in memory.
cold: bytes of memory per run that waits for a signal, as an entry of the index alone.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.places import HELP, url_of
from holdfast import Engine, WorkflowContext, activity, stores

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

STARTS_AT_A_TIME = 500
REFS = 1_000


class Gate:
    """Counts the attempts that have begun, and holds them while it is shut."""

    def __init__(self) -> None:
        """Begin shut, at zero."""
        self.begun = 0
        self.open = asyncio.Event()


gate: Gate


@activity
async def noop(step: int) -> int:
    """Do nothing."""
    return step


@activity
async def held(number: int) -> int:
    """Wait at the gate."""
    gate.begun += 1
    await gate.open.wait()
    return number


async def many_steps(ctx: WorkflowContext, steps: int) -> int:
    """Run activities one after the other."""
    for step in range(steps):
        await ctx.execute_activity(noop, step)
    return steps


async def many_refs(ctx: WorkflowContext, answers: int) -> int:
    """Wait for 1,000 refs at once, each over and over, until so many answers have come."""
    answered = 0

    async def mailbox(number: int) -> None:
        nonlocal answered
        while answered < answers:
            await ctx.ref_id(f"r{number}")
            answered += 1

    scope = ctx.cancellation_scope()
    for number in range(REFS):
        scope.start(mailbox(number))
    await ctx.wait_condition(lambda: answered >= answers)
    scope.cancel()
    return answered


async def one_held(ctx: WorkflowContext, number: int) -> int:
    """Run one activity that waits at the gate."""
    return await ctx.execute_activity(held, number)


async def waiting(ctx: WorkflowContext) -> None:
    """Wait for a signal."""
    await ctx.receive_signal("go")


async def start_many(engine: Engine, workflow: Callable[..., Any], count: int, *, numbered: bool) -> None:
    """Start runs, some hundreds at a time."""
    for first in range(0, count, STARTS_AT_A_TIME):
        numbers = range(first, min(first + STARTS_AT_A_TIME, count))
        await asyncio.gather(
            *(engine.start(workflow, number if numbered else None, id=f"run-{number}") for number in numbers)
        )


async def measure_steps(url: str) -> dict[str, Any]:
    """Time each step of one long run by when its activity runs."""
    at: list[float] = []

    @activity(name="noop")
    async def timed(step: int) -> int:
        at.append(time.perf_counter())
        return step

    async with Engine(stores.open(url), workflows=[many_steps], activities=[timed]) as engine:
        await engine.execute(many_steps, 5_000)
    first, last = (at[200] - at[0]) / 200, (at[-1] - at[-1_001]) / 1_000
    return {"steps": 5_000, "first_200_ms": first * 1000, "last_1000_ms": last * 1000, "ratio": round(last / first, 2)}


async def measure_refs(url: str) -> dict[str, Any]:
    """Time each answer to a run that waits for many, one after the other, each under an id."""
    answers = 10_000
    at: list[float] = []
    async with Engine(stores.open(url), workflows=[many_refs]) as engine:
        handle = await engine.start(many_refs, answers, id="refs")
        for number in range(answers):
            at.append(time.perf_counter())
            await engine.resolve_ref("refs", f"r{number % REFS}", number, id=f"m{number}")
        at.append(time.perf_counter())
        await handle.result()
    tenth, last = (at[1_000] - at[900]) / 100, (at[-1] - at[-1_001]) / 1_000
    return {
        "refs": REFS,
        "answers": answers,
        "tenth_100_ms": round(tenth * 1000, 3),
        "last_1000_ms": round(last * 1000, 3),
        "ratio": round(last / tenth, 2),
    }


async def measure_restart(url: str) -> dict[str, Any]:
    """Leave runs in the middle of an activity, open a new engine, and wait until each has begun its next attempt."""
    global gate  # noqa: PLW0603 - activities are plain functions
    runs, limit = 10_000, 20_000
    gate = Gate()
    parts: dict[str, Any] = {"workflows": [one_held], "activities": [held], "max_async_activities": limit, "drain": 0}
    async with Engine(stores.open(url), **parts) as engine:
        await start_many(engine, one_held, runs, numbered=True)
    gate = Gate()
    start = time.perf_counter()
    async with Engine(stores.open(url), **parts) as engine:
        opened = time.perf_counter() - start
        while gate.begun < runs:  # noqa: ASYNC110 - the attempts themselves are what is counted
            await asyncio.sleep(0.005)
        moving = time.perf_counter() - start
        gate.open.set()
        await engine.settled()
    return {"runs": runs, "open_s": round(opened, 2), "all_moving_s": round(moving, 2)}


async def measure_index(url: str) -> dict[str, Any]:
    """Open an engine over many runs that wait."""
    runs = 100_000
    async with Engine(stores.open(url), workflows=[waiting]) as engine:
        await start_many(engine, waiting, runs, numbered=False)
    start = time.perf_counter()
    async with Engine(stores.open(url), workflows=[waiting]) as engine:
        opened = time.perf_counter() - start
        listed = time.perf_counter()
        page = await engine.list(status="running", limit=50)
        listed = time.perf_counter() - listed
    return {"runs": runs, "open_s": round(opened, 2), "list_ms": round(listed * 1000, 2), "listed": len(page.items)}


async def measure_memory(url: str, *, cached: int, runs: int) -> dict[str, Any]:
    """Weigh runs that wait: the process grows by so much for each."""
    async with Engine(stores.open(url), workflows=[waiting], max_cached_runs=cached) as engine:
        await start_many(engine, waiting, 500, numbered=False)
        gc.collect()
        before = resident_bytes()
        for first in range(500, runs, STARTS_AT_A_TIME):
            ids = range(first, min(first + STARTS_AT_A_TIME, runs))
            await asyncio.gather(*(engine.start(waiting, id=f"run-{number}") for number in ids))
        gc.collect()
        grown = resident_bytes() - before
    return {"runs": runs - 500, "bytes_per_run": round(grown / (runs - 500))}


async def measure_live(url: str) -> dict[str, Any]:
    """Weigh runs that are in memory with their code."""
    return await measure_memory(url, cached=50_000, runs=20_000)


async def measure_cold(url: str) -> dict[str, Any]:
    """Weigh runs that are entries of the index alone."""
    return await measure_memory(url, cached=10, runs=100_000)


def resident_bytes() -> int:
    """Say how much memory the process holds."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


MEASURES: dict[str, Callable[[str], Coroutine[Any, Any, dict[str, Any]]]] = {
    "steps": measure_steps,
    "refs": measure_refs,
    "restart": measure_restart,
    "index": measure_index,
    "live": measure_live,
    "cold": measure_cold,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measure", choices=sorted(MEASURES))
    parser.add_argument("--store", default="sqlite", help=HELP)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as folder:
        row = asyncio.run(MEASURES[options.measure](url_of(options.store, Path(folder))))
    print(json.dumps({"measure": options.measure, **row}))


if __name__ == "__main__":
    main()
