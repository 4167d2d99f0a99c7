"""A process whose runs publish to a ledger: ``python -m tests.chaos.speaker DATABASE LEDGER MODE``.

A line of the ledger is a record that the publisher has. Modes: ``mute`` hangs in the first call of the publisher,
before it has anything; ``deaf`` hangs in the tenth, after the records are in the ledger; ``plain`` works, starts runs
until its input ends, and lets them end.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from holdfast import Engine, WorkflowContext, workflow
from holdfast.ports import Record
from holdfast.stores import SqliteStore

EACH = 8
AT_A_TIME = 20


async def step(number: int) -> int:
    return number


@workflow(outputs=["steps"])
async def speaks(ctx: WorkflowContext) -> None:
    """Publish a number, alone or two at a time, and take a step."""
    for number in range(EACH):
        ctx.output_json("steps", number)
        if number % 2:
            await ctx.execute_activity(step, number)


class Ledger:
    """A publisher whose records are lines of a file, on the disk before it answers."""

    def __init__(self, path: Path, mode: str) -> None:
        self._path = path
        self._mode = mode
        self._calls = 0

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def publish(self, records: Sequence[Record]) -> None:
        self._calls += 1
        if self._mode == "mute":
            await self._hang()
        lines = [json.dumps([record.id, json.loads(record.value)]) + "\n" for record in records]
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(file, "".join(lines).encode())
        finally:
            os.close(file)
        if self._mode == "deaf" and self._calls == 10:
            await self._hang()

    async def _hang(self) -> None:
        tell("hangs")
        await asyncio.Event().wait()


def tell(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201 - the test reads it


async def main(database: str, ledger: str, mode: str) -> None:
    publisher = Ledger(Path(ledger), mode)
    engine = Engine(SqliteStore(database), workflows=[speaks], activities=[step], publisher=publisher, instance="one")
    async with engine:
        tell("open")
        until_told = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        while not until_told.done():
            await asyncio.gather(*(engine.execute(speaks) for _ in range(AT_A_TIME)))
        left = [item.workflow_id for item in (await engine.list(status="running", limit=1_000)).items]
        await asyncio.gather(*(engine.handle(workflow_id).result() for workflow_id in left))
        await engine.settled()
    tell("done")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
