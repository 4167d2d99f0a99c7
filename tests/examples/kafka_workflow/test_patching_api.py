"""An order gets its receipt after an upgrade too, and its customer is charged once."""

import json
from pathlib import Path
from typing import Any

import pytest

from examples.kafka_workflow.patching_api import entry, workflows
from holdfast import Delivery, RunStatus
from tests.examples.kafka_workflow.kit import ERROR, RESULT, RESUME, Emitted, Thread, thread
from tests.examples.kit import replays
from tests.play import Anything

CUSTOMER = "customer-1"
CHARGE = "temporal-patching-api-charge"
RECEIPT = "temporal-patching-api-send-receipt"
COMPLETE = "temporal-patching-api-await-complete"
IDS = {"customerId": CUSTOMER, "chargeId": f"{CUSTOMER}:charge"}
DONE = {"charged": True, "receiptSent": False}
Record = dict[str, Any]


def version(text: str) -> Record:
    return dict(zip(("major", "minor", "patch"), map(int, text.split(".")), strict=True))


def start(of: str) -> Record:
    return {
        "workflow": "temporal-patching-api",
        "version": version(of),
        "kind": "start",
        "bookingId": CUSTOMER,
        "payload": {"customerId": CUSTOMER},
    }


def handed(order: Record, *, source: str = "1.0.0") -> Record:
    payload = {"fromVersion": version(source), "toVersion": version("1.1.0"), "input": order, "booked": []}
    return start("1.0.0") | {"version": version("1.1.0"), "kind": "handoff", "payload": payload}


class Order:
    """An order, and every record that it should have emitted so far."""

    def __init__(self, thread: Thread) -> None:
        self.thread = thread
        self.expected: list[Emitted] = []

    async def asks_for(self, topic: str) -> str:
        """Check that a service has been asked, and nobody else; gives the ref that it answers."""
        ref: str = json.loads((await self.thread.only(topic)).value)["ref"]
        self.expects(topic, {**IDS, "ref": ref})
        await self.emits()
        return ref

    async def is_charged(self) -> None:
        await self.thread.answer(await self.asks_for(CHARGE), {"ok": True})

    async def waits_on_1_0(self) -> None:
        self.expects(COMPLETE, {"ref": "complete"})
        self.expects("versioning-await-upgrade", {"ref": "versioning-upgrade", "currentVersion": version("1.0.0")})
        await self.emits()

    async def is_told_to_upgrade(self, target: str) -> None:
        targets = [{"bookingId": CUSTOMER, "ref": "versioning-upgrade"}]
        command = {"workflow": "temporal-patching-api", "targetVersion": version(target), "targets": targets}
        envelope = {"workflow": "versioning-upgrade-manager", "command": command}
        await self.thread.send(f"new:{json.dumps(envelope)}", key="upgrade-1")
        told = {"targetVersion": version(target)}
        ref = {"ref": "versioning-upgrade"}
        self.expects("versioning-upgrade-dispatch", {"bookingId": CUSTOMER, **ref, **told})
        self.expects(RESUME, {**ref, "value": told})
        self.expects(RESULT, {**told, "dispatched": [CUSTOMER], "skipped": []}, "upgrade-1")

    async def sends_a_receipt_and_completes(self) -> None:
        await self.thread.answer(await self.asks_for(RECEIPT), {"ok": True})
        self.expects(COMPLETE, {"ref": "complete"})
        await self.emits()
        await self.is_complete("1.1.0", receipt=True)

    async def is_complete(self, by: str, *, receipt: bool) -> None:
        await self.thread.answer("complete", {"done": True})
        self.expects(RESULT, {"version": version(by), **IDS, "receiptSent": receipt})
        await self.emits()

    def expects(self, topic: str, value: Anything, key: str = CUSTOMER) -> None:
        self.expected.append(self.thread.json(topic, value, key))

    async def emits(self) -> None:
        await self.thread.emits(*self.expected)


