"""A cart is checked out, or reminded of and abandoned; each command moves its timer, and none is lost."""

import json
from pathlib import Path

import pytest

from examples.kafka_workflow.workflow_ecommerce import workflows
from holdfast import Delivery, RunStatus
from tests.examples.kafka_workflow.kit import KEY, RESULT, SCHEDULER, Emitted, Thread, thread
from tests.examples.kit import replays
from tests.play import Anything

ANN, BOB = "someone@example.com", "someone.else@example.com"
NO_ITEMS = "Must have items to check out!"


def timer(cart: Thread) -> str:
    return f'{cart.key}|{{"ref":"main","value":{{"type":"timeout"}}}}'


def times(cart: Thread, *delays: str) -> list[Emitted]:
    """Describe what the scheduler is sent."""
    return [cart.of(SCHEDULER, delay, timer(cart)) for delay in delays]


async def begun(cart: Thread) -> None:
    await cart.new({"abandonedCartTimeoutMS": 50})
    await cart.emits(*times(cart, "50"))


async def tell(cart: Thread, type: str, **more: Anything) -> Delivery:
    return await cart.answer("main", {"type": type, **more})


async def add(cart: Thread, product: str, quantity: int) -> Delivery:
    return await tell(cart, "addToCart", item={"quantity": quantity, "productId": product})


async def remove(cart: Thread, product: str, quantity: int) -> Delivery:
    return await tell(cart, "removeFromCart", item={"quantity": quantity, "productId": product})


def contents(email: str, **items: int) -> Anything:
    return {"items": [{"productId": name, "quantity": count} for name, count in items.items()], "email": email}


async def test_a_cart_is_filled_and_checked_out(tmp_path: Path) -> None:
    async with thread(workflows) as cart:
        await begun(cart)

        await tell(cart, "checkout")
        await tell(cart, "updateEmail", email=ANN)
        await tell(cart, "checkout")
        await add(cart, "teapot", 10)
        await add(cart, "sigar", 11)
        await add(cart, "teapot", 20)
        await tell(cart, "updateEmail", email=BOB)
        await remove(cart, "sigar", 11)
        await add(cart, "sugar", 2)
        await tell(cart, "checkout")

        moved = [*times(cart, "50"), *times(cart, "0", "50") * 9, *times(cart, "0")]
        assert [each for each in await cart.emitted() if each.topic == SCHEDULER] == moved
        refused = [cart.of("checkoutError", NO_ITEMS)] * 2
        await cart.emits(*moved, *refused, cart.json(RESULT, contents(BOB, teapot=30, sugar=2)))
        assert await replays(cart.env, workflows[0], KEY, tmp_path) is RunStatus.COMPLETED


async def test_an_idle_owner_is_reminded_and_may_still_check_out() -> None:
    async with thread(workflows) as cart:
        await begun(cart)
        await tell(cart, "updateEmail", email=ANN)

        await cart.fire(timer(cart))
        before = [*times(cart, "50", "0", "50", "50"), cart.of("ecommerce-reminder", ANN)]
        await cart.emits(*before)
        await add(cart, "sugar", 2)
        await tell(cart, "checkout")

        await cart.emits(*before, *times(cart, "0", "50", "0"), cart.json(RESULT, contents(ANN, sugar=2)))


async def test_a_cart_is_abandoned_when_its_time_is_over_twice(tmp_path: Path) -> None:
    async with thread(workflows) as cart:
        await begun(cart)
        await tell(cart, "updateEmail", email=ANN)

        await cart.fire(timer(cart))
        await cart.fire(timer(cart))

        reminder = cart.of("ecommerce-reminder", ANN)
        await cart.emits(*times(cart, "50", "0", "50", "50"), reminder, cart.json(RESULT, "abondoned"))
        assert await replays(cart.env, workflows[0], KEY, tmp_path) is RunStatus.COMPLETED


async def test_a_cart_of_nobody_knows_whom_is_abandoned_at_once() -> None:
    async with thread(workflows) as cart:
        await begun(cart)
        await add(cart, "sugar", 2)

        await cart.fire(timer(cart))

        await cart.emits(*times(cart, "50", "0", "50"), cart.json(RESULT, "abondoned"))


