"""What asyncio offers works in workflow code as ever, and is durable: each primitive by hand, then by replay."""

import asyncio
import contextlib
from datetime import UTC, datetime

import pytest

from holdfast import WorkflowContext
from holdfast.core.history import EventType
from tests.play import START_MS, Anything, Begin, Play


async def step(ctx: WorkflowContext, name: str) -> Anything:
    return await ctx.execute_activity(name)


def completed(play: Play, expected: object) -> None:
    """Check how a run has ended, and that it ends so again when it is replayed."""
    assert play.ended, play.open
    assert play.result == expected
    again = play.replayed()
    assert again.outcome == play.run.outcome


def test_sleep_is_a_durable_timer(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> float:
        begun = asyncio.get_running_loop().time()
        await asyncio.sleep(90)
        return asyncio.get_running_loop().time() - begun

    play = begin(run)
    assert play.words == ["timer_started"]
    assert play.asked[0].details == {"due": play.now + 90_000}

    play.fire()
    completed(play, 90.0)


def test_sleep_of_nothing_costs_no_timer(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> int:
        await asyncio.sleep(0)
        return 1

    play = begin(run)

    assert play.words == ["workflow_completed"]


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


def test_wait_gives_up_at_its_time_out(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[int]:
        task = asyncio.create_task(step(ctx, "a"))
        done, pending = await asyncio.wait([task], timeout=5)
        late, _ = await asyncio.wait([task], timeout=5)
        return [len(done), len(pending), len(late)]

    play = begin(run)
    play.fire()
    play.complete("a")

    assert play.words == ["timer_cancelled", "workflow_completed"]
    completed(play, [0, 1, 1])


@pytest.mark.parametrize("in_time", [True, False])
def test_wait_for_bounds_a_call(begin: Begin, *, in_time: bool) -> None:
    async def run(ctx: WorkflowContext) -> str:
        try:
            return str(await asyncio.wait_for(step(ctx, "a"), timeout=5))
        except TimeoutError:
            return "late"

    play = begin(run)
    if in_time:
        play.complete("a", "A")
        assert play.words == ["timer_cancelled", "workflow_completed"]
        completed(play, "A")
    else:
        play.fire()
        assert play.words == ["activity_cancelled a", "workflow_completed"]
        completed(play, "late")


@pytest.mark.parametrize("in_time", [True, False])
def test_a_time_out_bounds_a_block(begin: Begin, *, in_time: bool) -> None:
    async def run(ctx: WorkflowContext) -> str:
        try:
            async with asyncio.timeout(5) as limit:
                await step(ctx, "a")
                limit.reschedule(asyncio.get_running_loop().time() + 60)
                return str(await step(ctx, "b"))
        except TimeoutError:
            return f"late: {limit.expired()}"

    play = begin(run)
    play.complete("a")
    assert play.words == ["timer_cancelled", "timer_started", "activity_started b"]

    if in_time:
        play.complete("b", "B")
        completed(play, "B")
    else:
        play.fire()
        assert play.now == START_MS + 2 + 60_000
        completed(play, "late: True")


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


def test_a_queue_joins_producers_and_consumers(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[str]:
        queue: asyncio.Queue[str | None] = asyncio.Queue(maxsize=1)
        taken = []

        async def produce() -> None:
            for name in ("a", "b", "c"):
                await queue.put(await step(ctx, name))
            await queue.put(None)

        async def consume() -> None:
            while (item := await queue.get()) is not None:
                taken.append(await ctx.execute_activity("use", item))
                queue.task_done()

        await asyncio.gather(produce(), consume())
        return taken

    play = begin(run)
    for name in ("a", "b", "use", "c", "use", "use"):
        play.complete(name, name)

    completed(play, ["use"] * 3)


def test_an_event_wakes_all_who_wait(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[str]:
        event = asyncio.Event()

        async def wait(name: str) -> str:
            await event.wait()
            return str(await step(ctx, name))

        waiting = asyncio.gather(wait("a"), wait("b"))
        await ctx.receive_signal("go")
        event.set()
        return list(await waiting)

    play = begin(run)
    assert play.asked == []
    play.signal("go")
    assert play.words == ["activity_started a", "activity_started b"]

    play.complete("b", "B")
    play.complete("a", "A")
    completed(play, ["A", "B"])


def test_a_lock_lets_one_in_at_a_time_in_the_order_they_came(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[str]:
        lock, order = asyncio.Lock(), []

        async def enter(name: str) -> None:
            async with lock:
                await step(ctx, name)
                order.append(name)

        await asyncio.gather(*(enter(name) for name in "abc"))
        return order

    play = begin(run)
    for name in "abc":
        assert [command.name for command in play.open.values()] == [name]
        play.complete(name)

    completed(play, ["a", "b", "c"])


def test_a_semaphore_bounds_how_many_go_on(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> int:
        gate, done = asyncio.Semaphore(2), []

        async def enter(name: str) -> None:
            async with gate:
                done.append(await step(ctx, name))

        await asyncio.gather(*(enter(name) for name in "abcd"))
        return len(done)

    play = begin(run)
    for name in "badc":
        assert len(play.open) <= 2
        play.complete(name)

    completed(play, 4)


def test_a_condition_lets_one_task_wake_another(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[int]:
        condition, stock = asyncio.Condition(), [0]

        async def take() -> int:
            async with condition:
                await condition.wait_for(lambda: stock[0] >= 2)
                stock[0] -= 2
                return stock[0]

        taking = asyncio.create_task(take())
        async for amount in ctx.signal_channel("add"):
            async with condition:
                stock[0] += amount
                condition.notify_all()
            await asyncio.sleep(0)
            if taking.done() or stock[0] >= 2:
                break
        return [await taking, stock[0]]

    play = begin(run)
    play.signal("add", 1)
    play.signal("add", 4)

    completed(play, [3, 3])


def test_a_barrier_holds_until_all_are_there(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[int]:
        barrier = asyncio.Barrier(2)

        async def arrive(name: str) -> int:
            await step(ctx, name)
            return await barrier.wait()

        return sorted(await asyncio.gather(arrive("a"), arrive("b")))

    play = begin(run)
    play.complete("b")
    play.complete("a")

    completed(play, [0, 1])


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


def test_delayed_calls_are_durable_and_can_be_called_off(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[str]:
        loop = asyncio.get_running_loop()
        rung: list[str] = []
        loop.call_later(10, rung.append, "first")
        second = loop.call_at(loop.time() + 5, rung.append, "second")
        await asyncio.sleep(7)
        assert second.when() < loop.time()
        loop.call_later(1, rung.append, "never").cancel()
        await asyncio.sleep(7)
        return rung

    play = begin(run)
    assert play.words == ["timer_started"] * 3
    while not play.ended:
        play.fire()

    completed(play, ["second", "first"])


def test_the_loops_time_is_the_time_of_the_event(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[float]:
        seen = [asyncio.get_running_loop().time(), ctx.now().timestamp()]
        await ctx.execute_activity("a")
        return [*seen, asyncio.get_running_loop().time(), ctx.now().timestamp()]

    play = begin(run)
    begun = play.now
    play.apply(EventType.ACTIVITY_COMPLETED, id="1", value=b"null", after_ms=5_000)

    completed(play, [begun / 1000] * 2 + [begun / 1000 + 5] * 2)


def test_now_is_an_aware_instant(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        return ctx.now().isoformat()

    play = begin(run)

    completed(play, datetime.fromtimestamp((START_MS + 1) / 1000, UTC).isoformat())
