"""Leaving memory and coming back: eviction, reloads, and what must not happen twice on the way."""

import asyncio
import contextlib
import gc
import itertools
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from holdfast import ActivityContext, RetryPolicy, RunStatus, WorkflowContext
from holdfast.engine.runs.verify import replay_difference
from holdfast.stores import MemoryStore
from tests.play import Anything, Code
from tests.unit.engine.kit import collect, engine_on, eventually, nap, on_skipping_loop, parked, steps, types_of
from tests.unit.engine.stores import Store

LOOPS: list[str] = []


@pytest.fixture(autouse=True)
def empty() -> None:
    LOOPS.clear()


def note() -> None:
    LOOPS.append(type(asyncio.get_running_loop()).__name__)


async def in_finally(ctx: WorkflowContext) -> Anything:
    try:
        return await ctx.receive_signal("end")
    finally:
        note()
        await ctx.execute_activity(mark, "finally")


async def in_base_exception(ctx: WorkflowContext) -> Anything:
    try:
        return await ctx.receive_signal("end")
    except BaseException:
        note()
        await ctx.execute_activity(mark, "base exception")
        raise


async def numbers(ctx: WorkflowContext) -> AsyncGenerator[Any, None]:
    try:
        while True:
            yield await ctx.receive_signal("end")
    finally:
        note()
        await ctx.execute_activity(mark, "generator")


async def in_generator(ctx: WorkflowContext) -> Anything:
    async with contextlib.aclosing(numbers(ctx)) as generator:
        return await anext(generator)


MARKS: list[str] = []


async def mark(what: str) -> None:
    MARKS.append(what)


SHAPES: list[Code] = [in_finally, in_base_exception, in_generator]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
@pytest.mark.parametrize("how", ["evicted", "collected"])
@on_skipping_loop
async def test_a_run_that_leaves_memory_inside_a_block_is_unwound_under_its_own_loop_and_asks_for_nothing(
    shape: Code, how: str
) -> None:
    MARKS.clear()
    async with engine_on(workflows=[shape, parked], activities=[mark], max_cached_runs=2) as engine:
        handle = await engine.start(shape, id="a")
        before = await engine.history("a")
        if how == "evicted":
            for number in range(5):
                await engine.start(parked, id=f"p{number}")
        else:
            run = engine._parts.runtime.live.pop("a")  # noqa: SLF001 - dropped without a word
            asyncio.get_running_loop().call_soon(run.leave_memory)
            await asyncio.sleep(1)
            del run
        gc.collect()
        await asyncio.sleep(1)
        assert LOOPS == ["WorkflowLoop"]
        assert MARKS == []
        assert await engine.history("a") == before

        await engine.signal("a", "end", 5)
        assert await handle.result() == 5
        assert MARKS in ([], ["finally"], ["generator"])
    assert set(LOOPS) == {"WorkflowLoop"}


@on_skipping_loop
async def test_the_cache_is_bounded_and_runs_come_back_when_they_are_called_for() -> None:
    async with engine_on(max_cached_runs=5) as engine:
        handles = [await engine.start(collect, 2, id=f"r{number}") for number in range(50)]
        await eventually(lambda: engine.stats().live <= 5)
        for handle in handles:
            await handle.signal("n", handle.id)
        await asyncio.gather(*(handle.signal("n", 2) for handle in handles))

        assert [await handle.result() for handle in handles] == [[f"r{number}", 2] for number in range(50)]
        await eventually(lambda: engine.stats().live <= 5)


@on_skipping_loop
async def test_timers_of_evicted_runs_fire() -> None:
    async with engine_on(max_cached_runs=1) as engine:
        handles = [await engine.start(nap, 60 + number, id=f"r{number}") for number in range(20)]
        assert engine.stats().live <= 2

        assert [await handle.result() for handle in handles] == ["rested"] * 20


@on_skipping_loop
async def test_a_run_that_leaves_memory_while_its_activity_runs_gets_the_result_and_no_second_attempt() -> None:
    begun: list[int] = []

    async def slow(context: ActivityContext) -> int:
        begun.append(context.attempt)
        await asyncio.sleep(30)
        return context.attempt

    async def run(ctx: WorkflowContext) -> int:
        return int(await ctx.execute_activity(slow))

    async with engine_on(workflows=[run, parked], activities=[slow], max_cached_runs=1) as engine:
        handles = [await engine.start(run, id=f"r{number}") for number in range(3)]
        await eventually(lambda: len(begun) == 3)
        for _ in range(3):
            for number in range(5):
                await engine.start(parked, id=f"p{number}", on_conflict="use_existing")
            for number in range(3):
                assert await engine.query(f"r{number}", "status") == "running"

        assert [await handle.result() for handle in handles] == [1, 1, 1]
        assert begun == [1, 1, 1]


@on_skipping_loop
async def test_a_retry_that_waits_survives_eviction() -> None:
    tries: list[float] = []

    async def flaky() -> int:
        tries.append(asyncio.get_running_loop().time())
        if len(tries) < 3:
            raise OSError("down")
        return len(tries)

    async def run(ctx: WorkflowContext) -> int:
        return int(await ctx.execute_activity(flaky, retry=RetryPolicy(initial_interval=50, max_interval=50)))

    async with engine_on(workflows=[run, parked], activities=[flaky], max_cached_runs=1) as engine:
        handle = await engine.start(run, id="a")
        for number in range(10):
            await engine.start(parked, id=f"p{number}")
            await asyncio.sleep(2)
        assert await engine.query("a", "status") == "running"

        assert await handle.result() == 3
    assert [round(b - a) for a, b in itertools.pairwise(tries)] == [50, 50]


