"""Leaving memory: a run is taken apart here and now, under its own loop, and nothing of it runs later or elsewhere."""

import asyncio
import contextlib
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast import WorkflowContext
from tests.play import Anything, Begin, Play

NOTES: list[str] = []


@pytest.fixture(autouse=True)
def empty_notes() -> None:
    NOTES.clear()


def note(ctx: WorkflowContext, what: str) -> None:
    loop = asyncio.get_running_loop()
    NOTES.append(f"{what} of {ctx.workflow_id} under {type(loop).__name__}")


async def numbers(ctx: WorkflowContext) -> AsyncIterator[int]:
    try:
        for number in range(5):
            yield number
            await ctx.execute_activity(f"step{number}")
    finally:
        note(ctx, "generator closed")


@contextlib.asynccontextmanager
async def booking(ctx: WorkflowContext) -> AsyncIterator[str]:
    try:
        yield "seat"
    finally:
        note(ctx, "manager left")
        await ctx.execute_activity("give back")
        NOTES.append("never")


async def in_finally(ctx: WorkflowContext) -> None:
    try:
        await ctx.execute_activity("a")
    finally:
        note(ctx, "finally")
        await ctx.execute_activity("undo")
        NOTES.append("never")


async def inside_of_a_finally(ctx: WorkflowContext) -> None:
    try:
        raise ValueError
    finally:
        try:
            await ctx.execute_activity("a")
        finally:
            note(ctx, "inner")
            await ctx.sleep(5)
            NOTES.append("never")


async def in_base_exception(ctx: WorkflowContext) -> str:
    try:
        await ctx.execute_activity("a")
    except BaseException:  # noqa: BLE001
        note(ctx, "caught")
    return str(await ctx.execute_activity("b"))


async def in_generator(ctx: WorkflowContext) -> None:
    async for number in numbers(ctx):
        if number == 4:
            return


async def abandoned_generator(ctx: WorkflowContext) -> None:
    generator = numbers(ctx)
    await anext(generator)
    await ctx.execute_activity("other")


async def in_manager(ctx: WorkflowContext) -> None:
    async with booking(ctx):
        await ctx.execute_activity("a")


async def in_branches(ctx: WorkflowContext) -> None:
    async def branch(name: str) -> None:
        try:
            await ctx.execute_activity(name)
        finally:
            note(ctx, name)
            asyncio.create_task(branch("more"))  # noqa: RUF006 - refused
            NOTES.append("never")

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(branch(name))


OWN = "of wf under WorkflowLoop"
SHAPES: dict[Any, list[str]] = {
    in_finally: [f"finally {OWN}"],
    inside_of_a_finally: [f"inner {OWN}"],
    in_base_exception: [f"caught {OWN}"],
    in_generator: [f"generator closed {OWN}"],
    abandoned_generator: [f"generator closed {OWN}"],
    in_manager: [f"manager left {OWN}"],
    in_branches: [f"{name} {OWN}" for name in "abc"],
}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_a_run_is_closed_under_its_own_loop_in_the_order_its_tasks_were_made(begin: Begin, shape: Anything) -> None:
    play = begin(shape)
    before = list(play.history)

    play.close()

    assert SHAPES[shape] == NOTES
    assert play.history == before
    gc.collect()
    assert SHAPES[shape] == NOTES


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
async def test_nothing_of_a_closed_run_is_left_to_the_garbage_collector_under_another_loop(shape: Anything) -> None:
    """Were it left, its finally blocks would run under whatever loop is running when it is collected."""
    closed = asyncio.Event()

    def play_and_drop() -> None:
        with Play(shape) as play:
            play.start()
        closed.set()

    asyncio.get_running_loop().call_soon(play_and_drop)  # never inside of a task
    await closed.wait()
    seen = list(NOTES)
    gc.collect()
    await asyncio.sleep(0)

    assert NOTES == seen == SHAPES[shape]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_a_closed_run_comes_back_by_replay_as_it_was(begin: Begin, shape: Anything) -> None:
    play = begin(shape)
    open_before = {command.name for command in play.open.values()}
    asked_before = list(play.history)

    play.reload()

    assert set(play.run.waiting) == set(play.open)
    assert {command.name for command in play.open.values()} == open_before
    assert play.history == asked_before


def test_a_closed_run_frees_its_memory(begin: Begin) -> None:
    class Large:
        pass

    async def run(ctx: WorkflowContext) -> None:
        large = Large()
        seen.append(weakref.ref(large))
        await ctx.execute_activity("a")

    seen: list[weakref.ref[Large]] = []
    begin(run).close()
    gc.collect()

    assert seen[0]() is None


