"""Tasks that meet: asyncio's queues, events, locks and barriers work in workflow code as ever, and by replay."""

import asyncio

from holdfast import WorkflowContext
from tests.play import Begin
from tests.unit.core.primitives import completed, step


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
