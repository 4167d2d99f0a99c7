"""A person is asked by a record and answers by a signal; nobody takes an answer that is meant for another."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from holdfast import (
    PayloadError,
    RunStatus,
    UndeclaredTopicError,
    WorkflowCanceledError,
    WorkflowContext,
    WorkflowFailedError,
    workflow,
)
from holdfast.patterns import human_task
from holdfast.stores import SqliteStore
from holdfast.testing import TestEnvironment, replay, save_history
from tests.play import Anything, Code


@dataclass(frozen=True)
class Question:
    text: str
    amount: int = 0


class Answer(BaseModel):
    approved: bool
    by: str = ""


@workflow(outputs=["tasks"])
async def asks(ctx: WorkflowContext, timeout: timedelta | None = None) -> Answer:
    answer: Answer = await human_task(ctx, "tasks", Question("really?", 7), timeout=timeout, type=Answer)
    return answer


@workflow(outputs=["tasks"])
async def asks_several(ctx: WorkflowContext, count: int) -> list[str]:
    tasks = [human_task(ctx, "tasks", number, timeout=timedelta(days=1), type=str) for number in range(count)]
    answers: list[str] = await asyncio.gather(*tasks)
    return answers


async def published(env: TestEnvironment) -> list[dict[str, Anything]]:
    return [json.loads(record.value) for record in await env.outputs("tasks")]


async def test_a_request_says_what_is_asked_by_whom_until_when_and_how_to_answer() -> None:
    async with TestEnvironment(workflows=[asks]) as env:
        run = await env.start(asks, "P3D", id="order-1")
        await env.settled()

        (record,) = await env.outputs("tasks")
        task = json.loads(record.value)
        asked_at, deadline = datetime.fromisoformat(task["requested_at"]), datetime.fromisoformat(task["deadline"])
        assert deadline - asked_at == timedelta(days=3)
        assert asked_at.tzinfo is not None
        assert record.key == task["task_id"]
        assert task == {
            "task_id": task["task_id"],
            "workflow_id": "order-1",
            "run_id": run.run_id,
            "workflow": "asks",
            "signal": f"human-task-{task['task_id']}",
            "request": {"text": "really?", "amount": 7},
            "requested_at": task["requested_at"],
            "deadline": task["deadline"],
        }


async def test_the_answer_is_what_the_signal_carries(tmp_path: Path) -> None:
    async with TestEnvironment(workflows=[asks]) as env:
        run = await env.start(asks)
        await env.settled()
        (task,) = await published(env)
        assert task["deadline"] is None
        assert task["signal"] in str(await run.query("stack"))

        await env.skip(timedelta(days=300))
        await run.signal(task["signal"], {"approved": True, "by": "ann"})

        assert await run.result() == Answer(approved=True, by="ann")
        assert len(await published(env)) == 1, "an answered request is not withdrawn"
        save_history(tmp_path / "history.json", await env.engine.history(run.id))
    assert replay(asks, tmp_path / "history.json") is RunStatus.COMPLETED


async def test_tasks_at_a_time_get_each_its_own_answer_in_whatever_order() -> None:
    async with TestEnvironment(workflows=[asks_several]) as env:
        run = await env.start(asks_several, 5)
        await env.settled()
        tasks = await published(env)

        for task in reversed(tasks):
            await run.signal(task["signal"], f"answer {task['request']}")

        assert await run.result() == [f"answer {number}" for number in range(5)]
        assert len({task["task_id"] for task in tasks}) == 5


async def test_an_answer_that_comes_too_late_is_not_taken_for_that_of_the_next_task() -> None:
    @workflow(outputs=["tasks"])
    async def asks_twice(ctx: WorkflowContext) -> Anything:
        try:
            return await human_task(ctx, "tasks", "first", timeout=60)
        except TimeoutError:
            return await human_task(ctx, "tasks", "second")

    async with TestEnvironment(workflows=[asks_twice]) as env:
        run = await env.start(asks_twice)
        await env.skip(61)
        first, withdrawn, second = await published(env)
        assert withdrawn["task_id"] == first["task_id"] != second["task_id"]

        await run.signal(first["signal"], "to the first")
        await run.signal(second["signal"], "to the second")

        assert await run.result() == "to the second"


async def test_nobody_answers_in_time() -> None:
    async with TestEnvironment(workflows=[asks]) as env:
        run = await env.start(asks, "P3D")

        with pytest.raises(
            WorkflowFailedError, match=r"signal 'human-task-\w+' did not come within 259200 s"
        ) as failure:
            await run.result()

        assert failure.value.failure.innermost().type == "TimeoutError"
        task, withdrawal = await published(env)
        ids = {name: task[name] for name in ("task_id", "workflow_id", "run_id", "workflow", "signal")}
        assert withdrawal == {**ids, "withdrawn": True, "reason": "timed_out"}
        assert {record.key for record in await env.outputs("tasks")} == {task["task_id"]}


async def test_a_run_that_is_cancelled_withdraws_what_it_asked(tmp_path: Path) -> None:
    async with TestEnvironment(workflows=[asks_several]) as env:
        run = await env.start(asks_several, 2)
        await env.settled()
        first, second = await published(env)
        await run.signal(first["signal"], "yes")

        await run.cancel()
        with pytest.raises(WorkflowCanceledError):
            await run.result()

        *_, withdrawal = await published(env)
        assert len(await published(env)) == 3, "only what was not answered"
        assert (withdrawal["task_id"], withdrawal["reason"]) == (second["task_id"], "canceled")
        save_history(tmp_path / "history.json", await env.engine.history(run.id))
    assert replay(asks_several, tmp_path / "history.json") is RunStatus.CANCELED


async def test_an_answer_that_does_not_fit_ends_the_task() -> None:
    async with TestEnvironment(workflows=[asks]) as env:
        run = await env.start(asks)
        await env.settled()
        (task,) = await published(env)

        await run.signal(task["signal"], {"approved": "perhaps"})

        with pytest.raises(WorkflowFailedError, match="field 'approved'"):
            await run.result()
        assert (await published(env))[-1]["reason"] == "answer_refused"


async def test_a_name_of_ones_own_is_the_name_to_answer_with() -> None:
    @workflow(outputs=["tasks"])
    async def named(ctx: WorkflowContext) -> Anything:
        return await human_task(ctx, "tasks", None, signal="approval")

    async with TestEnvironment(workflows=[named]) as env:
        run = await env.start(named)
        await run.signal("approval", "yes")

        assert await run.result() == "yes"
        assert [task["signal"] for task in await published(env)] == ["approval"]


async def test_what_cannot_be_asked_raises_at_the_call() -> None:
    @workflow(outputs=["tasks"])
    async def strange(ctx: WorkflowContext, what: str) -> str:
        wrong: dict[str, Code] = {
            "topic": lambda: human_task(ctx, "elsewhere", 1),
            "request": lambda: human_task(ctx, "tasks", object()),
            "timeout": lambda: human_task(ctx, "tasks", 1, timeout=-1),
        }
        try:
            await wrong[what]()
        except (UndeclaredTopicError, PayloadError, ValueError) as error:
            return type(error).__name__
        return ""

    async with TestEnvironment(workflows=[strange]) as env:
        assert await env.execute(strange, "topic") == "UndeclaredTopicError"
        assert await env.execute(strange, "request") == "PayloadError"
        assert await env.execute(strange, "timeout") == "ValueError"
        assert [record.topic for record in await env.outputs()] == ["workflow-result"] * 3


async def test_a_task_outlives_the_engine_and_is_not_asked_again(tmp_path: Path) -> None:
    async with TestEnvironment(workflows=[asks], store=SqliteStore(tmp_path / "runs.db")) as env:
        await env.start(asks, "P30D", id="order-1")
        await env.settled()
        (task,) = await published(env)

    async with TestEnvironment(workflows=[asks], store=SqliteStore(tmp_path / "runs.db")) as env:
        run = env.handle("order-1")
        await run.signal(task["signal"], {"approved": False})

        assert await run.result() == Answer(approved=False)
        assert await published(env) == []
