"""Either the operation completes or it is cancelled, and its service is told of exactly the latter."""

import json
from pathlib import Path

import pytest

from examples.kafka_workflow.nexus_cancellation import nexus_cancellation, workflows
from holdfast import Delivery, RunStatus
from tests.examples.kafka_workflow.kit import ERROR, KEY, RESULT, Emitted, Thread, thread
from tests.examples.kit import replays
from tests.play import Anything

START = "temporal-nexus-cancel-start-operation"
NUMBER = "Ada:fr:hello"


async def called(caller: Thread) -> tuple[str, list[Emitted]]:
    """Start a caller: the ref of its operation, and what it emits first."""
    await caller.new({"name": "Ada", "language": "fr"})
    ref: str = json.loads((await caller.only(START)).value)["ref"]
    assert ":operation:" in ref
    first = [
        caller.json(START, {"operationId": NUMBER, "ref": ref, "name": "Ada", "language": "fr"}),
        caller.json("temporal-nexus-cancel-await-cancel", {"ref": "cancel"}),
    ]
    await caller.emits(*first)
    return ref, first


def taken_back(caller: Thread, ref: str) -> Emitted:
    return caller.json("temporal-nexus-cancel-cancel-operation", {"operationId": NUMBER, "ref": ref})


@pytest.mark.parametrize(
    ("signal", "reason"),
    [({"reason": "operator requested"}, "operator requested"), ({}, "cancel requested"), (None, "cancel requested")],
)
async def test_a_cancelled_operation_is_taken_back(signal: Anything, reason: str, tmp_path: Path) -> None:
    async with thread(workflows) as caller:
        ref, first = await called(caller)

        await caller.answer("cancel", signal)
        late = await caller.answer(ref, {"message": "Bonjour, Ada!"})

        assert late is Delivery.DEAD
        outcome = caller.json(RESULT, {"status": "cancelled", "reason": reason})
        await caller.emits(*first, taken_back(caller, ref), outcome)
        assert await replays(caller.env, nexus_cancellation, KEY, tmp_path) is RunStatus.COMPLETED


async def test_an_operation_that_completes_first_is_not_taken_back(tmp_path: Path) -> None:
    async with thread(workflows) as caller:
        ref, first = await called(caller)

        await caller.answer(ref, {"message": "Bonjour, Ada!"})
        late = await caller.answer("cancel", {"reason": "too late"})

        assert late is Delivery.DEAD
        await caller.emits(*first, caller.json(RESULT, "Bonjour, Ada!"))
        assert await replays(caller.env, nexus_cancellation, KEY, tmp_path) is RunStatus.COMPLETED


async def test_the_error_of_an_operation_is_that_of_its_caller() -> None:
    async with thread(workflows) as caller:
        ref, first = await called(caller)

        await caller.reject(ref, {"code": "unavailable"})

        await caller.emits(*first, caller.json(ERROR, {"code": "unavailable"}))


async def test_a_caller_that_is_cancelled_from_outside_takes_its_operation_back() -> None:
    async with thread(workflows) as caller:
        ref, first = await called(caller)

        await caller.env.engine.cancel(KEY, reason="shutdown")

        run = await caller.env.engine.describe(KEY)
        assert run.status is RunStatus.CANCELED
        await caller.emits(*first, taken_back(caller, ref), caller.json(ERROR, "shutdown"))


async def test_a_cancellation_that_comes_before_the_caller_takes_the_operation_back_at_once() -> None:
    async with thread(workflows) as caller:
        await caller.answer("cancel", {"reason": "never mind"})
        await caller.new({"name": "Ada", "language": "fr"})

        ref = json.loads((await caller.only(START)).value)["ref"]
        await caller.emits(
            caller.json(START, {"operationId": NUMBER, "ref": ref, "name": "Ada", "language": "fr"}),
            caller.json("temporal-nexus-cancel-await-cancel", {"ref": "cancel"}),
            taken_back(caller, ref),
            caller.json(RESULT, {"status": "cancelled", "reason": "never mind"}),
        )


async def test_a_service_is_plain_code() -> None:
    async with thread(workflows) as service:
        await service.new({"kind": "service", "name": "Ada", "language": "tr"})

        await service.emits(service.json(RESULT, {"message": "Merhaba, Ada!"}))


async def test_a_service_knows_no_other_language() -> None:
    async with thread(workflows) as service:
        await service.new({"kind": "service", "name": "Ada", "language": "xx"})

        await service.emits(service.json(ERROR, "Unsupported language: xx"))
