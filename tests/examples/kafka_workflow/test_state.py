"""A table that is asked answers once per question, and gives itself back at the end."""

from pathlib import Path

import pytest

from examples.kafka_workflow.state import workflows
from holdfast import Delivery, RunStatus
from tests.examples.kafka_workflow.kit import KEY, RESULT, Emitted, Thread, thread
from tests.examples.kit import replays
from tests.play import Anything


async def tell(state: Thread, type: str, **more: Anything) -> Delivery:
    return await state.answer("main", {"type": type, **more})


async def ask(state: Thread, key: str, reply: str) -> Delivery:
    return await tell(state, "getValue", key=key, reply=reply)


def answered(state: Thread, reply: str, **known: Anything) -> Emitted:
    return state.json("temporal-state-query-result", {"reply": reply, "key": "meaning", **known})


async def test_it_takes_values_answers_questions_and_ends(tmp_path: Path) -> None:
    async with thread(workflows) as state:
        await state.new({})
        await state.emits()

        await ask(state, "meaning", "query-1")
        first = answered(state, "query-1")
        await state.emits(first)
        await tell(state, "setValue", key="meaning", value=42)
        await state.emits(first)
        await ask(state, "meaning", "query-2")
        second = answered(state, "query-2", value=42)
        await state.emits(first, second)
        await tell(state, "cancel")

        await state.emits(first, second, state.json(RESULT, {"entries": {"meaning": 42}}))
        assert await replays(state.env, workflows[0], KEY, tmp_path) is RunStatus.COMPLETED


async def test_the_entries_are_given_back_in_the_order_of_their_keys() -> None:
    async with thread(workflows) as state:
        await state.new({})
        for key, value in (("b", 2), ("a", 1.5), ("b", 3)):
            await tell(state, "setValue", key=key, value=value)

        await tell(state, "cancel")

        await state.emits(state.of(RESULT, '{"entries":{"a":1.5,"b":3}}'))


@pytest.mark.parametrize(
    "odd", [{"type": "sing"}, {"type": "setValue", "key": "meaning", "value": "much"}, {"type": "getValue"}, 7, None]
)
async def test_what_is_no_command_changes_nothing(odd: Anything) -> None:
    async with thread(workflows) as state:
        await state.new({})
        await tell(state, "setValue", key="meaning", value=42)

        await state.answer("main", odd)
        await ask(state, "meaning", "after")

        await state.emits(answered(state, "after", value=42))


async def test_commands_before_the_start_wait_for_it_and_those_after_the_end_change_nothing() -> None:
    async with thread(workflows) as state:
        assert await tell(state, "setValue", key="meaning", value=42) is Delivery.HELD
        assert await ask(state, "meaning", "early") is Delivery.HELD

        await state.new({})
        await tell(state, "cancel")
        assert await ask(state, "meaning", "late") is Delivery.DEAD

        end = state.json(RESULT, {"entries": {"meaning": 42}})
        await state.emits(answered(state, "early", value=42), end)
