"""Whoever waits for the confirmation is answered once, when it is there; the transaction completes later."""

from pathlib import Path

import pytest

from examples.kafka_workflow.early_return import early_return, workflows
from holdfast import Delivery, RunStatus
from tests.examples.kafka_workflow.kit import KEY, RESULT, SCHEDULER, Emitted, Thread, thread
from tests.examples.kit import replays
from tests.play import Anything

CONFIRM = f'{KEY}|{{"ref":"main","value":{{"type":"confirmTimeout"}}}}'
COMPLETE = f'{KEY}|{{"ref":"main","value":{{"type":"completeTimeout"}}}}'


async def ask(transaction: Thread, reply: str) -> Delivery:
    return await transaction.answer("main", {"type": "awaitConfirmation", "reply": reply})


def confirmed(transaction: Thread, reply: str) -> Emitted:
    return transaction.json("temporal-early-return-reply", {"reply": reply, "value": {"status": "confirmed"}})


def completed(transaction: Thread) -> Emitted:
    return transaction.json(RESULT, {"status": "complete", "finalAmount": 77})


async def test_a_transaction_replies_at_its_confirmation_and_completes_later(tmp_path: Path) -> None:
    async with thread(workflows) as transaction:
        await transaction.new({"confirmDelayMS": 50, "completeDelayMS": 100})
        await ask(transaction, "confirm-1")
        await ask(transaction, "confirm-2")
        expected = [transaction.of(SCHEDULER, "50", CONFIRM)]
        await transaction.emits(*expected)

        await transaction.fire(CONFIRM)
        expected += [confirmed(transaction, reply) for reply in ("confirm-1", "confirm-2")]
        expected.append(transaction.of(SCHEDULER, "100", COMPLETE))
        await transaction.emits(*expected)

        await ask(transaction, "late")
        expected.append(confirmed(transaction, "late"))
        await transaction.emits(*expected)

        await transaction.fire(COMPLETE)
        await transaction.emits(*expected, completed(transaction))
        assert await replays(transaction.env, early_return, KEY, tmp_path) is RunStatus.COMPLETED


async def test_one_who_asks_before_the_transaction_starts_is_answered_too() -> None:
    async with thread(workflows) as transaction:
        assert await ask(transaction, "early") is Delivery.HELD
        await transaction.new({})
        await transaction.fire(CONFIRM)

        await transaction.emits(
            transaction.of(SCHEDULER, "500", CONFIRM),
            confirmed(transaction, "early"),
            transaction.of(SCHEDULER, "5000", COMPLETE),
        )


async def test_one_who_asks_after_the_transaction_is_complete_is_a_dead_letter() -> None:
    async with thread(workflows) as transaction:
        await transaction.new({})
        await transaction.fire(CONFIRM)
        await transaction.fire(COMPLETE)

        assert await ask(transaction, "too late") is Delivery.DEAD
        await transaction.emits(
            transaction.of(SCHEDULER, "500", CONFIRM),
            transaction.of(SCHEDULER, "5000", COMPLETE),
            completed(transaction),
        )


@pytest.mark.parametrize(
    "event", [{"type": "confirmTimeout"}, {"type": "awaitConfirmation"}, {"type": "rollback"}, "hello", None]
)
async def test_a_second_confirmation_and_what_nobody_knows_change_nothing(event: Anything) -> None:
    async with thread(workflows) as transaction:
        await transaction.new({"confirmDelayMS": 0})
        await ask(transaction, "r")
        await transaction.fire(CONFIRM)
        await transaction.answer("main", event)

        await transaction.emits(
            transaction.of(SCHEDULER, "+0", CONFIRM),
            confirmed(transaction, "r"),
            transaction.of(SCHEDULER, "5000", COMPLETE),
        )
