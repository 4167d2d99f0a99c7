"""An expense is paid, rejected or timed out; its timer is called off by any decision."""

from pathlib import Path

import pytest

from examples.kafka_workflow.expense import workflows
from holdfast import Delivery, RunStatus
from tests.examples.kafka_workflow.kit import ERROR, KEY, RESULT, SCHEDULER, Emitted, Thread, thread
from tests.examples.kit import replays
from tests.play import Anything

ABOUT = {"expenseId": KEY, "amount": 1200}
CLAIM = {"amount": 1200, "reason": "client dinner", "requester": "alice"}
APPROVE = {"type": "approve", "approvedBy": "manager"}
REJECT = {"type": "reject", "rejectedBy": "manager"}


async def filed(expense: Thread, milliseconds: int = 200) -> tuple[str, list[Emitted]]:
    """Describe what an expense emits when it starts; the address of its timer comes with it."""
    timer = (await expense.emitted())[1].key
    created = {**ABOUT, "reason": "client dinner", "requester": "alice"}
    set_ = expense.of(SCHEDULER, str(milliseconds), timer)
    return timer, [expense.json("temporal-expense-create", created), set_]


async def begun(expense: Thread) -> tuple[str, list[Emitted]]:
    await expense.new({**CLAIM, "approvalTimeoutMS": 200})
    timer, first = await filed(expense)
    await expense.emits(*first)
    return timer, first


def result(expense: Thread, status: str) -> Emitted:
    return expense.json(RESULT, {"status": status, **ABOUT})


def paid(expense: Thread) -> Emitted:
    return expense.json("temporal-expense-pay", {**ABOUT, "approvedBy": "manager"})


async def test_an_approved_expense_is_paid(tmp_path: Path) -> None:
    async with thread(workflows) as expense:
        timer, first = await begun(expense)

        await expense.answer("approval", APPROVE)

        off = expense.of(SCHEDULER, "0", timer)
        await expense.emits(*first, off, paid(expense), result(expense, "COMPLETED"))
        assert await replays(expense.env, workflows[0], KEY, tmp_path) is RunStatus.COMPLETED


async def test_a_rejected_expense_is_not(tmp_path: Path) -> None:
    async with thread(workflows) as expense:
        timer, first = await begun(expense)

        await expense.answer("approval", REJECT)

        await expense.emits(*first, expense.of(SCHEDULER, "0", timer), result(expense, "REJECTED"))
        assert await replays(expense.env, workflows[0], KEY, tmp_path) is RunStatus.COMPLETED


async def test_an_expense_that_nobody_decides_on_times_out(tmp_path: Path) -> None:
    async with thread(workflows) as expense:
        timer, first = await begun(expense)

        await expense.fire(timer)

        await expense.emits(*first, result(expense, "TIMED_OUT"))
        assert await replays(expense.env, workflows[0], KEY, tmp_path) is RunStatus.COMPLETED


async def test_a_decision_that_comes_first_of_all_is_kept_for_it() -> None:
    async with thread(workflows) as expense:
        assert await expense.answer("approval", APPROVE) is Delivery.HELD

        await expense.new({**CLAIM, "approvalTimeoutMS": 200})

        timer, first = await filed(expense)
        off = expense.of(SCHEDULER, "0", timer)
        await expense.emits(*first, off, paid(expense), result(expense, "COMPLETED"))


@pytest.mark.parametrize("second", [APPROVE, REJECT], ids=["approve", "reject"])
async def test_a_decision_that_comes_too_late_changes_nothing(second: Anything) -> None:
    async with thread(workflows) as expense:
        timer, first = await begun(expense)
        await expense.fire(timer)

        assert await expense.answer("approval", second) is Delivery.DEAD

        await expense.emits(*first, result(expense, "TIMED_OUT"))


async def test_what_is_no_decision_ends_it_with_an_error_and_pays_nothing() -> None:
    async with thread(workflows) as expense:
        timer, first = await begun(expense)

        await expense.answer("approval", {"type": "approve"})

        *_, error = await expense.on(ERROR)
        assert "approvedBy" in error
        await expense.emits(*first, expense.of(SCHEDULER, "0", timer), expense.of(ERROR, error))


async def test_there_is_half_a_second_to_decide_where_nothing_is_said() -> None:
    async with thread(workflows) as expense:
        await expense.new(CLAIM)

        _, first = await filed(expense, 500)
        await expense.emits(*first)
