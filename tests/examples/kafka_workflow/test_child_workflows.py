"""A parent starts its children once, and its result is theirs, in the order of their names."""

import json
from pathlib import Path

import pytest

from examples.kafka_workflow.child_workflows import child_workflows, workflows
from holdfast import Delivery, RunStatus
from holdfast.core.threads import thread_id
from tests.examples.kafka_workflow.kit import ERROR, KEY, RESULT, RESUME, Emitted, Thread, thread
from tests.examples.kit import replays
from tests.play import Anything

NAMES = ["Alice", "Bob", "Charlie"]
REQUEST = "temporal-child-workflows-request"
COMPLETED = "temporal-child-workflows-child-completed"


async def started(parent: Thread) -> list[Emitted]:
    """Start a parent, and give what its children emit first."""
    await parent.new({"workflow": "parent", "payload": {"names": NAMES}})
    requests = [requested(parent, name) for name in NAMES]
    await parent.emits(*requests)
    return requests


def requested(parent: Thread, name: str) -> Emitted:
    """What a child emits first."""
    request = {"childThreadId": child(name), "name": name, "completeRef": "complete"}
    return parent.json(REQUEST, request, child(name))


def child(name: str) -> str:
    """The key of a child."""
    return f"{KEY}:child:{name}"


async def complete(parent: Thread, name: str, value: Anything) -> None:
    await Thread(parent.env, child(name)).answer("complete", value)


async def parent_ref(parent: Thread, name: str) -> str:
    """The ref of the parent that a child answers, as the child has been told."""
    run = await parent.env.engine.describe(thread_id(child(name)))
    ref: str = run.input["payload"]["parentRef"]
    assert f":child-{NAMES.index(name)}:" in ref
    return ref


async def told(parent: Thread, name: str, message: str) -> list[Emitted]:
    """What a child emits when it is completed."""
    result = {"name": name, "message": message}
    return [
        parent.json(COMPLETED, result, child(name)),
        parent.json(RESUME, {"ref": await parent_ref(parent, name), "value": result}),
        parent.json(RESULT, result, child(name)),
    ]


@pytest.mark.parametrize("order", [NAMES, NAMES[::-1]])
async def test_a_parent_puts_together_what_its_children_say(order: list[str], tmp_path: Path) -> None:
    async with thread(workflows) as parent:
        expected = await started(parent)
        for name in order:
            await complete(parent, name, {"message": f"I am {name}"})
            expected += await told(parent, name, f"I am {name}")

        await parent.emits(*expected, parent.json(RESULT, "I am Alice\nI am Bob\nI am Charlie"))
        assert await replays(parent.env, child_workflows, KEY, tmp_path) is RunStatus.COMPLETED
        assert await replays(parent.env, child_workflows, thread_id(child("Bob")), tmp_path) is RunStatus.COMPLETED


@pytest.mark.parametrize("value", [{}, None])
async def test_a_child_has_words_of_its_own(value: Anything) -> None:
    async with thread(workflows) as parent:
        expected = await started(parent)
        await complete(parent, "Bob", value)

        await parent.emits(*expected, *await told(parent, "Bob", "I am a child named Bob"))


async def test_a_parent_without_children_is_done_at_once() -> None:
    async with thread(workflows) as parent:
        await parent.new({"workflow": "parent", "payload": {"names": []}})

        await parent.emits(parent.json(RESULT, ""))


async def test_a_child_that_is_completed_before_it_is_started_answers_when_it_is() -> None:
    async with thread(workflows) as parent:
        await complete(parent, "Bob", {"message": "early"})
        await parent.new({"workflow": "parent", "payload": {"names": ["Bob"]}})

        (answer,) = [json.loads(each) for each in await parent.on(RESUME)]
        result = {"name": "Bob", "message": "early"}
        await parent.emits(
            parent.json(
                REQUEST, {"childThreadId": child("Bob"), "name": "Bob", "completeRef": "complete"}, child("Bob")
            ),
            parent.json(COMPLETED, result, child("Bob")),
            parent.json(RESUME, {"ref": answer["ref"], "value": result}),
            parent.json(RESULT, result, child("Bob")),
            parent.json(RESULT, "early"),
        )


async def test_the_error_of_a_child_is_its_own_until_somebody_tells_the_parent() -> None:
    async with thread(workflows) as parent:
        expected = await started(parent)
        await Thread(parent.env, child("Bob")).reject("complete", "no Bob today")
        expected.append(parent.json(ERROR, "no Bob today", child("Bob")))
        await parent.emits(*expected)

        await parent.reject(await parent_ref(parent, "Bob"), "Bob is missing")
        expected.append(parent.json(ERROR, "Bob is missing"))
        await parent.emits(*expected)

        await complete(parent, "Alice", {})  # its answer finds nobody
        await parent.emits(*expected, *await told(parent, "Alice", "I am a child named Alice"))
        (dead,) = (await parent.env.engine.dead_letters()).items
        assert dead.workflow_id == KEY


async def test_an_answer_that_is_sent_twice_counts_once() -> None:
    async with thread(workflows) as parent:
        expected = await started(parent)
        await complete(parent, "Bob", {})
        expected += await told(parent, "Bob", "I am a child named Bob")

        assert await parent.answer(await parent_ref(parent, "Bob"), {"message": "again"}) is Delivery.DROPPED
        await parent.emits(*expected)
