"""Tasks side by side: asyncio's ways to wait for several work in workflow code as ever, and by replay."""

import asyncio
import contextlib

import pytest

from holdfast import WorkflowContext
from tests.play import Begin
from tests.unit.core.primitives import completed, step


def test_gather_gives_results_in_order_whatever_comes_first(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[str]:
        return list(await asyncio.gather(step(ctx, "a"), step(ctx, "b"), step(ctx, "c")))

    play = begin(run)
    for name in "cab":
        play.complete(name, name.upper())

    completed(play, ["A", "B", "C"])


def test_gather_gives_the_first_error_and_lets_the_rest_go_on(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[str]:
        try:
            await asyncio.gather(step(ctx, "a"), step(ctx, "b"))
        except Exception as error:  # noqa: BLE001 - an ActivityError
            return [type(error).__name__, await ctx.execute_activity("c")]
        return []

    play = begin(run)
    play.fail("b")
    assert play.words == ["activity_started c"]
    assert {command.name for command in play.open.values()} == {"a", "c"}

    play.complete("c", "C")
    completed(play, ["ActivityError", "C"])


def test_gather_may_give_errors_as_results(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[str]:
        results = await asyncio.gather(step(ctx, "a"), step(ctx, "b"), return_exceptions=True)
        return [str(result) for result in results]

    play = begin(run)
    play.fail("a", ValueError("bad"))
    play.complete("b", "B")

    completed(play, ["activity 'a' failed: bad", "B"])


@pytest.mark.parametrize("first", ["a", "b"])
def test_wait_for_the_first_of_two(begin: Begin, first: str) -> None:
    async def run(ctx: WorkflowContext) -> list[str]:
        tasks = {asyncio.create_task(step(ctx, name), name=name) for name in ("a", "b")}
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        return sorted(task.result() for task in done)

    play = begin(run)
    play.complete(first, first)

    other = "b" if first == "a" else "a"
    assert play.words == [f"activity_cancelled {other}", "workflow_completed"]
    completed(play, [first])


def test_wait_for_all_and_for_the_first_error(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[int]:
        tasks = [asyncio.create_task(step(ctx, name)) for name in ("a", "b", "c")]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        all_done, _ = await asyncio.wait(tasks)
        return [len(done), len(all_done)]

    play = begin(run)
    play.complete("c")
    play.fail("a")
    assert not play.ended

    play.complete("b")
    completed(play, [2, 3])


def test_a_task_group_waits_for_all(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[str]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(step(ctx, name)) for name in ("a", "b")]
        return [task.result() for task in tasks]

    play = begin(run)
    play.complete("b", "B")
    assert not play.ended

    play.complete("a", "A")
    completed(play, ["A", "B"])


def test_a_task_group_cancels_the_rest_when_one_fails(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[str]:
        try:
            async with asyncio.TaskGroup() as group:
                for name in ("a", "b", "c"):
                    group.create_task(step(ctx, name))
        except* Exception as errors:  # noqa: BLE001
            found = [str(error) for error in errors.exceptions]
        return found

    play = begin(run)
    play.fail("b", ValueError("bad"))

    assert play.words == ["activity_cancelled a", "activity_cancelled c", "workflow_completed"]
    completed(play, ["activity 'b' failed: bad"])


def test_a_task_groups_siblings_are_cancelled_in_the_order_they_were_made(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(40):
                group.create_task(step(ctx, f"a{number}"))

    plays = [begin(run) for _ in range(3)]
    padding = [object() for _ in range(1_000)]  # so that addresses differ from play to play
    for play in plays:
        play.fail("a7")

    assert [play.words for play in plays] == [plays[0].words] * 3
    assert len(plays[0].words) == 40
    assert padding


def test_shield_keeps_a_call_going_when_its_waiter_is_cancelled(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        inner = asyncio.ensure_future(step(ctx, "a"))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(inner), timeout=1)
        return str(await inner)

    play = begin(run)
    play.fire()
    assert play.words == []

    play.complete("a", "A")
    completed(play, "A")


@pytest.mark.parametrize("style", ["plain", "async"])
def test_as_completed_of_the_context_gives_results_as_they_come(begin: Begin, style: str) -> None:
    async def run(ctx: WorkflowContext) -> list[str]:
        calls = [step(ctx, name) for name in "abc"]
        if style == "plain":
            return [await result for result in ctx.as_completed(calls)]
        return [done.result() async for done in ctx.as_completed(calls)]

    play = begin(run)
    assert play.words == [f"activity_started {name}" for name in "abc"]
    for name in "cab":
        play.complete(name, name)

    completed(play, ["c", "a", "b"])


def test_as_completed_takes_a_thing_given_twice_once(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[str]:
        task = asyncio.create_task(step(ctx, "a"))
        return [await result for result in ctx.as_completed([task, task])]

    play = begin(run)
    play.complete("a", "A")

    completed(play, ["A"])


def test_as_completed_gives_the_error_where_it_is_awaited(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[str]:
        found = []
        for result in ctx.as_completed([step(ctx, "a"), step(ctx, "b")]):
            try:
                found.append(await result)
            except Exception as error:  # noqa: BLE001
                found.append(str(error))
        return found

    play = begin(run)
    play.fail("b", ValueError("bad"))
    play.complete("a", "A")

    completed(play, ["activity 'b' failed: bad", "A"])
