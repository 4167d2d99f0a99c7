"""A greeting by a service: its request and its result are all that comes out."""

import json
from pathlib import Path

from examples.kafka_workflow.hello_world import workflows
from holdfast import RunStatus
from tests.examples.kafka_workflow.kit import ERROR, KEY, RESULT, Emitted, Thread, thread
from tests.examples.kit import replays

GREET = "temporal-hello-world-greet"


async def begun(hello: Thread) -> tuple[str, Emitted]:
    """Start a thread: the id of its ref, and its request."""
    await hello.new({"name": "Temporal"})
    request = await hello.only(GREET)
    ref: str = json.loads(request.value)["ref"]
    await hello.emits(hello.json(GREET, {"name": "Temporal", "ref": ref}))
    return ref, request


async def test_one_request_and_the_result_when_it_is_answered(tmp_path: Path) -> None:
    async with thread(workflows) as hello:
        ref, request = await begun(hello)

        await hello.answer(ref, {"greeting": "Hello, Temporal"})

        await hello.emits(request, hello.json(RESULT, {"greeting": "Hello, Temporal"}))
        assert await replays(hello.env, workflows[0], KEY, tmp_path) is RunStatus.COMPLETED


async def test_the_error_of_the_service_is_that_of_the_thread() -> None:
    async with thread(workflows) as hello:
        ref, request = await begun(hello)

        await hello.reject(ref, "no greeting today")

        await hello.emits(request, hello.json(ERROR, "no greeting today"))


async def test_a_finished_key_can_be_started_again_and_asks_by_another_ref() -> None:
    async with thread(workflows) as hello:
        ref, request = await begun(hello)
        await hello.answer(ref, {"greeting": "Hello"})

        await hello.new({"name": "Ada"})

        _, second = await hello.on(GREET)
        again = json.loads(second)["ref"]
        assert again != ref
        first = [request, hello.json(RESULT, {"greeting": "Hello"})]
        await hello.emits(*first, hello.json(GREET, {"name": "Ada", "ref": again}))
