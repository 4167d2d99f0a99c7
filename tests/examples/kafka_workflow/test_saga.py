"""An account is opened in four steps, or what was done of them is undone in the reverse order."""

import json
from pathlib import Path

import pytest

from examples.kafka_workflow.saga import open_account, workflows
from holdfast import Delivery, RunStatus
from tests.examples.kafka_workflow.kit import ERROR, KEY, RESULT, Emitted, Thread, thread
from tests.examples.kit import replays
from tests.play import Anything

ACCOUNT: dict[str, Anything] = {
    "accountId": "acct-1",
    "bankId": "bank-1",
    "clientEmail": "bart@simpson.io",
    "address": {"address1": "123 Temporal Street", "postalCode": "98006"},
    "bankDetails": {
        "accountNumber": "1234567",
        "accountType": "checking",
        "personalOwner": {"firstName": "Bart", "lastName": "Simpson"},
        "routingNumber": "7654321",
    },
}
STEPS: dict[str, dict[str, Anything]] = {
    "create-account": {},
    "add-address": {"address": ACCOUNT["address"]},
    "add-client": {"clientEmail": ACCOUNT["clientEmail"]},
    "add-bank-account": {"details": ACCOUNT["bankDetails"]},
}
COMPENSATING = "failures encountered during account opening - compensating"


class Opening:
    """The opening of an account, and what it should have emitted so far."""

    def __init__(self, thread: Thread, success: Anything = None) -> None:
        self.thread = thread
        self.success = success  # what a service answers when it has done its part
        self.expected: list[Emitted] = []

    async def asked(self, service: str, **details: Anything) -> str:
        """Check that a service is asked, and nothing else: the ref that it answers."""
        topic = f"temporal-saga-{service}"
        ref: str = json.loads((await self.thread.only(topic)).value)["ref"]
        assert f":{topic}:" in ref
        self.expects(self.thread.json(topic, {"accountId": "acct-1"} | details | {"ref": ref}))
        await self.thread.emits(*self.expected)
        return ref

    async def done(self, service: str, **details: Anything) -> None:
        await self.thread.answer(await self.asked(service, **details), self.success)

    async def begun(self, steps: int) -> None:
        """Start, and let the first steps succeed."""
        await self.thread.new(ACCOUNT)
        for service, details in list(STEPS.items())[:steps]:
            await self.done(service, **details)

    async def fails(self, service: str, error: str, *, answers: bool = True) -> None:
        """Let a step fail: by an answer that says so, or without one."""
        ref = await self.asked(service, **STEPS[service])
        await (self.thread.answer(ref, {"error": error}) if answers else self.thread.reject(ref, error))

    def logs(self, *messages: str) -> None:
        self.expects(*(self.thread.json("temporal-saga-log", {"message": message}) for message in messages))

    def expects(self, *records: Emitted) -> None:
        self.expected += records

    async def ends(self, record: Emitted) -> None:
        self.expects(record)
        await self.thread.emits(*self.expected)


@pytest.mark.parametrize("success", [{"ok": True}, {"ok": True, "error": ""}, {}, None])
async def test_an_account_is_opened_step_by_step(success: Anything, tmp_path: Path) -> None:
    async with thread(workflows) as account:
        opening = Opening(account, success)
        await opening.begun(4)

        await opening.ends(account.json(RESULT, None))
        assert await replays(account.env, open_account, KEY, tmp_path) is RunStatus.COMPLETED


@pytest.mark.parametrize("answers", [True, False])
async def test_what_is_done_is_undone_in_reverse_order(tmp_path: Path, *, answers: bool) -> None:
    async with thread(workflows) as account:
        opening = Opening(account)
        await opening.begun(3)
        await opening.fails("add-bank-account", "add bank account failed:", answers=answers)

        opening.logs("add bank account failed:", COMPENSATING, "reversing add client")
        await opening.done("remove-client")
        opening.logs("reversing add address")
        await opening.done("clear-postal-addresses")

        await opening.ends(account.json(ERROR, "add bank account failed:"))
        assert await replays(account.env, open_account, KEY, tmp_path) is RunStatus.FAILED


@pytest.mark.parametrize("answers", [True, False])
async def test_a_compensation_that_fails_is_logged_and_the_others_follow(*, answers: bool) -> None:
    async with thread(workflows) as account:
        opening = Opening(account)
        await opening.begun(3)
        await opening.fails("add-bank-account", "bank is closed")

        opening.logs("bank is closed", COMPENSATING, "reversing add client")
        ref = await opening.asked("remove-client")
        await (account.answer(ref, {"error": "no such client"}) if answers else account.reject(ref, "no such client"))
        opening.logs("failed to compensate: no such client", "reversing add address")
        await opening.done("clear-postal-addresses")

        await opening.ends(account.json(ERROR, "bank is closed"))


async def test_where_nothing_is_done_nothing_is_undone() -> None:
    async with thread(workflows) as account:
        opening = Opening(account)
        await opening.begun(1)
        await opening.fails("add-address", "no such street")

        opening.logs("no such street")
        await opening.ends(account.json(ERROR, "no such street"))


async def test_an_account_that_cannot_be_created_fails_without_a_log() -> None:
    async with thread(workflows) as account:
        opening = Opening(account)
        await opening.begun(0)
        await opening.fails("create-account", "id is taken")

        await opening.ends(account.json(ERROR, "id is taken"))


async def test_a_cancellation_undoes_what_is_done_and_what_may_be() -> None:
    async with thread(workflows) as account:
        opening = Opening(account)
        await opening.begun(2)
        ref = await opening.asked("add-client", **STEPS["add-client"])

        await account.env.engine.cancel(KEY, reason="changed my mind")
        assert await account.answer(ref, {"ok": True}) is Delivery.DROPPED

        opening.logs("changed my mind", COMPENSATING, "reversing add client")
        await opening.done("remove-client")
        opening.logs("reversing add address")
        await opening.done("clear-postal-addresses")
        await opening.ends(account.json(ERROR, "changed my mind"))
