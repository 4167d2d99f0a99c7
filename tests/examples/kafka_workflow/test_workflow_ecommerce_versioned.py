"""A cart is upgraded with all that is in it, and each version reminds in its own way; no other record comes out."""

import json
from pathlib import Path
from typing import Any

import pytest

from examples.kafka_workflow.workflow_ecommerce_versioned import entry, workflows
from holdfast import Delivery, RunStatus
from tests.examples.kafka_workflow.kit import ERROR, RESULT, RESUME, SCHEDULER, Emitted, Thread, thread
from tests.examples.kit import replays
from tests.play import Anything

CART = "cart-1"
TIMER = f'{CART}|{{"ref":"main","value":{{"type":"timeout"}}}}'
TEAPOTS = {"productId": "teapot", "quantity": 2}
MAIL = "cart@example.com"
Record = dict[str, Any]


def version(text: str) -> Record:
    return dict(zip(("major", "minor", "patch"), map(int, text.split(".")), strict=True))


def start(of: str) -> Record:
    return {
        "workflow": "ecommerce-versioned",
        "version": version(of),
        "kind": "start",
        "bookingId": CART,
        "payload": {"abandonedCartTimeoutMS": 50},
    }


def state(*items: Record, stage: int = 0, email: str = MAIL, **more: str) -> Record:
    config = {"abandonedCartTimeoutMS": 50}
    return {"config": config, "items": list(items), "email": email, "reminderStage": stage, **more}


def handed(left: Record, *, source: str = "1.0.0", target: str = "1.1.0") -> Record:
    payload = {"fromVersion": version(source), "toVersion": version(target), "input": left, "booked": []}
    return start("1.0.0") | {"version": version(target), "kind": "handoff", "payload": payload}


class Cart:
    """A cart, and every record that it should have emitted so far."""

    def __init__(self, thread: Thread) -> None:
        self.thread = thread
        self.expected: list[Emitted] = []

    async def begins(self, envelope: Record) -> None:
        await self.thread.new(envelope)
        if envelope["kind"] == "start" and (envelope["version"]["major"], envelope["version"]["minor"]) == (1, 0):
            self.expects("versioning-await-upgrade", {"ref": "main", "currentVersion": version("1.0.0")})
        self.waits()
        await self.emits()

    async def is_told(self, kind: str, **more: Anything) -> None:
        """Send a command that does not end the cart."""
        await self.thread.answer("main", {"type": kind, **more})
        self.called_off()
        self.waits()

    async def is_filled(self) -> None:
        await self.is_told("addToCart", item=TEAPOTS)
        await self.is_told("updateEmail", email=MAIL)
        await self.emits()

    async def is_left_alone(self) -> None:
        await self.thread.fire(TIMER)

    async def is_checked_out(self, result: Record) -> None:
        await self.thread.answer("main", {"type": "checkout"})
        self.called_off()
        self.expects(RESULT, result)
        await self.emits()

    async def is_upgraded(self, target: str) -> None:
        targets = [{"bookingId": CART, "ref": "main"}]
        command = {"workflow": "ecommerce-versioned", "targetVersion": version(target), "targets": targets}
        envelope = {"workflow": "versioning-upgrade-manager", "command": command}
        await self.thread.send(f"new:{json.dumps(envelope)}", key="cart-upgrade")
        told = {"targetVersion": version(target)}
        self.expects("versioning-upgrade-dispatch", {"bookingId": CART, "ref": "main", **told})
        self.expects(RESUME, {"ref": "main", "value": told})
        self.expects(RESULT, {**told, "dispatched": [CART], "skipped": []}, "cart-upgrade")
        self.called_off()

    def expects_handoff(self, left: Record) -> None:
        self.expects("versioning-handoff", handed(left))
        versions = {"fromVersion": version("1.0.0"), "toVersion": version("1.1.0")}
        kept = {name: left[name] for name in ("items", "email", "reminderStage")}
        self.expects(RESULT, {"status": "upgraded", **versions, **kept})

    def waits(self) -> None:
        self.says(SCHEDULER, "50", TIMER)

    def called_off(self) -> None:
        self.says(SCHEDULER, "0", TIMER)

    def says(self, topic: str, value: str, key: str = CART) -> None:
        self.expected.append(self.thread.of(topic, value, key))

    def expects(self, topic: str, value: Anything, key: str = CART) -> None:
        self.expected.append(self.thread.json(topic, value, key))

    async def emits(self) -> None:
        await self.thread.emits(*self.expected)


