"""Cases about the process that runs the workflows: one goes, the next one comes."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from holdfast import ActivityContext, WorkflowContext
from holdfast.testing import TestEnvironment
from tests.patch_notes.homes import Home, life
from tests.play import Code
from tests.unit.engine.kit import echo, eventually, nap, steps

HOUR = 3600.0
LEAVES = 4


async def waits(ctx: WorkflowContext) -> str:
    """Wait for a signal of each owner."""
    return "".join([await ctx.receive_signal("n", type=str) for _ in range(LEAVES)])


async def has_child(ctx: WorkflowContext) -> int:
    return int(await ctx.execute_child(works, id="child"))


async def works(ctx: WorkflowContext) -> int:
    return int(await ctx.execute_activity("work"))


async def sums(ctx: WorkflowContext) -> int:
    """Take an update of each owner."""
    total = 0

    def add(number: int) -> int:
        nonlocal total
        total += number
        return total

    ctx.set_update_handler("add", add)
    await ctx.wait_condition(lambda: total >= LEAVES)
    return total


async def ids_of(environment: TestEnvironment, status: str) -> list[str]:
    """List runs as the index knows them, which brings none of them into memory."""
    return [item.workflow_id for item in (await environment.engine.list(status=status)).items]


WAITING: list[Code] = [waits, has_child, works, sums]


async def test_14_runs_that_wait_in_every_way_move_on_with_each_new_owner(home: Home) -> None:
    attempts: list[tuple[str, int]] = []
    is_last = False

    async def work(context: ActivityContext) -> int:
        attempts.append((context.workflow_id, context.attempt))
        if not is_last:
            await asyncio.Event().wait()
        return context.attempt

    options: dict[str, Any] = {"workflows": [*WAITING, nap], "activities": [work]}
    async with AsyncExitStack() as living:
        for turn, way in enumerate(("closes", "dies", "is replaced", "closes")):
            is_last = turn == LEAVES - 1
            # A file cannot be taken from an owner that lives.
            dies = way == "dies" or (way == "is replaced" and not home.is_shared)
            async with AsyncExitStack() as stack:
                owner = await stack.enter_async_context(life(home.store(), dies=dies, **options))
                if turn == 0:
                    for code in WAITING:
                        await owner.start(code, id=code.__name__)
                    await owner.start(nap, HOUR, id="nap")
                await eventually(lambda turn=turn: len(attempts) == 2 * (turn + 1))  # type: ignore[misc]
                await owner.engine.signal("waits", "n", str(turn), id=f"n{turn}")
                assert await owner.engine.update("sums", "add", 1, id=f"u{turn}") == turn + 1
                if is_last:
                    await owner.skip(HOUR)
                    assert "nap" in await ids_of(owner, "completed")  # by itself: nobody has asked for it
                    names = [*(code.__name__ for code in WAITING), "nap"]
                    results = {name: await owner.handle(name).result() for name in names}
                elif way == "is replaced" and home.is_shared:
                    await living.enter_async_context(stack.pop_all())

    assert results == {"waits": "0123", "has_child": LEAVES, "works": LEAVES, "sums": LEAVES, "nap": "rested"}
    assert sorted(attempts) == [(name, number + 1) for name in ("child", "works") for number in range(LEAVES)]


async def renamed(ctx: WorkflowContext, seconds: float) -> str:
    """Stands for code that was deployed by mistake: it does not do what the history says."""
    await ctx.execute_activity(echo, 1)
    return "wrong"


async def test_24_a_stalled_run_goes_on_by_itself_with_the_next_owner_that_knows_its_code(home: Home) -> None:
    right: dict[str, Any] = {"workflows": [nap, steps], "activities": [echo]}
    renamed.__name__ = "nap"
    wrong: dict[str, Any] = {**right, "workflows": [renamed, steps]}
    missing: dict[str, Any] = {**right, "workflows": [steps]}
    async with life(home.store(), dies=True, **right) as first:
        await first.start(nap, HOUR, id="a")
        await first.settled()
    for code in (wrong, missing, wrong):
        async with life(home.store(), dies=code is wrong, **code) as worker:
            await worker.skip(2 * HOUR)
            assert await ids_of(worker, "stalled") == ["a"]
            assert await worker.execute(steps, 2) == [0, 1]

    async with life(home.store(), **right) as last:
        await last.skip(HOUR)
        assert "a" in await ids_of(last, "completed")
        assert await last.handle("a").result() == "rested"
