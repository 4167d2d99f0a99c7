"""A process that runs threads: ``python -m tests.chaos.thread_host DATABASE LEDGER MODULE DEATH``.

A line of its input is a record of ``workflow-resume``: key, value and id as a JSON list. The answer is ``done``, once
nothing is left to do. A line of the ledger is a record that the publisher has: topic, key, value and id. The process
kills itself at the point that DEATH counts to: before or after a call of the store or of the publisher; 0 is never.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from holdfast import Engine
from holdfast.core.definitions import WorkflowDefinition
from holdfast.core.outputs import RESUME_TOPIC
from holdfast.ports import Conflict, Record, Write, Written
from holdfast.stores import SqliteStore


class Death:
    """Comes at a point that is counted to, once the counting has begun."""

    def __init__(self, at: int) -> None:
        self._left = at
        self.counts = False

    def pass_by(self) -> None:
        if self.counts:
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)


class MortalStore(SqliteStore):
    """A store whose calls may be the last."""

    def __init__(self, path: str, death: Death) -> None:
        super().__init__(path)
        self._death = death

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        self._death.pass_by()
        results = await super().write(writes)
        self._death.pass_by()
        return results


class Ledger:
    """A publisher whose records are lines of a file; those that resume threads come back at once."""

    engine: Engine

    def __init__(self, path: Path, death: Death) -> None:
        self._path = path
        self._death = death

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def publish(self, records: Sequence[Record]) -> None:
        self._death.pass_by()
        lines = [json.dumps([each.topic, each.key, each.value.decode(), each.id]) + "\n" for each in records]
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(file, "".join(lines).encode())
        finally:
            os.close(file)
        self._death.pass_by()
        for record in records:
            if record.topic == RESUME_TOPIC:
                await self.engine.deliver(record.topic, record.key, record.value, id=record.id)


def tell(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201 - the test reads it


async def main(database: str, ledger: str, module: str, at: str) -> None:
    workflows: Any = importlib.import_module(module).workflows
    death = Death(int(at))
    publisher = Ledger(Path(ledger), death)
    entry = WorkflowDefinition.of(workflows[0]).name
    store = MortalStore(database, death)
    publisher.engine = engine = Engine(
        store, workflows=workflows, publisher=publisher, instance="one", resume_entry=entry
    )
    async with engine:
        await engine.settled()
        tell("open")
        death.counts = True
        while line := await asyncio.to_thread(sys.stdin.readline):
            key, value, id = json.loads(line)
            delivery = await engine.deliver(RESUME_TOPIC, key, value.encode(), id=id)
            await engine.settled()
            tell("done", delivery)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