async def test_a_minor_upgrade_goes_on_with_the_cart_and_adds_a_discount_reminder(tmp_path: Path) -> None:
    async with thread(workflows, key=CART) as records:
        cart = Cart(records)
        await cart.begins(start("1.0.0"))
        await cart.is_filled()
        await cart.is_left_alone()
        cart.says("ecommerce-reminder", MAIL)
        cart.waits()
        await cart.emits()

        await cart.is_upgraded("1.1.0")
        cart.expects_handoff(state(TEAPOTS, stage=1))
        await cart.emits()
        assert await replays(records.env, entry, CART, tmp_path) is RunStatus.COMPLETED

        await cart.begins(json.loads((await records.only("versioning-handoff")).value))
        await cart.is_left_alone()
        cart.expects("ecommerce-discount-reminder", {"email": MAIL, "code": "SAVE10"})
        cart.waits()
        await cart.emits()

        bought = {"version": version("1.1.0"), "email": MAIL, "items": [TEAPOTS]}
        await cart.is_checked_out({**bought, "discountCode": "SAVE10"})
        assert await replays(records.env, entry, CART, tmp_path) is RunStatus.COMPLETED


async def test_a_patch_needs_no_upgrade() -> None:
    async with thread(workflows, key=CART) as records:
        cart = Cart(records)
        await cart.begins(start("1.1.9"))
        await cart.is_filled()

        await cart.is_checked_out({"version": version("1.1.0"), "email": MAIL, "items": [TEAPOTS]})


async def test_major_2_starts_fresh(tmp_path: Path) -> None:
    async with thread(workflows, key=CART) as records:
        cart = Cart(records)
        await cart.begins(start("2.0.0"))
        await cart.is_filled()

        await cart.is_left_alone()
        cart.expects("ecommerce-v2-reminder", {"email": MAIL, "channel": "sms"})
        cart.waits()
        await cart.is_told("getCart")
        shown = {"config": {"abandonedCartTimeoutMS": 50}, "items": [TEAPOTS], "email": MAIL}
        cart.expects("getCart", {**shown, "reminderSent": True})
        await cart.emits()

        await cart.is_checked_out({"version": version("2.0.0"), "email": MAIL, "items": [TEAPOTS], "channel": "v2"})
        assert await replays(records.env, entry, CART, tmp_path) is RunStatus.COMPLETED


@pytest.mark.parametrize(
    ("of", "reminders"),
    [
        ("1.0.0", [("ecommerce-reminder", MAIL)]),
        (
            "1.1.0",
            [
                ("ecommerce-reminder", MAIL),
                ("ecommerce-discount-reminder", '{"email":"cart@example.com","code":"SAVE10"}'),
            ],
        ),
        ("2.0.0", [("ecommerce-v2-reminder", '{"email":"cart@example.com","channel":"sms"}')]),
    ],
)
async def test_a_cart_is_abandoned_after_its_last_reminder(of: str, reminders: list[tuple[str, str]]) -> None:
    async with thread(workflows, key=CART) as records:
        cart = Cart(records)
        await cart.begins(start(of))
        await cart.is_filled()

        for topic, text in reminders:
            await cart.is_left_alone()
            cart.says(topic, text)
            cart.waits()
            await cart.emits()
        await cart.is_left_alone()

        cart.expects(RESULT, "abondoned")
        await cart.emits()


