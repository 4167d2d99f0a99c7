"""An order is charged, picked up, delivered and rated, or refunded when a stage takes too long."""

from pathlib import Path

import pytest

from examples.kafka_workflow.food_delivery import food_delivery, workflows
from holdfast import RunStatus
from tests.examples.kafka_workflow.kit import ERROR, KEY, RESULT, SCHEDULER, Emitted, Thread, thread
from tests.examples.kit import replays
from tests.play import Anything

CHARGE = "temporal-food-delivery-charge-customer"
REFUND = "temporal-food-delivery-refund-order"
PIZZA = {"id": 2, "name": "Pizza"}
STAGES = {"pickup": "50", "delivery": "60", "rating": "20"}
NO_DRIVER = "⚠️ No drivers were available to pick up your order. Your payment has been refunded."
NOT_DELIVERED = "⚠️ Your driver was unable to deliver your order. Your payment has been refunded."
PICKED_UP = "🚗 Order picked up"


async def ordered(order: Thread) -> list[Emitted]:
    """Order a pizza, and give what that emits."""
    await order.new({"productId": 2, "pickupTimeoutMS": 50, "deliveryTimeoutMS": 60, "ratingDelayMS": 20})
    first = [order.json(CHARGE, PIZZA), timer(order, "pickup")]
    await order.emits(*first)
    return first


async def picked_up(order: Thread) -> list[Emitted]:
    """Order a pizza, have it picked up, and give what that emits."""
    first = await ordered(order)
    await order.answer("main", {"type": "pickedUp"})
    then = [*first, called_off(order, "pickup"), notified(order, PICKED_UP), timer(order, "delivery")]
    await order.emits(*then)
    return then


def address(stage: str) -> str:
    return f'{KEY}|{{"ref":"main","value":{{"type":"timeout","stage":"{stage}"}}}}'


def timer(order: Thread, stage: str) -> Emitted:
    return order.of(SCHEDULER, STAGES[stage], address(stage))


def called_off(order: Thread, stage: str) -> Emitted:
    return order.of(SCHEDULER, "0", address(stage))


def notified(order: Thread, message: str) -> Emitted:
    return order.of("temporal-food-delivery-push-notification", message)


def status(order: Thread, state: str, **more: str) -> Emitted:
    return order.json("temporal-food-delivery-status", {"productId": 2, "state": state} | more)


async def delivered_at(order: Thread) -> str:
    """When the driver said so, as the history has it."""
    history = await order.env.engine.history(KEY)
    (said,) = [event for event in history if event.value == {"type": "delivered"}]
    return said.at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{said.at.microsecond // 1000:03}Z"


async def test_an_order_is_delivered_and_rated_and_says_at_each_stage_where_it_is(tmp_path: Path) -> None:
    async with thread(workflows) as order:
        await ordered(order)
        await order.answer("main", {"type": "query"})
        await order.answer("main", {"type": "pickedUp"})
        await order.answer("main", {"type": "query"})
        await order.answer("main", {"type": "delivered"})
        await order.answer("main", {"type": "query"})
        await order.fire(address("rating"))

        at = await delivered_at(order)
        await order.emits(
            order.json(CHARGE, PIZZA),
            timer(order, "pickup"),
            status(order, "Paid"),
            called_off(order, "pickup"),
            notified(order, PICKED_UP),
            timer(order, "delivery"),
            status(order, "Picked up"),
            called_off(order, "delivery"),
            notified(order, "✅ Order delivered!"),
            timer(order, "rating"),
            status(order, "Delivered", deliveredAt=at),
            notified(order, "✍️ Rate your meal. How was the pizza?"),
            order.json(RESULT, {"productId": 2, "state": "Delivered", "deliveredAt": at}),
        )
        assert await replays(order.env, food_delivery, KEY, tmp_path) is RunStatus.COMPLETED


async def test_an_order_that_nobody_picks_up_is_refunded(tmp_path: Path) -> None:
    async with thread(workflows) as order:
        first = await ordered(order)
        await order.fire(address("pickup"))

        error = order.json(ERROR, "Not picked up in time")
        await order.emits(*first, order.json(REFUND, PIZZA), notified(order, NO_DRIVER), error)
        assert await replays(order.env, food_delivery, KEY, tmp_path) is RunStatus.FAILED


async def test_an_order_that_is_not_delivered_is_refunded() -> None:
    async with thread(workflows) as order:
        first = await picked_up(order)
        await order.fire(address("delivery"))

        error = order.json(ERROR, "Not delivered in time")
        await order.emits(*first, order.json(REFUND, PIZZA), notified(order, NOT_DELIVERED), error)


@pytest.mark.parametrize(
    "said",
    [
        {"type": "pickedUp"},
        {"type": "timeout", "stage": "pickup"},
        {"type": "timeout", "stage": "rating"},
        {"type": "eaten"},
        "hello",
        None,
    ],
)
async def test_what_belongs_to_another_stage_changes_nothing(said: Anything) -> None:
    async with thread(workflows) as order:
        first = await picked_up(order)
        await order.answer("main", said)
        await order.answer("main", {"type": "query"})

        await order.emits(*first, status(order, "Picked up"))


async def test_what_comes_before_the_order_is_taken_in_its_turn() -> None:
    async with thread(workflows) as order:
        await order.answer("main", {"type": "query"})
        await order.answer("main", {"type": "pickedUp"})
        first = await ordered_late(order)

        await order.emits(*first, notified(order, PICKED_UP), timer(order, "delivery"))


async def ordered_late(order: Thread) -> list[Emitted]:
    await order.new({"productId": 2, "pickupTimeoutMS": 50, "deliveryTimeoutMS": 60})
    return [order.json(CHARGE, PIZZA), timer(order, "pickup"), status(order, "Paid"), called_off(order, "pickup")]


async def test_what_is_not_on_the_menu_is_not_charged() -> None:
    async with thread(workflows) as order:
        await order.new({"productId": 9})

        await order.emits(order.json(ERROR, "Product 9 not found"))


async def test_a_stage_of_no_time_at_all_is_over_at_once() -> None:
    async with thread(workflows) as order:
        await order.new({"productId": 2, "pickupTimeoutMS": 0})

        await order.emits(order.json(CHARGE, PIZZA), order.of(SCHEDULER, "+0", address("pickup")))