def test_closing_twice_is_harmless(begin: Begin) -> None:
    play = begin(in_finally)
    play.close()
    play.close()

    assert len(NOTES) == 1


def test_a_run_that_has_ended_closes_what_it_left_behind(begin: Begin) -> None:
    async def left(ctx: WorkflowContext) -> None:
        try:
            await ctx.execute_activity("left")
        finally:
            note(ctx, "left")

    async def run(ctx: WorkflowContext) -> str:
        task = asyncio.create_task(left(ctx))
        await ctx.execute_activity("a")
        assert not task.done()
        return "ended"

    play = begin(run)
    play.complete("a")
    assert NOTES == []
    play.close()

    assert [f"left {OWN}"] == NOTES


@pytest.mark.parametrize("waits", ["sleep", "event", "signal"])
def test_code_that_will_not_end_is_given_up_on_and_told(
    begin: Begin, caplog: pytest.LogCaptureFixture, waits: str
) -> None:
    async def stubborn(ctx: WorkflowContext) -> None:
        while True:
            with contextlib.suppress(BaseException):
                match waits:
                    case "sleep":
                        await asyncio.sleep(0)
                    case "event":
                        await asyncio.Event().wait()
                    case _:
                        await ctx.receive_signal("s")

    async def run(ctx: WorkflowContext) -> None:
        inner = asyncio.create_task(ctx.execute_activity("a"))
        with contextlib.suppress(BaseException):
            await inner
        await stubborn(ctx)

    begin(run).close()

    assert "workflow 'wf' would not unwind: task-main" in caplog.text


@pytest.mark.parametrize("call", ["activity", "sleep", "condition"])
def test_code_that_retries_for_ever_is_given_up_on_and_told(
    begin: Begin, caplog: pytest.LogCaptureFixture, call: str
) -> None:
    async def stubborn(ctx: WorkflowContext) -> None:
        calls: dict[str, Any] = {
            "activity": lambda: ctx.execute_activity("a"),
            "sleep": lambda: ctx.sleep(5),
            "condition": lambda: ctx.wait_condition(lambda: False, timeout=5),
        }
        for _ in range(5_000):  # for ever, but for the sake of whoever runs this test
            with contextlib.suppress(BaseException):
                await calls[call]()
        NOTES.append("endless")

    begin(stubborn).close()

    assert NOTES == []
    assert "workflow 'wf' would not unwind: task-main" in caplog.text


def test_whatever_the_code_does_on_the_way_out_asks_for_nothing(begin: Begin) -> None:
    tried: list[str] = []

    async def run(ctx: WorkflowContext) -> None:
        actions: dict[str, Any] = {
            "attributes": lambda: ctx.set_attributes(a=1),
            "signal": lambda: ctx.signal("other", "x"),
            "child": lambda: ctx.start_child(in_finally),
            "continue": ctx.continue_as_new,
            "patched": lambda: ctx.patched("x"),
            "timer": lambda: asyncio.get_running_loop().call_later(1, print),
        }
        try:
            await ctx.execute_activity("a")
        finally:
            for name, action in actions.items():
                try:
                    action()
                except BaseException as error:  # noqa: BLE001
                    tried.append(f"{name}: {type(error).__name__}")

    play = begin(run, workflows=[in_finally])
    play.close()

    assert [attempt.split(": ")[1] for attempt in tried] == ["Unwind"] * 6


def test_unwinding_passes_ordinary_handlers(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        try:
            await ctx.execute_activity("a")
        except Exception:  # noqa: BLE001
            NOTES.append("caught as an error")
        except asyncio.CancelledError:
            NOTES.append("caught as a cancellation")

    begin(run).close()

    assert NOTES == []


def test_the_current_task_is_known_on_the_way_out(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        task = asyncio.current_task()
        try:
            await ctx.execute_activity("a")
        finally:
            NOTES.append(str(asyncio.current_task() is task))

    begin(run).close()

    assert NOTES == ["True"]


def test_a_run_collected_without_being_closed_runs_none_of_its_code(begin: Begin) -> None:
    """Whoever forgets `close` loses memory until the end, but never the order of things."""
    play = begin(in_branches)
    play.close()
    closed = list(NOTES)
    del play
    gc.collect()

    assert closed == NOTES


def test_async_generators_of_other_code_in_the_process_are_left_alone(begin: Begin) -> None:
    async def others() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            NOTES.append(type(asyncio.get_running_loop()).__name__)

    async def use() -> None:
        generator = others()
        assert await anext(generator) == 1
        del generator
        gc.collect()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    play = begin(in_generator)
    asyncio.run(use())
    assert NOTES
    assert "WorkflowLoop" not in NOTES
    play.close()
