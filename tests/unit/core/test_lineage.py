"""Command ids come from where in the tree of tasks they were asked for, whatever order the tasks run in."""

import asyncio
from typing import Any

import pytest

from holdfast import WorkflowContext
from tests.play import Begin, Play


async def two_steps(ctx: WorkflowContext, name: str) -> None:
    await ctx.execute_activity(f"{name}1")
    await ctx.execute_activity(f"{name}2")


def ids(play: Play) -> dict[str, str]:
    """The ids of all activities that were asked for, by name."""
    return {event.name: event.id for event in play.history if event.type == "activity_started"}


def test_ids_of_the_main_task_count_from_one(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        await two_steps(ctx, "a")
        await ctx.sleep(1)

    play = begin(run)
    play.complete("a1")
    play.complete("a2")

    assert [command.id for command in play.asked] == ["3"]
    assert ids(play) == {"a1": "1", "a2": "2"}


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_concurrent_branches_have_the_same_ids_in_any_completion_order(begin: Begin, order: str) -> None:
    async def run(ctx: WorkflowContext) -> None:
        await asyncio.gather(two_steps(ctx, "a"), two_steps(ctx, "b"))

    play = begin(run)
    for name in order:
        play.complete(f"{name}1")
    for name in order:
        play.complete(f"{name}2")

    assert ids(play) == {"a1": "1.1", "a2": "1.2", "b1": "2.1", "b2": "2.2"}
    assert play.ended


def test_an_id_of_a_deep_tree_stays_short_and_unique(begin: Begin) -> None:
    async def descend(ctx: WorkflowContext, depth: int) -> None:
        await ctx.execute_activity(f"at{depth}")
        if depth:
            await asyncio.create_task(descend(ctx, depth - 1))

    async def run(ctx: WorkflowContext) -> None:
        await descend(ctx, 12)

    play = begin(run)
    for depth in range(12, -1, -1):
        play.complete(f"at{depth}")

    found = list(ids(play).values())
    assert len(set(found)) == 13
    assert max(map(len, found)) <= 16
    play.replayed()


def test_a_call_bounded_by_wait_for_has_the_id_it_would_have_without(begin: Begin) -> None:
    """Python 3.11 wraps it into a task and later versions do not; histories go from one to the other."""

    async def run(ctx: WorkflowContext) -> None:
        await asyncio.wait_for(two_steps(ctx, "a"), timeout=60)
        await ctx.execute_activity("b")

    play = begin(run)
    play.complete("a1")
    play.complete("a2")

    assert ids(play) == {"a1": "2", "a2": "3", "b": "4"}


def test_wait_for_around_a_task_of_ones_own_leaves_its_lineage_alone(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        task = asyncio.create_task(two_steps(ctx, "a"))
        await asyncio.wait_for(task, timeout=60)
        await ctx.execute_activity("b")

    play = begin(run)
    play.complete("a1")
    play.complete("a2")

    assert ids(play) == {"a1": "1.1", "a2": "1.2", "b": "3"}


def test_wait_for_without_time_left_takes_no_place_in_the_lineage(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        try:
            await asyncio.wait_for(two_steps(ctx, "a"), timeout=0)
        except TimeoutError:
            await ctx.execute_activity("b")

    play = begin(run)

    assert ids(play) == {"b": "1"}


def test_an_update_handler_has_a_line_of_its_own(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        async def change(name: str) -> None:
            await two_steps(ctx, name)

        ctx.set_update_handler("change", change)
        await two_steps(ctx, "main")

    play = begin(run)
    play.update("change", "x", id="one")
    play.update("change", "y", id="two")
    for name in ("y1", "main1", "x1"):
        play.complete(name)

    assert ids(play) == {"main1": "1", "x1": "u1.1", "y1": "u2.1", "y2": "u2.2", "main2": "2", "x2": "u1.2"}


def test_bare_callbacks_have_a_line_of_their_own(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: ctx.set_attributes(a=1))
        await ctx.receive_signal("on")
        await ctx.execute_activity("b")

    play = begin(run)
    assert [command.id for command in play.asked] == ["c.1"]

    play.signal("on")
    assert [command.id for command in play.asked] == ["1"]


def hashes(amount: int, seed: int) -> list[int]:
    found: list[int] = []

    async def nothing() -> None:
        """Do nothing."""

    async def run(ctx: WorkflowContext) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(amount):
            found.append(hash(loop.create_future()))
            found.append(hash(asyncio.create_task(nothing())))

    with Play(run, seed=seed) as play:
        play.start()
    return found


def test_tasks_and_futures_hash_by_their_order_in_the_run() -> None:
    first = hashes(50, seed=1)

    assert first == hashes(50, seed=1)
    assert first == list(range(first[0], first[0] + 100))
    assert not set(first) & set(hashes(50, seed=2_000_000))


def iteration_order(kind: str) -> list[int]:
    async def run(ctx: WorkflowContext) -> list[int]:
        signals = {ctx.signal(f"wf{n}", "x"): n for n in range(60)}
        tasks = {asyncio.create_task(ctx.sleep(n)): n for n in range(60)}
        things: dict[Any, int] = {"signals": signals, "tasks": tasks}[kind]  # type: ignore[assignment]
        return [things[thing] for thing in set(things)]

    padding = [bytearray(n % 700) for n in range(3_000)]
    with Play(run, seed=5) as play:
        play.start()
        assert padding
        return list(play.result)


@pytest.mark.parametrize("kind", ["tasks", "signals"])
def test_sets_of_what_can_be_awaited_iterate_alike_in_every_replay(kind: str) -> None:
    orders = [iteration_order(kind) for _ in range(3)]

    assert orders[1:] == [orders[0]] * 2
