"""What an answer costs does not grow with how many have come before it. What is counted is bytecodes, never time."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any, Self

import pytest

from holdfast import WorkflowContext, workflow
from holdfast.stores import MemoryStore
from tests.unit.engine.kit import engine_on, on_skipping_loop

PENDING = 1_000
ANSWERS = 10_000


@workflow
async def many(ctx: WorkflowContext) -> int:
    """Wait for 1,000 refs at once; each that is answered is made again, until there were 10,000 answers."""
    answered = 0

    async def mailbox(number: int) -> None:
        nonlocal answered
        while answered < ANSWERS:
            await ctx.ref_id(f"r{number}")
            answered += 1

    scope = ctx.cancellation_scope()
    for number in range(PENDING):
        scope.start(mailbox(number))
    await ctx.wait_condition(lambda: answered >= ANSWERS)
    scope.cancel()
    await scope.unwound()
    return answered


class Counter:
    """Counts the bytecodes of all Python code between two looks."""

    def __init__(self) -> None:
        self.count = 0
        self._before = sys.gettrace()

    def __enter__(self) -> Self:
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_error: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, event: str, _argument: object) -> Any:  # noqa: ANN401 - as the interpreter wants it
        if event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        elif event == "opcode":
            self.count += 1
        return self._trace


@pytest.mark.parametrize("named", [False, True], ids=["without ids", "with ids"])
@on_skipping_loop
async def test_the_last_thousand_of_ten_thousand_answers_cost_what_the_tenth_hundred_does(named: bool) -> None:  # noqa: FBT001 - a case
    async def answers(first: int, last: int) -> None:
        for number in range(first, last):
            await engine.resolve_ref("a", f"r{number % PENDING}", number, id=f"m{number}" if named else None)

    async with engine_on(MemoryStore(), workflows=[many], dev_replay=False) as engine:
        handle = await engine.start(many, id="a")
        await answers(0, 900)
        with Counter() as tenth:
            await answers(900, 1_000)
        await answers(1_000, ANSWERS - 1_000)
        with Counter() as last:
            await answers(ANSWERS - 1_000, ANSWERS)
        assert await handle.result() == ANSWERS

    ratio = (last.count / 1_000) / (tenth.count / 100)
    assert tenth.count > 100 * 100, "it counts"
    assert ratio <= 1.3, f"{last.count / 1_000:.0f} bytecodes an answer, {tenth.count / 100:.0f} before"
