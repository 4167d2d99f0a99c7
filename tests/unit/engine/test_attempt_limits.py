"""Attempts that take too long: time-outs, the bound on all attempts together, and heartbeats."""

import asyncio
from typing import Any

from holdfast import ActivityContext, RetryPolicy, WorkflowContext, activity
from tests.unit.engine.attempts import Failing, calling, outcome
from tests.unit.engine.kit import engine_on, eventually, on_skipping_loop, types_of
from tests.unit.engine.stores import Store


@on_skipping_loop
async def test_an_attempt_is_given_up_at_its_time_out_and_nobody_waits_for_it() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while swallowed < 3:
            try:
                await asyncio.sleep(3_600)
            except asyncio.CancelledError:
                swallowed += 1

    loop = asyncio.get_running_loop()
    before = loop.time()
    found = await outcome(stubborn, timeout=5, retry=RetryPolicy(max_attempts=2))

    assert found["type"] == "TimeoutError"
    assert found["message"] == "activity 'stubborn' did not return within 5 s"
    assert loop.time() - before < 30
    swallowed = 3


@on_skipping_loop
async def test_an_activity_that_swallows_cancellation_changes_nothing_when_it_returns_at_last() -> None:
    let_go = asyncio.Event()
    returned: list[int] = []

    async def stubborn(context: ActivityContext) -> int:
        if context.attempt == 1:
            while not let_go.is_set():
                try:
                    await let_go.wait()
                except asyncio.CancelledError:
                    continue
            returned.append(context.attempt)
        return context.attempt

    run = calling(stubborn, timeout=5)
    async with engine_on(workflows=[run], activities=[stubborn], max_async_activities=1) as engine:
        assert await engine.execute(run, id="a") == 2  # the place of the first is free for the second
        before = await types_of(engine, "a")
        let_go.set()
        await eventually(lambda: returned)
        await engine.settled()
        assert await types_of(engine, "a") == before


@on_skipping_loop
async def test_the_clock_of_an_attempt_starts_when_its_body_does() -> None:
    async def slow(number: int) -> int:
        await asyncio.sleep(4)
        return number

    async def run(ctx: WorkflowContext) -> list[int]:
        calls = [ctx.execute_activity(slow, n, timeout=5, retry=RetryPolicy(max_attempts=1)) for n in range(5)]
        return list(await asyncio.gather(*calls))

    async with engine_on(workflows=[run], activities=[slow], max_async_activities=1) as engine:
        assert await engine.execute(run) == [0, 1, 2, 3, 4]


@on_skipping_loop
async def test_schedule_to_close_bounds_all_attempts_together() -> None:
    failing = Failing(99)
    loop = asyncio.get_running_loop()
    before = loop.time()
    policy = RetryPolicy(max_attempts=None, initial_interval=4, backoff_coefficient=1)

    found = await outcome(failing, retry=policy, schedule_to_close=10)

    assert loop.time() - before < 11
    assert len(failing.at) == 3
    assert found["type"] == "OSError"  # the next attempt would be too late, so the last failure is the answer


@on_skipping_loop
async def test_schedule_to_close_ends_a_running_attempt() -> None:
    async def slow() -> None:
        await asyncio.sleep(3_600)

    assert await outcome(slow, schedule_to_close=10) == {
        "attempt": 1, "type": "TimeoutError", "message": "it did not complete within its schedule_to_close",
    }  # fmt: skip


@on_skipping_loop
async def test_an_attempt_that_falls_silent_is_given_up() -> None:
    async def silent(context: ActivityContext) -> list[Any]:
        for number in range(3):
            context.heartbeat(number)
            await asyncio.sleep(4)
        if context.attempt == 1:
            await asyncio.sleep(3_600)
        return [context.attempt, context.last_heartbeat]

    assert await outcome(silent, heartbeat_timeout=5) == [2, 2]


@on_skipping_loop
async def test_heartbeats_are_kept_at_most_every_third_of_their_time_out() -> None:
    async def eager(context: ActivityContext) -> None:
        for number in range(300):
            context.heartbeat(number)
            await asyncio.sleep(0.1)

    store = Store()
    run = calling(eager, heartbeat_timeout=9)
    async with engine_on(store, workflows=[run], activities=[eager]) as engine:
        await engine.execute(run, id="a")

    assert 9 <= sum("run:a" in batch for batch in store.batches) <= 15  # 30 s in steps of 3 s, and the ends


@on_skipping_loop
async def test_a_heartbeat_that_cannot_be_written_is_the_activitys_own_error() -> None:
    async def bad(context: ActivityContext) -> None:
        context.heartbeat("x" * 20_000)

    found = await outcome(bad)

    assert (found["type"], found["attempt"]) == ("PayloadError", 1)


@on_skipping_loop
async def test_an_attempt_is_told_how_long_it_may_run() -> None:
    async def limit(context: ActivityContext) -> float | None:
        return context.timeout

    assert await outcome(limit) is None
    assert await outcome(activity(timeout=2)(limit)) == 2
    assert await outcome(limit, timeout=0.5) == 0.5