@on_skipping_loop
async def test_an_eviction_in_the_midst_of_everything_changes_nothing() -> None:
    async def busy(ctx: WorkflowContext, number: int) -> list[Any]:
        first = await asyncio.gather(
            ctx.execute_activity(mark, "x"), ctx.receive_signal("n"), ctx.sleep(number % 3 + 1)
        )
        child = await ctx.execute_child(steps, number % 3, id=f"child-{number}")
        return [first[1], child, str(ctx.uuid4())]

    async def results(cached: int) -> list[Any]:
        ids = iter(f"id{number}" for number in range(1_000))
        options: dict[str, Any] = {"workflows": [busy, steps], "max_cached_runs": cached, "ids": lambda: next(ids)}
        async with engine_on(**{**options, "activities": [mark, *ECHO]}) as engine:
            handles = [await engine.start(busy, number, id=f"r{number}") for number in range(20)]
            await asyncio.gather(*(handle.signal("n", handle.id) for handle in handles))
            return [await handle.result() for handle in handles]

    assert await results(0) == await results(1_000)


async def echo(value: Anything = None) -> Anything:
    return value


ECHO: list[Code] = [echo]


@on_skipping_loop
async def test_a_run_in_memory_takes_its_next_event_without_reading_the_store() -> None:
    class Counting(Store):
        reads = 0

        async def read(self, keys: Anything) -> Anything:
            self.reads += 1
            return await super().read(keys)

    store = Counting()
    async with engine_on(store) as engine:
        handle = await engine.start(collect, 100, id="a")
        before = store.reads
        for number in range(99):
            await handle.signal("n", number)

        assert store.reads == before


@on_skipping_loop
async def test_a_stalled_run_is_parked_visibly_and_goes_on_when_its_code_fits_again() -> None:
    async def first(ctx: WorkflowContext) -> Anything:
        got = await ctx.receive_signal("n")
        return [got, await ctx.execute_activity(echo, 1)]

    async def second(ctx: WorkflowContext) -> Anything:
        await ctx.execute_activity(echo, 0)
        return await ctx.receive_signal("n")

    for function in (first, second):
        function.__name__ = "changes"
    store = MemoryStore()
    async with engine_on(store, workflows=[first]) as engine:
        await engine.start(first, id="a")
    async with engine_on(store, workflows=[second]) as engine:
        await engine.signal("a", "n", 5, id="s")
        shown = await engine.describe("a")
        assert shown.status is RunStatus.STALLED
        assert shown.error
        assert shown.error.type == "NondeterminismError"
        assert shown.error.details == {"expected": "nothing more", "found": "activity_started 'echo' (id 1)"}
        assert "code that fits its history" in shown.waiting_for[0]
        assert [item.status for item in (await engine.list(status="stalled")).items] == [RunStatus.STALLED]
        await engine.resume("a")
        assert await engine.query("a", "status") == "stalled"
    async with engine_on(store, workflows=[first]) as engine:
        assert await engine.handle("a").result() == [5, 1]
        assert (await types_of(engine, "a")).count("signal_received") == 1


@on_skipping_loop
async def test_a_definition_that_is_gone_stalls_its_runs_and_disturbs_no_others() -> None:
    store = MemoryStore()
    async with engine_on(store) as engine:
        await engine.start(collect, 1, id="a")
        await engine.start(parked, 7, id="b")
    async with engine_on(store, workflows=[parked]) as engine:
        await engine.signal("a", "n", 5)
        await engine.signal("b", "end")
        shown = await engine.describe("a")
        assert shown.status is RunStatus.STALLED
        assert "no workflow 'collect' is registered here" in shown.waiting_for[0]
        assert await engine.handle("b").result() == 7
    async with engine_on(store) as engine:
        assert await engine.handle("a").result() == [5]


@on_skipping_loop
async def test_code_that_cannot_be_replayed_is_found_at_once_where_each_activation_is_replayed() -> None:
    draws = iter(range(1_000))

    async def odd(ctx: WorkflowContext) -> None:
        await ctx.receive_signal("go")
        await ctx.execute_activity(echo, next(draws))

    async with engine_on(workflows=[odd], activities=[echo], dev_replay=True) as engine:
        await engine.start(odd, id="a")
        await engine.signal("a", "go")
        shown = await engine.describe("a")

    assert shown.status is RunStatus.STALLED
    assert shown.error
    assert "the code did something else when it was replayed" in shown.error.message
    assert "First it asked for activity_started 'echo' (id 1) 0, then for activity_started 'echo' (id 1) 1" in (
        shown.error.message
    )


@on_skipping_loop
async def test_a_long_history_is_replayed_in_development_as_it_grows_and_not_at_each_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lengths: list[int] = []

    def counted(*args: Anything) -> Anything:
        lengths.append(len(args[1]))
        return replay_difference(*args)

    monkeypatch.setattr("holdfast.engine.runs.run.replay_difference", counted)
    async with engine_on(dev_replay=True) as engine:
        await engine.execute(steps, 1_000)

    assert lengths[:200] == [0, *range(2, 400, 2)]
    assert 5 < len([length for length in lengths if length > 1_000]) < 30
