"""Each update gets one answer: the count before it, or why it is refused."""

from pathlib import Path

import pytest

from examples.kafka_workflow.execute_update import workflows
from holdfast import Delivery, RunStatus
from tests.examples.kafka_workflow.kit import KEY, RESULT, Emitted, Thread, thread
from tests.examples.kit import replays
from tests.play import Anything


async def add(counter: Thread, arg: int, reply: str) -> Delivery:
    return await counter.answer("main", {"type": "fetchAndAdd", "arg": arg, "reply": reply})


async def done(counter: Thread) -> Delivery:
    return await counter.answer("main", {"type": "done"})


def replied(counter: Thread, reply: str, **said: Anything) -> Emitted:
    return counter.json("temporal-execute-update-reply", {"reply": reply, **said})


async def test_each_update_is_answered_with_the_count_before_it(tmp_path: Path) -> None:
    async with thread(workflows) as counter:
        await counter.new({})
        await counter.emits()
        replies = [
            replied(counter, "update-1", value=0),
            replied(counter, "update-2", value=4),
            replied(counter, "update-3", error="Argument must not be negative"),
            replied(counter, "update-4", value=11),
        ]

        for n, arg in enumerate((4, 7, -1, 2), start=1):
            await add(counter, arg, f"update-{n}")
            await counter.emits(*replies[:n])
        await done(counter)

        await counter.emits(*replies, counter.json(RESULT, 13))
        assert await replays(counter.env, workflows[0], KEY, tmp_path) is RunStatus.COMPLETED


async def test_a_count_of_nothing_is_a_result_too() -> None:
    async with thread(workflows) as counter:
        await counter.new({})

        await done(counter)

        await counter.emits(counter.of(RESULT, "0"))


@pytest.mark.parametrize(
    "odd", [{"type": "sing"}, {"type": "fetchAndAdd", "arg": "4", "reply": "odd"}, {"type": "fetchAndAdd"}, [], None]
)
async def test_what_is_no_command_changes_nothing(odd: Anything) -> None:
    async with thread(workflows) as counter:
        await counter.new({})
        await add(counter, 4, "before")

        await counter.answer("main", odd)
        await add(counter, 0, "after")

        await counter.emits(replied(counter, "before", value=0), replied(counter, "after", value=4))


async def test_updates_before_the_start_wait_for_it_and_those_after_the_end_get_no_answer() -> None:
    async with thread(workflows) as counter:
        assert await add(counter, 4, "early") is Delivery.HELD
        assert await add(counter, 7, "early too") is Delivery.HELD

        await counter.new({})
        await done(counter)
        assert await add(counter, 1, "late") is Delivery.DEAD

        replies = [replied(counter, "early", value=0), replied(counter, "early too", value=4)]
        await counter.emits(*replies, counter.json(RESULT, 11))
