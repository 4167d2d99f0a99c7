"""The agent is killed behind each of its steps, and still asks one person once and pays once."""

import asyncio
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path

import pytest

from examples import ledger, support_agent
from holdfast import ActivityContext, Engine
from holdfast.activities import LlmRequest
from holdfast.publishers import LocalBus, Record
from holdfast.stores import SqliteStore
from tests.examples.kit import read
from tests.examples.test_support_agent import PAID, YES
from tests.play import Anything

ROOT = Path(__file__).parents[2]
SECONDS = 30
STEPS = 8
"""What the model says (4), what its tools do (3), and the payment."""


class Desk:
    """Hears of requests, notes them in a file, and approves."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.bus = LocalBus()
        self.bus.subscribe("approvals", self.hear)
        self.engine: Engine | None = None

    async def hear(self, record: Record) -> None:
        task = json.loads(record.value)
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"id": record.id, **task}) + "\n")
        assert self.engine is not None
        await self.engine.signal(task["workflow_id"], task["signal"], YES, id=task["task_id"])

    def tasks(self) -> list[dict[str, Anything]]:
        if not self.file.exists():
            return []
        return [json.loads(line) for line in self.file.read_text(encoding="utf-8").splitlines()]


async def answer(folder: Path, activities: tuple[Anything, ...] = support_agent.activities) -> Anything:
    """Take the ticket up, or start it, and wait for its end."""
    desk = Desk(folder / "tasks.jsonl")
    store = SqliteStore(folder / "runs.db")
    workflows = support_agent.workflows
    async with Engine(store, workflows=workflows, activities=activities, publisher=desk.bus) as engine:
        desk.engine = engine
        ticket = read("ticket.json")
        run = await engine.start(support_agent.support_agent, ticket, id="ticket", on_conflict="use_existing")
        return await run.result()


def dawdling(activity: Callable[..., Anything], steps: Path) -> Callable[..., Anything]:
    """Let an activity note that it is done, or has failed, and take its time, so that nobody knows it yet."""

    def note() -> None:
        with steps.open("a", encoding="utf-8") as file:
            file.write("step\n")

    @wraps(activity)
    async def slow(request: LlmRequest) -> Anything:
        try:
            return await activity(request)
        finally:
            note()
            await asyncio.sleep(0.3)

    @wraps(activity)
    def slow_on_a_thread(*given: Anything, **named: ActivityContext) -> Anything:
        try:
            return activity(*given, **named)
        finally:
            note()
            time.sleep(0.3)

    return slow if inspect.iscoroutinefunction(activity) else slow_on_a_thread


def steps_done(folder: Path) -> int:
    file = folder / "steps"
    return len(file.read_text(encoding="utf-8").splitlines()) if file.exists() else 0


@pytest.mark.slow
def test_killed_behind_each_step_the_agent_asks_once_and_pays_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.examples.test_support_kill", str(tmp_path)]

    for steps in range(1, 2 * STEPS, 2):  # the step that was lost with the process is made again
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, env=os.environ)
        end = time.monotonic() + SECONDS
        while steps_done(tmp_path) < steps:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()

    outcome = asyncio.run(answer(tmp_path))
    assert (outcome.state, outcome.turns, outcome.refunded_cents) == ("answered", 4, 4990)
    assert ledger.effects("ticket") == [PAID]
    tasks = Desk(tmp_path / "tasks.jsonl").tasks()
    assert len({task["id"] for task in tasks}) == len({task["task_id"] for task in tasks}) == 1


if __name__ == "__main__":
    where = Path(sys.argv[1])
    slow_ones = tuple(dawdling(activity, where / "steps") for activity in support_agent.activities)
    asyncio.run(answer(where, slow_ones))
