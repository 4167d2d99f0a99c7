"""Attempts and the end of their process: redone, bounded, waited for, and taken up again by the next one."""

import asyncio
import threading
from typing import Any

import pytest

from holdfast import ActivityContext, RetryPolicy, WorkflowContext
from holdfast.stores import MemoryStore
from tests.play import Anything, Code
from tests.unit.engine.attempts import Failing, calling
from tests.unit.engine.kit import died, engine_on, eventually, on_skipping_loop
from tests.unit.engine.stores import Store, content


@on_skipping_loop
async def test_an_interrupted_attempt_is_redone_at_once_with_the_next_number_and_not_counted() -> None:
    store = MemoryStore()
    seen: list[tuple[int, str]] = []

    async def act(context: ActivityContext) -> int:
        seen.append((context.attempt, context.idempotency_key))
        if len(seen) <= 4:
            await asyncio.sleep(3_600)
        raise OSError("down")

    run = calling(act, retry=RetryPolicy(max_attempts=2))
    options: dict[str, Any] = {"workflows": [run], "activities": [act]}
    for crash in range(4):
        engine = engine_on(store, **options)
        await engine.open()
        if crash == 0:
            await engine.start(run, id="a")
        await eventually(lambda crash=crash: len(seen) == crash + 1)  # type: ignore[misc]
        await died(engine)

    async with engine_on(store, **options) as engine:
        found = await engine.handle("a").result()
    assert [number for number, _ in seen] == [1, 2, 3, 4, 5, 6]
    assert len({key for _, key in seen}) == 1
    assert found == {"attempt": 6, "type": "OSError", "message": "down"}


@on_skipping_loop
async def test_a_retry_that_the_owner_began_while_its_successor_waited_is_not_begun_under_the_same_number() -> None:
    store = MemoryStore()
    seen: list[int] = []

    async def act(context: ActivityContext) -> int:
        seen.append(context.attempt)
        if context.attempt == 1:
            raise OSError("down")
        if context.attempt == 2:
            await asyncio.sleep(3_600)
        return context.attempt

    run = calling(act, retry=RetryPolicy(initial_interval=20, max_interval=20))
    first = engine_on(store, workflows=[run], activities=[act])
    await first.open()
    await first.start(run, id="a")
    await eventually(lambda: seen == [1])
    second = engine_on(store, workflows=[run], activities=[act], instance="two")
    waits = asyncio.create_task(second.open())
    await eventually(lambda: seen == [1, 2])
    await died(first)
    await waits

    assert await second.handle("a").result() == 3
    assert seen == [1, 2, 3]
    await second.close()


@on_skipping_loop
async def test_a_single_attempt_that_is_lost_ends_in_an_unknown_outcome() -> None:
    store = MemoryStore()
    seen: list[int] = []

    async def act(context: ActivityContext) -> None:
        seen.append(context.attempt)
        await asyncio.sleep(3_600)

    run = calling(act, retry=RetryPolicy(max_attempts=1))
    first = engine_on(store, workflows=[run], activities=[act])
    await first.open()
    await first.start(run, id="a")
    await eventually(lambda: seen)
    await died(first)

    async with engine_on(store, workflows=[run], activities=[act]) as second:
        found = await second.handle("a").result()
    assert "outcome unknown" in found["message"]
    assert seen == [1]


@on_skipping_loop
async def test_interruptions_have_a_limit_of_their_own() -> None:
    store = MemoryStore()
    seen: list[int] = []

    async def act(context: ActivityContext) -> None:
        seen.append(context.attempt)
        await asyncio.sleep(3_600)

    run = calling(act, retry=RetryPolicy(max_attempts=None))
    options: dict[str, Any] = {"workflows": [run], "activities": [act]}
    for crash in range(11):
        engine = engine_on(store, **options)
        await engine.open()
        if crash == 0:
            await engine.start(run, id="a")
        await eventually(lambda crash=crash: len(seen) == crash + 1)  # type: ignore[misc]
        await died(engine)

    async with engine_on(store, **options) as engine:
        found = await engine.handle("a").result()
    assert "outcome unknown" in found["message"]
    assert len(seen) == 11


@pytest.mark.parametrize("clean", [True, False])
@on_skipping_loop
async def test_a_wait_before_the_next_attempt_goes_on_after_a_restart(*, clean: bool) -> None:
    store = MemoryStore()
    failing = Failing(1)
    run = calling(failing, retry=RetryPolicy(initial_interval=100, max_interval=100))
    first = engine_on(store, workflows=[run], activities=[failing])
    await first.open()
    await first.start(run, id="a")
    await eventually(lambda: failing.at)
    await asyncio.sleep(40)
    await (first.close() if clean else died(first))

    async with engine_on(store, workflows=[run], activities=[failing]) as second:
        assert await second.handle("a").result() == 2
    assert failing.at[1] - failing.at[0] == pytest.approx(100, abs=1)


