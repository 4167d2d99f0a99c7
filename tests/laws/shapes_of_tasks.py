"""Workflows of the corpus that are made of tasks, timers and what asyncio has to tie them together."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from holdfast import ActivityError, CancelToken, WorkflowContext
from tests.laws.activities import ACTIVITIES, double, echo, refuse, undo
from tests.laws.case import Case, Deed, cancel, case, signal
from tests.play import Anything, Code


async def loop(ctx: WorkflowContext, count: int) -> int:
    total = 0
    for number in range(count):
        total += await ctx.execute_activity(double, number)
        if number % 10 == 3:
            await ctx.sleep(1)
    return total


async def two_steps(ctx: WorkflowContext, name: str) -> list[str]:
    return [await ctx.execute_activity(echo, f"{name}{step}") for step in (1, 2)]


async def branches(ctx: WorkflowContext) -> list[Any]:
    return list(await asyncio.gather(*(two_steps(ctx, name) for name in "abcd"), ctx.sleep(3)))


async def nested_groups(ctx: WorkflowContext) -> list[list[str]]:
    async def inner(name: str) -> list[str]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(two_steps(ctx, f"{name}{n}")) for n in range(2)]
        return [step for task in tasks for step in task.result()]

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(inner(name)) for name in "ab"]
    return [task.result() for task in tasks]


async def group_that_fails(ctx: WorkflowContext) -> list[str]:
    """One of a group fails while the others wait; each of them cleans up."""
    cleaned: list[str] = []

    async def branch(name: str) -> None:
        try:
            await two_steps(ctx, name)
            await ctx.sleep(100)
        finally:
            cleaned.append(str(await ctx.execute_activity(undo, name)))

    async def failing() -> None:
        await ctx.execute_activity(echo, "begin")
        await ctx.execute_activity(refuse, "no")

    try:
        async with asyncio.TaskGroup() as group:
            for name in "abc":
                group.create_task(branch(name))
            group.create_task(failing())
    except* ActivityError as errors:
        cleaned.append(str(errors.exceptions[0]))
    return cleaned


async def first_of_several(ctx: WorkflowContext) -> list[str]:
    """Two results may come in one tick; the slower ones are called off."""
    tasks = [asyncio.create_task(two_steps(ctx, name), name=name) for name in "abcd"]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.wait(pending)
    return [*(f"won {task.get_name()}" for task in done), *(f"{task.cancelled()}" for task in tasks)]


async def pool(ctx: WorkflowContext, jobs: int) -> list[int]:
    """Three jobs at a time, as one or more end the next ones begin."""
    left, results = list(range(jobs)), []
    under_way: set[asyncio.Task[int]] = set()
    while left or under_way:
        while left and len(under_way) < 3:
            under_way.add(asyncio.create_task(ctx.execute_activity(double, left.pop(0))))
        done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        results += [await ctx.execute_activity(double, task.result()) for task in done]
    return sorted(results)


async def in_order_of_completion(ctx: WorkflowContext) -> list[Any]:
    calls = [ctx.execute_activity(echo, n) for n in range(5)]
    return [await ctx.execute_activity(echo, await each) for each in ctx.as_completed(calls)]


async def saga(ctx: WorkflowContext) -> list[str]:
    """Undo in reverse whatever was done, also where that is cancelled again, inside scopes of its own."""
    done: list[str] = []

    async def step(name: str) -> None:
        done.append(name)
        await ctx.execute_activity(echo, name)

    try:
        await step("car")
        async with asyncio.TaskGroup() as group:
            group.create_task(step("hotel"))
            group.create_task(step("flight"))
        await ctx.sleep(50)
    except CancelToken:
        with contextlib.suppress(CancelToken):
            await asyncio.gather(*(ctx.execute_activity(undo, name) for name in reversed(done)))
        await ctx.execute_activity(undo, "everything")
        raise
    return done


async def scopes(ctx: WorkflowContext) -> list[str]:
    """A task that is cancelled by another one, while that is cancelled from outside."""
    seen: list[str] = []

    async def inner(name: str) -> None:
        try:
            await ctx.sleep(30)
        except CancelToken:
            seen.append(str(await ctx.execute_activity(undo, name)))
            raise

    async def outer() -> None:
        task = asyncio.create_task(inner("inner"))
        try:
            await ctx.execute_activity(echo, "outer")
        finally:
            task.cancel()
            with contextlib.suppress(CancelToken):
                await task
            await inner("again")

    task = asyncio.create_task(outer())
    try:
        await ctx.receive_signal("stop")
        task.cancel()
        await task
    except CancelToken:
        seen.append("cancelled")
    return seen


async def shielded(ctx: WorkflowContext) -> list[Any]:
    """What is shielded goes on when its waiter is cancelled, and is waited for after all."""
    work = asyncio.ensure_future(two_steps(ctx, "kept"))
    try:
        await asyncio.shield(work)
        await ctx.sleep(40)
    except CancelToken:
        return [await work, "cancelled"]
    return [await work]


async def race(ctx: WorkflowContext, rounds: int) -> list[str]:
    """A timer against a signal, over and over; now and then both come at the same instant."""
    won: list[str] = []
    for _ in range(rounds):
        try:
            won.append(str(await ctx.receive_signal("n", timeout=2)))
        except TimeoutError:
            won.append(str(await ctx.execute_activity(echo, "late")))
    return won


async def deadlines(ctx: WorkflowContext) -> list[str]:
    """Blocks and calls with little time, inside of each other."""
    seen: list[str] = []
    for limit in (1, 2, 4, 8):
        try:
            async with asyncio.timeout(limit):
                await two_steps(ctx, f"in{limit}-")
                async with asyncio.timeout(1):
                    seen += await asyncio.wait_for(two_steps(ctx, f"deep{limit}-"), timeout=3)
        except TimeoutError:
            seen.append(f"{limit} s are not enough")
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(two_steps(ctx, "never"), timeout=0)
    return seen


async def queue(ctx: WorkflowContext) -> list[int]:
    """Producers and consumers over a queue that is often full."""
    items: asyncio.Queue[int] = asyncio.Queue(2)
    results: list[int] = []

    async def produce(start: int) -> None:
        for number in range(start, start + 4):
            await items.put(await ctx.execute_activity(double, number))

    async def consume() -> None:
        while True:
            results.append(await ctx.execute_activity(double, await items.get()))
            items.task_done()

    consumers = [asyncio.create_task(consume()) for _ in range(2)]
    await asyncio.gather(produce(0), produce(10))
    await items.join()
    for consumer in consumers:
        consumer.cancel()
    await asyncio.gather(*consumers, return_exceptions=True)
    return sorted(results)


async def locks(ctx: WorkflowContext) -> list[str]:
    """A lock, a semaphore, a barrier, an event and a condition, each between tasks."""
    seen: list[str] = []
    lock, places, barrier, event = asyncio.Lock(), asyncio.Semaphore(2), asyncio.Barrier(3), asyncio.Event()
    condition = asyncio.Condition()

    async def visitor(name: str) -> None:
        await event.wait()
        async with places:
            await ctx.execute_activity(echo, name)
        async with lock:
            seen.append(str(await ctx.execute_activity(echo, f"{name} alone")))
        await barrier.wait()
        async with condition:
            await condition.wait_for(lambda: len(seen) >= 4)

    async def opener() -> None:
        await ctx.sleep(1)
        event.set()
        await ctx.sleep(9)
        async with condition:
            seen.append("opened")
            condition.notify_all()

    await asyncio.gather(opener(), *(visitor(name) for name in "abc"))
    return seen


async def pages(ctx: WorkflowContext, count: int) -> AsyncGenerator[int, None]:
    try:
        for number in range(count):
            yield await ctx.execute_activity(double, number)
    finally:
        await ctx.execute_activity(undo, "the generator")


async def generators(ctx: WorkflowContext) -> list[int]:
    """One async generator read to its end, one left half-way, two side by side."""
    seen = [number async for number in pages(ctx, 3)]
    async with contextlib.aclosing(pages(ctx, 3)) as generator:
        async for number in generator:
            seen.append(number)
            break

    async def read() -> None:
        seen.extend([number async for number in pages(ctx, 2)])

    await asyncio.gather(read(), read())
    return seen


async def stacked(ctx: WorkflowContext) -> str:
    """Callbacks of an exit stack run in reverse when the block fails."""
    try:
        async with contextlib.AsyncExitStack() as stack:
            for name in "abc":
                await ctx.execute_activity(echo, name)
                stack.push_async_callback(ctx.execute_activity, undo, name)
            await ctx.execute_activity(refuse, "d")
    except ActivityError as error:
        return str(error)
    return "no"


async def delayed_calls(ctx: WorkflowContext) -> list[str]:
    """Callbacks of the loop that ask for things, one of which is called off."""
    asyncio_loop, seen = asyncio.get_running_loop(), asyncio.Queue[str]()

    def later(name: str) -> None:
        ctx.set_attributes(last=name)
        seen.put_nowait(name)

    asyncio_loop.call_later(2, later, "two")
    asyncio_loop.call_later(1, later, "one")
    asyncio_loop.call_later(3, later, "never").cancel()
    asyncio_loop.call_soon(later, "soon")
    return [await seen.get() for _ in range(3)]


async def out_of_time(ctx: WorkflowContext) -> None:
    """Over its time-out while it waits for several things, with a clean-up."""
    try:
        await asyncio.gather(ctx.sleep(1_000), ctx.receive_signal("never"), two_steps(ctx, "a"))
    finally:
        await ctx.execute_activity(undo, "all")


async def exits(ctx: WorkflowContext) -> None:
    await ctx.execute_activity(echo, "before")
    raise SystemExit(3)


def of(workflow: Code, *deeds: Deed, **options: Anything) -> Case:
    return case(workflow, *deeds, activities=ACTIVITIES, **options)


CASES = (
    of(loop, input=5),
    of(loop, input=45, name="long_loop"),
    of(branches),
    of(nested_groups),
    of(group_that_fails),
    of(first_of_several),
    of(pool, input=8),
    of(in_order_of_completion),
    of(saga, cancel(3, "the customer is ill"), cancel(4), cancel(6)),
    of(saga, cancel(12), cancel(12), name="saga_cancelled_twice_at_once"),
    of(scopes, signal(2, "stop")),
    of(scopes, signal(2, "stop"), cancel(3), name="scopes_cancelled"),
    of(shielded, cancel(1)),
    of(race, *(signal(at, "n", at) for at in (1, 2, 4, 6, 6, 9, 10, 14)), input=9),
    of(deadlines),
    of(queue),
    of(locks),
    of(generators),
    of(stacked),
    of(delayed_calls),
    of(out_of_time, timeout=20),
    of(exits),
)
