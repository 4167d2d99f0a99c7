"""An expense is approved, rejected, or times out; it is paid once, or not at all."""

from datetime import timedelta
from pathlib import Path

import pytest

from examples.expense import ExpenseResult, activities, expense, workflows
from examples.ledger import effects
from holdfast import RunStatus, WorkflowCanceledError, WorkflowFailedError
from holdfast.ports import StateStore
from holdfast.stores import SqliteStore
from holdfast.testing import TestEnvironment
from tests.examples.kit import read, replays

FILED = "file an expense of 4890 cents"
PAID = "pay 4890 cents to E-2017"


def environment(*, store: StateStore | None = None, drain: float = 10.0) -> TestEnvironment:
    return TestEnvironment(workflows=workflows, activities=activities, store=store, drain=drain)


@pytest.mark.parametrize(
    ("decision", "status", "done"),
    [
        ({"type": "approve", "by": "finance"}, "COMPLETED", [FILED, PAID]),
        ({"type": "reject", "by": "finance"}, "REJECTED", [FILED]),
    ],
)
async def test_the_decision_decides(decision: dict[str, str], status: str, done: list[str], tmp_path: Path) -> None:
    async with environment() as env:
        run = await env.start(expense, read("expense.json"), id="expense-1")

        await run.signal("decision", decision)

        assert await run.result() == ExpenseResult(status, "expense-1", 4890)  # type: ignore[arg-type]  # one of them
        assert effects("expense-1") == done
        assert await replays(env, expense, "expense-1", tmp_path) is RunStatus.COMPLETED


async def test_no_decision_in_time_is_an_answer_too(tmp_path: Path) -> None:
    async with environment() as env:
        began = env.now()
        run = await env.start(expense, read("expense.json"), id="expense-1")

        assert await run.result() == ExpenseResult("TIMED_OUT", "expense-1", 4890)

        assert timedelta(days=7) <= env.now() - began < timedelta(days=7, minutes=1)
        assert effects("expense-1") == [FILED]
        assert await replays(env, expense, "expense-1", tmp_path) is RunStatus.COMPLETED


async def test_a_decision_that_is_neither_fails_the_run() -> None:
    async with environment() as env:
        run = await env.start(expense, read("expense.json"), id="expense-1")

        await run.signal("decision", {"type": "ponder", "by": "finance"})

        with pytest.raises(WorkflowFailedError, match="field 'type'"):
            await run.result()
        assert effects("expense-1") == [FILED]


async def test_a_cancelled_expense_is_not_paid(tmp_path: Path) -> None:
    async with environment() as env:
        run = await env.start(expense, read("expense.json"), id="expense-1")
        await env.settled()

        await run.cancel()

        with pytest.raises(WorkflowCanceledError):
            await run.result()
        assert effects("expense-1") == [FILED]
        assert await replays(env, expense, "expense-1", tmp_path) is RunStatus.CANCELED


async def test_an_open_expense_can_be_found_by_who_made_it() -> None:
    async with environment() as env:
        await env.start(expense, read("expense.json"), id="expense-1")
        await env.settled()

        page = await env.engine.list(status="running", attributes={"requester": "E-2017"})

        assert [run.workflow_id for run in page.items] == ["expense-1"]


async def test_the_decision_may_come_after_a_restart(tmp_path: Path) -> None:
    async with environment(store=SqliteStore(tmp_path / "runs.db")) as env:
        await env.start(expense, read("expense.json"), id="expense-1")
        await env.settled()

    async with environment(store=SqliteStore(tmp_path / "runs.db")) as env:
        await env.engine.signal("expense-1", "decision", {"type": "approve", "by": "finance"})

        assert (await env.handle("expense-1").result()).status == "COMPLETED"
        assert effects("expense-1") == [FILED, PAID]
