"""An operation is announced, carried out by a thread of its own, and answered to the caller's ref."""

import json
from pathlib import Path

import pytest

from examples.kafka_workflow.nexus_hello import nexus_hello, workflows
from holdfast import RunStatus
from tests.examples.kafka_workflow.kit import ERROR, KEY, RESULT, RESUME, Emitted, Thread, thread
from tests.examples.kit import replays
from tests.play import Anything

START = "temporal-nexus-hello-start-operation"
COMPLETED = "temporal-nexus-hello-service-completed"


async def called(caller: Thread, operation: str, number: str, given: dict[str, str]) -> tuple[str, Emitted]:
    """The ref that an operation answers, and its announcement."""
    ref: str = json.loads((await caller.only(START)).value)["ref"]
    assert f":{operation}:" in ref
    return ref, caller.json(START, {"operation": operation, "operationId": number} | given | {"ref": ref})


def answered(caller: Thread, number: str, ref: str, message: str) -> list[Emitted]:
    """What an operation emits, and the caller's result."""
    result = {"message": message}
    return [
        caller.json(COMPLETED, {"operationId": number, "result": result}, number),
        caller.json(RESUME, {"ref": ref, "value": result}),
        caller.json(RESULT, result, f"{KEY}:nexus:{number}"),
        caller.json(RESULT, message),
    ]


@pytest.mark.parametrize("start", [{"workflow": "echoCaller"}, {}])
async def test_a_caller_gets_its_echo(start: dict[str, str], tmp_path: Path) -> None:
    async with thread(workflows) as caller:
        text = "This message is from the client"
        await caller.new(start | {"message": text})

        ref, announced = await called(caller, "echo", f"echo:{text}", {"message": text})
        await caller.emits(announced, *answered(caller, f"echo:{text}", ref, text))
        assert await replays(caller.env, nexus_hello, KEY, tmp_path) is RunStatus.COMPLETED


@pytest.mark.parametrize(
    ("language", "word"), [("en", "Hello"), ("fr", "Bonjour"), ("de", "Hallo"), ("es", "Hola"), ("tr", "Merhaba")]
)
async def test_a_caller_is_greeted_in_its_language(language: str, word: str) -> None:
    async with thread(workflows) as caller:
        given = {"name": "Ada", "language": language}
        await caller.new({"workflow": "helloCaller"} | given)

        number = f"hello:Ada:{language}"
        ref, announced = await called(caller, "hello", number, given)
        await caller.emits(announced, *answered(caller, number, ref, f"{word}, Ada!"))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"workflow": "helloWorkflow", "name": "Ada", "language": "tr"}, "Merhaba, Ada!"),
        ({"workflow": "echoService", "message": "Direct service call"}, "Direct service call"),
    ],
)
async def test_a_service_works_without_a_caller(asked: Anything, message: str) -> None:
    async with thread(workflows) as service:
        await service.new(asked)

        await service.emits(service.json(RESULT, {"message": message}))


async def test_a_service_that_was_given_an_id_says_that_it_is_completed() -> None:
    async with thread(workflows) as service:
        await service.new({"workflow": "echoService", "operationId": "echo:direct", "message": "Direct service call"})

        result = {"message": "Direct service call"}
        completed = service.json(COMPLETED, {"operationId": "echo:direct", "result": result}, "echo:direct")
        await service.emits(completed, service.json(RESULT, result))


async def test_an_operation_that_fails_leaves_its_caller_to_whoever_mends_it() -> None:
    async with thread(workflows) as caller:
        given = {"name": "Ada", "language": "xx"}
        await caller.new({"workflow": "helloCaller"} | given)
        ref, announced = await called(caller, "hello", "hello:Ada:xx", given)
        failed = caller.json(ERROR, "Unsupported language: xx", f"{KEY}:nexus:hello:Ada:xx")
        await caller.emits(announced, failed)

        await caller.answer(ref, {"message": "Hi, Ada!"})

        await caller.emits(announced, failed, caller.json(RESULT, "Hi, Ada!"))
