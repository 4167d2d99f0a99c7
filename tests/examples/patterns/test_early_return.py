"""Everybody who asks gets the first answer, once, whenever they ask while the run goes on."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from examples.patterns.early_return import ANSWERS, activities, transfer_money, workflows
from holdfast import Delivery, NonRetryableError, RunStatus
from holdfast.testing import TestEnvironment
from tests.examples.kafka_workflow.kit import ERROR, RESULT, Emitted, Thread
from tests.examples.kit import replays
from tests.play import Anything

TRANSFER = {"source": "ann", "target": "bob", "cents": 500}
NUMBER = "ann-bob-500"


@asynccontextmanager
async def transfers(**stubs: Anything) -> AsyncIterator[Thread]:
    env = TestEnvironment(workflows=workflows, activities=activities, resume_entry="transfer_money")
    for name, replacement in stubs.items():
        env.stub(name, replacement)
    async with env:
        yield Thread(env, "transfer-1")


async def asks(transfer: Thread, reply: str) -> Delivery:
    return await transfer.answer("first-answer", {"reply": reply})


def told(transfer: Thread, reply: str, **answer: str) -> Emitted:
    return transfer.json(ANSWERS, {"reply": reply, **answer}, reply)


async def test_the_answer_comes_before_the_run_has_ended(tmp_path: Path) -> None:
    async with settling() as transfer:
        await transfer.new(TRANSFER)
        await transfer.emits()

        await asks(transfer, "r-1")
        await asks(transfer, "r-2")
        first = [told(transfer, "r-1", value=NUMBER), told(transfer, "r-2", value=NUMBER)]
        await transfer.emits(*first)

        await transfer.env.skip(60)
        await transfer.emits(*first, transfer.json(RESULT, NUMBER))
        assert await replays(transfer.env, transfer_money, "transfer-1", tmp_path) is RunStatus.COMPLETED
        assert await asks(transfer, "r-3") is Delivery.DEAD


@asynccontextmanager
async def settling() -> AsyncIterator[Thread]:
    """Let the first attempt to settle fail, so that the run waits for the next."""
    tried = []

    def settle(number: str) -> None:
        tried.append(number)
        if len(tried) == 1:
            raise ConnectionError("the bank is closed")

    async with transfers(settle=settle) as transfer:
        yield transfer


async def test_who_starts_the_run_asks_with_its_input() -> None:
    async with transfers() as transfer:
        await transfer.new(TRANSFER | {"asked_by": ["r-1"]})

        await transfer.emits(told(transfer, "r-1", value=NUMBER), transfer.json(RESULT, NUMBER))


async def test_who_asks_for_what_will_not_do_is_told_why() -> None:
    async with transfers(reserve=NonRetryableError("ann has no money")) as transfer:
        await transfer.new(TRANSFER | {"asked_by": ["r-1", "r-2"]})

        why = "activity 'reserve' failed: ann has no money"
        asked = [told(transfer, reply, error=why) for reply in ("r-1", "r-2")]
        await transfer.emits(*asked, transfer.json(ERROR, why))


async def test_who_asks_before_there_is_an_answer_waits_for_it() -> None:
    open_for_business = asyncio.Event()

    async def reserve(_transfer: Anything) -> str:
        await open_for_business.wait()
        return NUMBER

    async with transfers(reserve=reserve) as transfer:
        record = f"new:{json.dumps(TRANSFER)}".encode()
        await transfer.env.engine.deliver("workflow-resume", transfer.key, record, id="start")
        asked = json.dumps({"ref": "first-answer", "value": {"reply": "r-1"}}).encode()
        assert await transfer.env.engine.deliver("workflow-resume", transfer.key, asked, id="ask") is Delivery.APPLIED
        open_for_business.set()

        await transfer.emits(told(transfer, "r-1", value=NUMBER), transfer.json(RESULT, NUMBER))
