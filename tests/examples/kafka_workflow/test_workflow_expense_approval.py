"""An expense is approved, rejected or escalated, with a reminder between; a decision that comes too late is dropped."""

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from examples.kafka_workflow.workflow_expense_approval import workflows
from holdfast import Delivery, RunStatus
from tests.examples.kafka_workflow.kit import ERROR, KEY, RESULT, SCHEDULER, Emitted, Thread, thread
from tests.examples.kit import replays
from tests.play import Anything

ABOUT = {"expenseId": KEY, "amount": 960, "requester": "charlie", "approverEmail": "finance@example.com"}
GIVEN = {"amount": 960, "requester": "charlie", "approverEmail": "finance@example.com"}
LIMITS = {"approvalTimeoutMS": 250, "reminderTimeoutMS": 400}
REQUEST, REMINDER = "expense-approval-request", "expense-approval-reminder"


class Asked(NamedTuple):
    """A request that waits: its ref, the address of its timer, and what it has emitted."""

    ref: str
    timer: str
    records: tuple[Emitted, Emitted]


async def asked(expense: Thread, topic: str, stage: str, milliseconds: int, about: Anything = ABOUT) -> Asked:
    """Find the request on a topic, whose timer is the one that was set last."""
    request = await expense.only(topic)
    ref = json.loads(request.value)["decisionRef"]
    *_, timer = [each for each in await expense.emitted() if each.topic == SCHEDULER]
    said = {**about, "decisionRef": ref, "stage": stage, "timeoutMS": milliseconds}
    return Asked(ref, timer.key, (expense.json(topic, said), expense.of(SCHEDULER, str(milliseconds), timer.key)))


async def requested(expense: Thread, **more: Anything) -> Asked:
    await expense.new({**GIVEN, **more, **LIMITS})
    first = await asked(expense, REQUEST, "requested", 250, {**ABOUT, **more})
    await expense.emits(*first.records)
    return first


async def reminded(expense: Thread, first: Asked, **more: Anything) -> Asked:
    await expense.fire(first.timer)
    second = await asked(expense, REMINDER, "reminded", 400, {**ABOUT, **more})
    assert second.timer != first.timer
    await expense.emits(*first.records, *second.records)
    return second


@pytest.mark.parametrize(
    ("kind", "status", "comment"),
    [
        ("approve", "approved", {"comment": "Approved"}),
        ("approve", "approved", {}),
        ("reject", "rejected", {"comment": "Budget frozen"}),
    ],
)
async def test_a_decision_in_time_settles_it_and_calls_off_the_timer(
    kind: str, status: str, comment: dict[str, str], tmp_path: Path
) -> None:
    async with thread(workflows) as expense:
        first = await requested(expense, description="Conference travel")

        await expense.answer(first.ref, {"type": kind, "decidedBy": "finance@example.com", **comment})

        about = {**ABOUT, "description": "Conference travel"}
        result = {"status": status, **about, "stage": "requested", "decidedBy": "finance@example.com", **comment}
        settled = [expense.json(f"expense-approval-{status}", result), expense.json(RESULT, result)]
        await expense.emits(*first.records, expense.of(SCHEDULER, "0", first.timer), *settled)
        assert await replays(expense.env, workflows[0], KEY, tmp_path) is RunStatus.COMPLETED


async def test_a_decision_after_the_reminder_says_so() -> None:
    async with thread(workflows) as expense:
        first = await requested(expense)
        second = await reminded(expense, first)

        await expense.answer(second.ref, {"type": "approve", "decidedBy": "finance@example.com", "comment": "Late"})

        result = {"status": "approved", **ABOUT, "stage": "reminded", "decidedBy": "finance@example.com"}
        result["comment"] = "Late"
        settled = [expense.json("expense-approval-approved", result), expense.json(RESULT, result)]
        await expense.emits(*first.records, *second.records, expense.of(SCHEDULER, "0", second.timer), *settled)


async def test_two_missed_deadlines_escalate_it(tmp_path: Path) -> None:
    async with thread(workflows) as expense:
        first = await requested(expense, description="Team offsite")
        second = await reminded(expense, first, description="Team offsite")

        await expense.fire(second.timer)

        result = {"status": "escalated", **ABOUT, "description": "Team offsite", "stage": "reminded"}
        escalated = [expense.json("expense-approval-escalated", result), expense.json(RESULT, result)]
        await expense.emits(*first.records, *second.records, *escalated)
        assert await replays(expense.env, workflows[0], KEY, tmp_path) is RunStatus.COMPLETED


async def test_a_decision_on_the_request_that_was_reminded_of_is_dropped() -> None:
    async with thread(workflows) as expense:
        first = await requested(expense)
        second = await reminded(expense, first)

        late = await expense.answer(first.ref, {"type": "approve", "decidedBy": "finance@example.com"})

        assert late is Delivery.DROPPED
        await expense.emits(*first.records, *second.records)


async def test_a_timer_that_fires_beside_the_decision_emits_nothing_more() -> None:
    async with thread(workflows) as expense:
        first = await requested(expense)
        await expense.answer(first.ref, {"type": "reject", "decidedBy": "finance@example.com"})
        before = await expense.emitted()

        await expense.fire(first.timer)

        assert await expense.emitted() == before


async def test_a_decision_of_no_known_kind_ends_it_with_an_error_and_calls_off_the_timer() -> None:
    async with thread(workflows) as expense:
        first = await requested(expense)

        await expense.answer(first.ref, {"type": "perhaps", "decidedBy": "finance@example.com"})

        error = f"value of ref '{first.ref}': field 'type': Input should be 'approve' or 'reject'"
        await expense.emits(*first.records, expense.of(SCHEDULER, "0", first.timer), expense.json(ERROR, error))


async def test_each_request_waits_300_milliseconds_where_nothing_is_said() -> None:
    async with thread(workflows) as expense:
        await expense.new(GIVEN)

        first = await asked(expense, REQUEST, "requested", 300)
        await expense.emits(*first.records)
        await expense.fire(first.timer)
        second = await asked(expense, REMINDER, "reminded", 300)
        await expense.emits(*first.records, *second.records)