async def test_whoever_comes_back_is_reminded_again() -> None:
    async with thread(workflows) as cart:
        await begun(cart)
        await tell(cart, "updateEmail", email=ANN)

        await cart.fire(timer(cart))
        await tell(cart, "getCart")
        await cart.fire(timer(cart))

        reminders = [cart.of("ecommerce-reminder", ANN)] * 2
        shown = cart.json("getCart", contents(ANN))
        await cart.emits(*times(cart, "50", "0", "50", "50", "0", "50", "50"), *reminders, shown)


async def test_the_cart_is_shown_to_whoever_asks() -> None:
    async with thread(workflows) as cart:
        await begun(cart)
        await add(cart, "sugar", 2)
        await tell(cart, "updateEmail", email=ANN)

        await tell(cart, "getCart")

        await cart.emits(*times(cart, "50", *["0", "50"] * 3), cart.json("getCart", contents(ANN, sugar=2)))


async def test_taking_out_what_is_not_there_changes_nothing() -> None:
    async with thread(workflows) as cart:
        await begun(cart)
        await add(cart, "sugar", 2)

        await remove(cart, "sugar", 1)
        await remove(cart, "salt", 1)
        await tell(cart, "getCart")

        await cart.emits(*times(cart, "50", *["0", "50"] * 4), cart.json("getCart", contents("", sugar=1)))


@pytest.mark.parametrize(
    "odd", [{"type": "sing"}, {"type": "addToCart"}, {"type": "addToCart", "item": {"quantity": "2"}}, "checkout", None]
)
async def test_what_is_no_command_only_shows_that_somebody_is_there(odd: Anything) -> None:
    async with thread(workflows) as cart:
        await begun(cart)

        await cart.answer("main", odd)

        await cart.emits(*times(cart, "50", "0", "50"))


async def test_what_comes_before_the_cart_is_kept_in_its_order() -> None:
    async with thread(workflows) as cart:
        assert await tell(cart, "updateEmail", email=ANN) is Delivery.HELD
        assert await add(cart, "sugar", 2) is Delivery.HELD
        assert await tell(cart, "getCart") is Delivery.HELD

        await cart.new({"abandonedCartTimeoutMS": 50})

        shown = cart.json("getCart", contents(ANN, sugar=2))
        await cart.emits(*times(cart, "50", *["0", "50"] * 3), shown)


async def test_a_command_that_comes_after_the_checkout_emits_nothing() -> None:
    async with thread(workflows) as cart:
        await begun(cart)
        await add(cart, "sugar", 2)
        await tell(cart, "checkout")
        before = await cart.emitted()

        assert await add(cart, "salt", 1) is Delivery.DEAD
        await cart.fire(timer(cart))

        assert await cart.emitted() == before


async def test_two_carts_know_nothing_of_each_other() -> None:
    async with thread(workflows) as one:
        other = Thread(one.env, "thread-2")
        await one.new({"abandonedCartTimeoutMS": 50})
        await other.new({})
        await add(one, "tea", 1)
        await add(other, "milk", 2)
        await tell(other, "checkout")
        await tell(one, "checkout")

        ends = [one.json(RESULT, contents("", tea=1)), other.json(RESULT, contents("", milk=2))]
        await one.emits(*times(one, "50", "0", "50", "0"), *times(other, "10000", "0", "10000", "0"), *ends)


async def test_a_command_that_is_delivered_again_counts_once() -> None:
    async with thread(workflows) as cart:
        await begun(cart)
        value = {"type": "addToCart", "item": {"quantity": 1, "productId": "tea"}}
        record = json.dumps({"ref": "main", "value": value}).encode()

        for _ in range(2):
            await cart.env.engine.deliver("workflow-resume", KEY, record, id="message 7")
        await tell(cart, "getCart")

        await cart.emits(*times(cart, "50", *["0", "50"] * 2), cart.json("getCart", contents("", tea=1)))
