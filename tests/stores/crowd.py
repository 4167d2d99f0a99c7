"""Many open runs in a process of its own: ``python -m tests.stores.crowd URL COUNT begin|again``.

With ``begin`` each run gets into the middle of an activity that does not end: the process says ``waiting``, and is
killed. With ``again`` it finds them: it says, as JSON, after how many seconds it was open, after how many each had
begun its next attempt, and how many of the processor that took, which other work on the machine changes less; then it
lets all of them come to their ends by a signal, and says what has become of them.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from typing import Any

from holdfast import ActivityContext, Engine, WorkflowContext, activity, stores

AT_A_TIME = 500
SECONDS = 600.0


class Gate:
    """Counts the attempts that have begun, and holds them while it is shut."""

    def __init__(self) -> None:
        self.begun: Counter[tuple[str, int]] = Counter()
        self.all_begun = asyncio.Event()
        self.open = asyncio.Event()
        self.expected = 0

    def begin(self, run: str, attempt: int) -> None:
        self.begun[run, attempt] += 1
        if len(self.begun) >= self.expected:
            self.all_begun.set()


gate = Gate()


@activity
async def held(number: int, context: ActivityContext) -> int:
    gate.begin(context.workflow_id, context.attempt)
    await gate.open.wait()
    return number


async def patient(ctx: WorkflowContext, number: int) -> list[int]:
    """Run an activity, then wait to be told another number."""
    return [await ctx.execute_activity(held, number), await ctx.receive_signal("next", type=int)]


def name(number: int) -> str:
    return f"run-{number}"


def engine_on(url: str) -> Engine:
    return Engine(
        stores.open(url), workflows=[patient], activities=[held], instance="crowd", max_async_activities=20_000
    )


def tell(words: object) -> None:
    print(words if isinstance(words, str) else json.dumps(words), flush=True)  # noqa: T201 - the test reads it


async def begin(url: str, count: int) -> None:
    async with engine_on(url) as engine:
        for first in range(0, count, AT_A_TIME):
            numbers = range(first, min(first + AT_A_TIME, count))
            await asyncio.gather(*(engine.start(patient, number, id=name(number)) for number in numbers))
        await asyncio.wait_for(gate.all_begun.wait(), SECONDS)
        tell("waiting")
        await asyncio.Event().wait()


async def again(url: str, count: int) -> None:
    started, used = time.perf_counter(), time.process_time()
    async with engine_on(url) as engine:
        opened = time.perf_counter() - started
        await asyncio.wait_for(gate.all_begun.wait(), SECONDS)
        moving, used = time.perf_counter() - started, time.process_time() - used
        tell({"open": round(opened, 2), "moving": round(moving, 2), "of the processor": round(used, 2)})
        gate.open.set()
        for first in range(0, count, AT_A_TIME):
            numbers = range(first, min(first + AT_A_TIME, count))
            await asyncio.gather(*(engine.signal(name(number), "next", -number, id="next") for number in numbers))
        results = [await engine.handle(name(number)).result(timeout=SECONDS) for number in range(count)]
        tell(outcome(results))


def outcome(results: list[Any]) -> dict[str, Any]:
    """Say what was not as it should be, and how many attempts of each number were begun."""
    return {
        "wrong": [number for number, result in enumerate(results) if result != [number, -number]],
        "attempts": sorted(Counter(attempt for _, attempt in gate.begun).items()),
        "twice": [run for (run, _), times in gate.begun.items() if times > 1],
    }


if __name__ == "__main__":
    gate.expected = int(sys.argv[2])
    asyncio.run({"begin": begin, "again": again}[sys.argv[3]](sys.argv[1], gate.expected))
