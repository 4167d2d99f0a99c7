"""The smallest thread emits its request and its result, and nothing that comes twice or late changes that."""

import json
from pathlib import Path

import pytest

from examples.kafka_workflow.workflow_minimal import workflows
from holdfast import Delivery, RunStatus
from tests.examples.kafka_workflow.kit import ERROR, KEY, RESULT, Emitted, Thread, thread
from tests.examples.kit import replays

HELLO = {"greeting": "Hello, Ada"}


async def begun(minimal: Thread) -> tuple[str, Emitted]:
    """Start a thread: the id of its ref, and its request."""
    await minimal.new({"name": "Ada"})
    request = await minimal.only("minimal-greeting-request")
    ref: str = json.loads(request.value)["ref"]
    await minimal.emits(minimal.json("minimal-greeting-request", {"name": "Ada", "ref": ref}))
    return ref, request


async def test_it_asks_for_a_greeting_and_returns_it(tmp_path: Path) -> None:
    async with thread(workflows) as minimal:
        ref, request = await begun(minimal)

        await minimal.answer(ref, HELLO)

        await minimal.emits(request, minimal.json(RESULT, HELLO))
        assert await replays(minimal.env, workflows[0], KEY, tmp_path) is RunStatus.COMPLETED


async def test_a_service_that_has_no_greeting_ends_it_with_its_error() -> None:
    async with thread(workflows) as minimal:
        ref, request = await begun(minimal)

        await minimal.reject(ref, {"code": 404})

        await minimal.emits(request, minimal.json(ERROR, {"code": 404}))


async def test_an_answer_that_is_no_greeting_ends_it_with_an_error_that_names_the_field() -> None:
    async with thread(workflows) as minimal:
        ref, request = await begun(minimal)

        await minimal.answer(ref, {"text": "Hello, Ada"})

        error = f"value of ref '{ref}': field 'greeting': Field required"
        await minimal.emits(request, minimal.json(ERROR, error))


async def test_an_answer_to_another_ref_leaves_it_waiting() -> None:
    async with thread(workflows) as minimal:
        ref, request = await begun(minimal)

        await minimal.answer("greeting", {"greeting": "Hello, nobody"})
        await minimal.emits(request)

        await minimal.answer(ref, HELLO)
        await minimal.emits(request, minimal.json(RESULT, HELLO))


@pytest.mark.parametrize(("again", "outcome"), [("new", Delivery.DEAD), ("init", Delivery.APPLIED)])
async def test_a_second_start_changes_nothing_while_it_waits(again: str, outcome: Delivery) -> None:
    async with thread(workflows) as minimal:
        ref, request = await begun(minimal)

        assert await minimal.send(f'{again}:{{"name":"Bob"}}') is outcome
        await minimal.emits(request)

        await minimal.answer(ref, HELLO)
        await minimal.emits(request, minimal.json(RESULT, HELLO))


async def test_an_answer_that_comes_again_emits_nothing() -> None:
    async with thread(workflows) as minimal:
        ref, request = await begun(minimal)
        await minimal.answer(ref, HELLO)

        await minimal.answer(ref, {"greeting": "Hello again"})

        await minimal.emits(request, minimal.json(RESULT, HELLO))