async def test_a_minor_upgrade_adds_the_receipt_and_charges_once(tmp_path: Path) -> None:
    async with thread(workflows, key=CUSTOMER) as records:
        order = Order(records)
        await records.new(start("1.0.0"))
        await order.is_charged()
        await order.waits_on_1_0()

        await order.is_told_to_upgrade("1.1.0")
        order.expects("versioning-handoff", handed(IDS | DONE))
        versions = {"fromVersion": version("1.0.0"), "toVersion": version("1.1.0")}
        order.expects(RESULT, {"status": "upgraded", **versions, "charged": True})
        await order.emits()
        assert await replays(records.env, entry, CUSTOMER, tmp_path) is RunStatus.COMPLETED

        await records.new(json.loads((await records.only("versioning-handoff")).value))
        await order.sends_a_receipt_and_completes()
        assert await replays(records.env, entry, CUSTOMER, tmp_path) is RunStatus.COMPLETED


async def test_a_patch_runs_the_newest_code() -> None:
    async with thread(workflows, key=CUSTOMER) as records:
        order = Order(records)
        await records.new(start("1.1.7"))
        await order.is_charged()

        await order.sends_a_receipt_and_completes()


async def test_version_1_0_completes_without_a_receipt() -> None:
    async with thread(workflows, key=CUSTOMER) as records:
        order = Order(records)
        await records.new(start("1.0.0"))
        await order.is_charged()
        await order.waits_on_1_0()

        await order.is_complete("1.0.0", receipt=False)
        assert await records.answer("versioning-upgrade", {"targetVersion": version("1.1.0")}) is Delivery.DEAD


async def test_an_upgrade_that_comes_before_the_charge_waits_for_it() -> None:
    async with thread(workflows, key=CUSTOMER) as records:
        order = Order(records)
        await records.new(start("1.0.0"))
        ref = await order.asks_for(CHARGE)

        await order.is_told_to_upgrade("1.1.0")
        await order.emits()

        await records.answer(ref)
        order.expects(COMPLETE, {"ref": "complete"})
        order.expects("versioning-await-upgrade", {"ref": "versioning-upgrade", "currentVersion": version("1.0.0")})
        order.expects("versioning-handoff", handed(IDS | DONE))
        versions = {"fromVersion": version("1.0.0"), "toVersion": version("1.1.0")}
        order.expects(RESULT, {"status": "upgraded", **versions, "charged": True})
        await order.emits()


async def test_what_has_been_done_before_a_handoff_is_not_done_again() -> None:
    async with thread(workflows, key=CUSTOMER) as records:
        order = Order(records)
        await records.new(handed(IDS | {"charged": True, "receiptSent": True}))
        order.expects(COMPLETE, {"ref": "complete"})
        await order.emits()

        await order.is_complete("1.1.0", receipt=True)


async def test_an_upgrade_that_is_none_ends_the_order() -> None:
    async with thread(workflows, key=CUSTOMER) as records:
        order = Order(records)
        await records.new(start("1.0.0"))
        await order.is_charged()
        await order.waits_on_1_0()

        await order.is_told_to_upgrade("1.0.3")

        order.expects(ERROR, "target 1.0.3 does not require a minor upgrade")
        await order.emits()


async def test_what_the_service_answers_with_an_error_ends_the_order() -> None:
    async with thread(workflows, key=CUSTOMER) as records:
        order = Order(records)
        await records.new(start("1.1.0"))

        await records.reject(await order.asks_for(CHARGE), "the card is blocked")

        order.expects(ERROR, "the card is blocked")
        await order.emits()


@pytest.mark.parametrize(
    ("envelope", "error"),
    [
        (start("1.0.0") | {"workflow": "another"}, "unsupported workflow another"),
        (start("2.0.0"), "unsupported major version 2.0.0"),
        (handed(IDS, source="2.0.0"), "cannot reuse 2.0.0 in 1.1.0"),
    ],
)
async def test_what_no_version_takes_is_an_error(envelope: Record, error: str) -> None:
    async with thread(workflows, key=CUSTOMER) as records:
        await records.new(envelope)

        await records.emits(records.json(ERROR, error))