@on_skipping_loop
async def test_restarts_during_the_wait_for_an_attempt_cost_no_attempts() -> None:
    """Nothing was lost with the process: nothing was running."""
    store = MemoryStore()
    failing = Failing(1)
    run = calling(failing, retry=RetryPolicy(max_attempts=2, initial_interval=100, max_interval=100))
    options: dict[str, Any] = {"workflows": [run], "activities": [failing]}
    first = engine_on(store, **options)
    await first.open()
    await first.start(run, id="a")
    await eventually(lambda: failing.at)
    await asyncio.sleep(1)
    for _ in range(12):
        await first.close()
        await asyncio.sleep(200)  # it comes due while nobody is there
        first = engine_on(Store(store), **options)
        await first.open()
        if failing.attempts[1:]:
            break
    result = await first.handle("a").result()
    await first.close()

    assert result == 2
    assert failing.attempts == [1, 2]


@on_skipping_loop
async def test_a_heartbeat_outlives_the_process() -> None:
    store = MemoryStore()
    seen: list[Any] = []

    async def act(context: ActivityContext) -> Anything:
        seen.append(context.last_heartbeat)
        if len(seen) == 1:
            context.heartbeat({"row": 7})
            await asyncio.sleep(3_600)
        return context.last_heartbeat

    run = calling(act, heartbeat_timeout=60)
    first = engine_on(store, workflows=[run], activities=[act])
    await first.open()
    await first.start(run, id="a")
    await asyncio.sleep(5)
    await died(first)

    async with engine_on(store, workflows=[run], activities=[act]) as second:
        assert await second.handle("a").result() == {"row": 7}


@on_skipping_loop
async def test_a_clean_end_waits_for_running_activities_a_while() -> None:
    store = MemoryStore()

    async def act(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"

    run = calling(act)
    first = engine_on(store, workflows=[run], activities=[act], drain=10)
    await first.open()
    await first.start(run, 5, id="short")
    await first.start(run, 500, id="long")
    await asyncio.sleep(1)
    loop = asyncio.get_running_loop()
    before = loop.time()
    await first.close()
    assert 9 < loop.time() - before < 13

    assert content(store, "run:short")["status"] == "completed"
    async with engine_on(store, workflows=[run], activities=[act]) as second:
        assert (await second.describe("long")).pending[0].attempt == 2
        assert await second.handle("long").result() == "done"


@on_skipping_loop
async def test_an_unregistered_activity_waits_visibly_until_a_process_knows_it() -> None:
    store = MemoryStore()

    async def known() -> str:
        return "known now"

    async def run(ctx: WorkflowContext) -> Anything:
        return await ctx.execute_activity("known")

    async with engine_on(store, workflows=[run], activities=[]) as engine:
        await engine.start(run, id="a")
        await engine.settled()
        shown = await engine.describe("a")
        assert shown.waiting_for == ["activity 'known', which is not registered here"]
        assert not shown.pending[0].registered
    async with engine_on(store, workflows=[run], activities=[known]) as engine:
        assert await engine.handle("a").result() == "known now"
        assert (await engine.history("a"))[-2].type == "activity_completed"


@pytest.mark.parametrize("kind", ["async", "plain"])
@on_skipping_loop
async def test_an_attempt_that_had_not_begun_at_a_clean_end_counts_for_nothing(kind: str) -> None:
    store = MemoryStore()
    blocked = asyncio.Event()
    stuck = threading.Event()
    attempts: list[tuple[str, int]] = []

    async def waits(context: ActivityContext) -> str:
        attempts.append((context.workflow_id, context.attempt))
        await blocked.wait()
        return "done"

    def waits_on_a_thread(context: ActivityContext) -> str:
        attempts.append((context.workflow_id, context.attempt))
        stuck.wait(60)
        return "done"

    act: Code = waits if kind == "async" else waits_on_a_thread
    run = calling(act, retry=RetryPolicy(max_attempts=1))
    options: dict[str, Any] = {"workflows": [run], "activities": [act], "max_async_activities": 1, "max_threads": 1}
    first = engine_on(store, **options)
    await first.open()
    await first.start(run, id="began")
    await eventually(lambda: attempts)
    await first.start(run, id="queued")
    await first.close()
    blocked.set()
    stuck.set()

    async with engine_on(store, **options) as second:
        assert "outcome unknown" in (await second.handle("began").result())["message"]
        assert await second.handle("queued").result() == "done"
    assert attempts == [("began", 1), ("queued", 1)]