@pytest.mark.parametrize("of", ["1.0.0", "1.1.0", "2.0.0"])
async def test_a_cart_without_an_address_is_abandoned_at_once(of: str) -> None:
    async with thread(workflows, key=CART) as records:
        cart = Cart(records)
        await cart.begins(start(of))

        await cart.is_left_alone()

        cart.expects(RESULT, "abondoned")
        await cart.emits()


@pytest.mark.parametrize("of", ["1.0.0", "1.1.0", "2.0.0"])
async def test_an_empty_cart_cannot_be_checked_out(of: str) -> None:
    async with thread(workflows, key=CART) as records:
        cart = Cart(records)
        await cart.begins(start(of))

        await cart.is_told("addToCart", item=TEAPOTS)
        await cart.is_told("checkout")
        cart.says("checkoutError", "Must have email to check out!")
        await cart.is_told("updateEmail", email=MAIL)
        await cart.is_told("removeFromCart", item={"productId": "teapot", "quantity": 3})
        await cart.is_told("removeFromCart", item=TEAPOTS)
        await cart.is_told("checkout")
        cart.says("checkoutError", "Must have items to check out!")
        await cart.emits()


async def test_pieces_are_added_up_and_taken_out() -> None:
    async with thread(workflows, key=CART) as records:
        cart = Cart(records)
        await cart.begins(start("1.0.0"))
        await cart.is_filled()

        await cart.is_told("addToCart", item={"productId": "sugar", "quantity": 1})
        await cart.is_told("addToCart", item=TEAPOTS)
        await cart.is_told("removeFromCart", item={"productId": "teapot", "quantity": 1})
        await cart.is_told("getCart")
        cart.expects("getCart", state({"productId": "teapot", "quantity": 3}, {"productId": "sugar", "quantity": 1}))
        await cart.is_told("dance")
        await cart.is_told("addToCart")

        await cart.emits()


async def test_an_upgrade_that_is_none_ends_the_cart() -> None:
    async with thread(workflows, key=CART) as records:
        cart = Cart(records)
        await cart.begins(start("1.0.0"))

        await cart.is_upgraded("2.0.0")

        cart.expects(ERROR, "cannot reuse 1.0.0 for 2.0.0")
        await cart.emits()


async def test_a_cart_of_1_1_cannot_be_upgraded() -> None:
    async with thread(workflows, key=CART) as records:
        cart = Cart(records)
        await cart.begins(start("1.1.0"))

        await cart.is_upgraded("1.2.0")

        cart.waits()
        await cart.emits()


async def test_what_comes_before_the_cart_has_begun_is_done_once_it_has() -> None:
    async with thread(workflows, key=CART) as records:
        cart = Cart(records)
        assert await records.answer("main", {"type": "addToCart", "item": TEAPOTS}) is Delivery.HELD
        assert await records.answer("main", {"type": "updateEmail", "email": MAIL}) is Delivery.HELD

        await records.new(start("1.1.0"))

        for _ in range(2):
            cart.waits()
            cart.called_off()
        cart.waits()
        await cart.is_checked_out({"version": version("1.1.0"), "email": MAIL, "items": [TEAPOTS]})


@pytest.mark.parametrize(
    ("envelope", "error"),
    [
        (start("1.0.0") | {"workflow": "another"}, "unsupported workflow another"),
        (start("3.0.0"), "unsupported major version 3.0.0"),
        (handed(state(), target="2.0.0"), "major 2 does not reuse major 1 handoffs"),
        (handed(state(), source="2.0.0"), "cannot reuse 2.0.0 in 1.1.0"),
    ],
)
async def test_what_no_version_takes_is_an_error(envelope: Record, error: str) -> None:
    async with thread(workflows, key=CART) as records:
        await records.new(envelope)

        await records.emits(records.json(ERROR, error))
