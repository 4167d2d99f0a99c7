"""A slow order is reminded of once; a countdown ends at its newest deadline, whatever old timers say."""

from pathlib import Path

import pytest

from examples.kafka_workflow.timer_examples import SLOW, timer_examples, workflows
from holdfast import Delivery, RunStatus
from tests.examples.kafka_workflow.kit import KEY, RESULT, SCHEDULER, Emitted, Thread, thread
from tests.examples.kit import replays
from tests.play import Anything

PROCESSED: dict[str, Anything] = {"ref": "main", "value": {"type": "processed"}}
REMINDER = f'{KEY}|{{"ref":"main","value":{{"type":"timeout"}}}}'


def deadline(number: int) -> str:
    """The address of a countdown's timer."""
    return f'{KEY}|{{"ref":"main","value":{{"type":"timeout","timerId":{number}}}}}'


async def ordered(order: Thread) -> list[Emitted]:
    """Start an order, and give what it emits."""
    await order.new({"kind": "processOrder", "orderProcessingMS": 300, "sendDelayedEmailTimeoutMS": 100})
    first = [
        order.json("temporal-timer-examples-process-order", PROCESSED),
        order.of(SCHEDULER, "100", REMINDER),
    ]
    await order.emits(*first)
    return first


def email(order: Thread) -> Emitted:
    said = {"message": SLOW, "orderProcessingMS": 300, "sendDelayedEmailTimeoutMS": 100}
    return order.json("temporal-timer-examples-send-notification-email", said)


async def test_a_slow_order_sends_one_reminder_and_completes(tmp_path: Path) -> None:
    async with thread(workflows) as order:
        first = await ordered(order)

        await order.fire(REMINDER)
        await order.fire(REMINDER)
        await order.emits(*first, email(order))
        await order.answer(**PROCESSED)

        await order.emits(*first, email(order), order.json(RESULT, "Order completed!"))
        assert await replays(order.env, timer_examples, KEY, tmp_path) is RunStatus.COMPLETED


async def test_a_quick_order_calls_its_reminder_off() -> None:
    async with thread(workflows) as order:
        first = await ordered(order)

        await order.answer(**PROCESSED)
        late = await order.fire(REMINDER)

        assert late is Delivery.DEAD
        await order.emits(*first, order.of(SCHEDULER, "0", REMINDER), order.json(RESULT, "Order completed!"))


async def test_an_order_that_is_processed_before_it_is_known_completes_at_once() -> None:
    async with thread(workflows) as order:
        assert await order.answer(**PROCESSED) is Delivery.HELD

        await order.new({"kind": "processOrder"})

        await order.emits(
            order.json("temporal-timer-examples-process-order", PROCESSED),
            order.of(SCHEDULER, "100", REMINDER),
            order.of(SCHEDULER, "0", REMINDER),
            order.json(RESULT, "Order completed!"),
        )


async def test_a_countdown_ends_at_its_newest_deadline_and_ignores_old_timers(tmp_path: Path) -> None:
    async with thread(workflows) as countdown:
        await countdown.new({"kind": "countdown", "initialDelayMS": 1000})
        await countdown.answer("main", {"type": "setDeadline", "delayMS": 1})
        await countdown.fire(deadline(0))
        await countdown.answer("main", {"type": "getTimeLeft", "reply": "query-1"})
        going_on = [
            countdown.of(SCHEDULER, "1000", deadline(0)),
            countdown.of(SCHEDULER, "0", deadline(0)),
            countdown.of(SCHEDULER, "1", deadline(1)),
            countdown.json("temporal-timer-examples-countdown-state", {"reply": "query-1", "timeLeftMS": 1}),
        ]
        await countdown.emits(*going_on)

        await countdown.fire(deadline(1))

        done = {"status": "done"}
        await countdown.emits(
            *going_on,
            countdown.json("temporal-timer-examples-countdown-done", done),
            countdown.json(RESULT, done),
        )
        assert await replays(countdown.env, timer_examples, KEY, tmp_path) is RunStatus.COMPLETED


async def test_a_deadline_may_be_moved_to_now() -> None:
    async with thread(workflows) as countdown:
        await countdown.new({"kind": "countdown"})
        await countdown.answer("main", {"type": "setDeadline", "delayMS": 0})

        await countdown.emits(
            countdown.of(SCHEDULER, "1000", deadline(0)),
            countdown.of(SCHEDULER, "0", deadline(0)),
            countdown.of(SCHEDULER, "+0", deadline(1)),
        )


@pytest.mark.parametrize("command", [{"type": "stop"}, {"type": "setDeadline", "delayMS": "soon"}, 7, None])
async def test_a_command_that_nobody_knows_changes_nothing(command: Anything) -> None:
    async with thread(workflows) as countdown:
        await countdown.new({"kind": "countdown"})
        await countdown.answer("main", command)
        await countdown.answer("main", {"type": "getTimeLeft", "reply": "r"})

        await countdown.emits(
            countdown.of(SCHEDULER, "1000", deadline(0)),
            countdown.json("temporal-timer-examples-countdown-state", {"reply": "r", "timeLeftMS": 1000}),
        )
