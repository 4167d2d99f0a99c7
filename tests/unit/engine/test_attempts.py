"""Attempts of activities: counted, retried, bounded in time, fenced, and taken up again after a crash."""

import asyncio
from typing import Any

import pytest

from holdfast import (
    ActivityContext,
    ActivityError,
    NonRetryableError,
    RetryPolicy,
    WorkflowContext,
    WorkflowFailedError,
)
from holdfast.stores import MemoryStore
from tests.play import Anything, Code
from tests.unit.engine.kit import died, engine_on, eventually, on_skipping_loop, types_of
from tests.unit.engine.stores import Store, content


def calling(activity: Code, **options: Anything) -> Code:
    """Make a workflow that calls an activity, and gives what became of it."""

    async def run(ctx: WorkflowContext, value: Anything = None) -> Anything:
        try:
            return await ctx.execute_activity(activity, value, **options)
        except ActivityError as error:
            return {"attempt": error.attempt, "type": error.cause.type, "message": error.cause.message}

    return run


class Failing:
    """An activity that fails some times, then returns the number of its attempt."""

    __name__ = "failing"

    def __init__(self, times: int, error: BaseException | None = None) -> None:
        self.times = times
        self.error = error or OSError("down")
        self.at: list[float] = []
        self.attempts: list[int] = []
        self.keys: set[str] = set()

    async def __call__(self, context: ActivityContext) -> int:
        self.at.append(asyncio.get_running_loop().time())
        self.attempts.append(context.attempt)
        self.keys.add(context.idempotency_key)
        if len(self.at) <= self.times:
            raise self.error
        return context.attempt


async def outcome(activity: Code, **options: Anything) -> Anything:
    run = calling(activity, **options)
    async with engine_on(workflows=[run], activities=[activity], dev_replay=True) as engine:
        return await engine.execute(run, id="a")


@on_skipping_loop
async def test_a_failed_attempt_is_followed_by_another_under_the_same_idempotency_key() -> None:
    failing = Failing(2)

    assert await outcome(failing) == 3
    assert failing.attempts == [1, 2, 3]
    assert len(failing.keys) == 1
    assert 0.1 <= failing.at[1] - failing.at[0] < 0.12  # times a factor that the test has set to one
    assert 0.2 <= failing.at[2] - failing.at[1] < 0.22


@on_skipping_loop
async def test_the_last_failure_is_the_calls_failure_and_the_only_one_in_the_history() -> None:
    failing = Failing(99)
    run = calling(failing)
    async with engine_on(workflows=[run], activities=[failing]) as engine:
        assert await engine.execute(run, id="a") == {"attempt": 3, "type": "OSError", "message": "down"}
        assert await types_of(engine, "a") == [
            "workflow_started", "activity_started", "activity_failed", "workflow_completed",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("policy", "error", "attempts"),
    [
        (RetryPolicy(max_attempts=1), OSError(), 1),
        (RetryPolicy(max_attempts=5), OSError(), 5),
        (RetryPolicy(), NonRetryableError("no"), 1),
        (RetryPolicy(non_retryable=(OSError,)), ConnectionError(), 1),
        (RetryPolicy(non_retryable=("ConnectionError",)), ConnectionError(), 1),
        (RetryPolicy(max_attempts=2), SystemExit(3), 2),
        (RetryPolicy(max_attempts=2), asyncio.CancelledError(), 2),
    ],
)
@on_skipping_loop
async def test_the_policy_of_the_call_says_how_often(policy: RetryPolicy, error: BaseException, attempts: int) -> None:
    failing = Failing(99, error)

    assert (await outcome(failing, retry=policy))["attempt"] == attempts
    assert len(failing.at) == attempts


@on_skipping_loop
async def test_without_a_limit_it_is_tried_until_it_works_at_the_longest_interval() -> None:
    failing = Failing(300)
    policy = RetryPolicy(max_attempts=None, initial_interval=1, max_interval=4)

    assert await outcome(failing, retry=policy) == 301
    assert failing.at[-1] - failing.at[-2] == pytest.approx(4, abs=0.1)


@on_skipping_loop
async def test_what_is_pending_is_shown_with_its_last_failure() -> None:
    failing = Failing(99)
    run = calling(failing, retry=RetryPolicy(initial_interval=60, max_interval=60))
    async with engine_on(workflows=[run], activities=[failing]) as engine:
        await engine.start(run, id="a")
        await eventually(lambda: failing.at)
        await asyncio.sleep(1)
        [pending] = (await engine.describe("a")).pending

        assert (pending.name, pending.attempt, pending.max_attempts) == ("failing", 2, 3)
        assert pending.failure
        assert (pending.failure.type, pending.failure.message) == ("OSError", "down")
        assert pending.next_at
        assert 50 < (pending.next_at - engine.now()).total_seconds() < 60


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
async def test_an_input_or_result_that_does_not_fit_is_not_retried() -> None:
    calls: list[int] = []

    async def typed(value: int) -> int:
        calls.append(value)
        return value

    async def odd() -> Anything:
        calls.append(0)
        return object()

    run = calling(typed)
    async with engine_on(workflows=[run], activities=[typed]) as engine:
        found = await engine.execute(run, "many")
        assert (found["type"], found["attempt"]) == ("PayloadError", 1)
    assert calls == []
    assert (await outcome(odd))["message"].startswith("result of activity 'odd' cannot be written as JSON")
    assert calls == [0]


# After the end of a process.


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


@on_skipping_loop
async def test_a_run_that_fails_tells_the_innermost_reason() -> None:
    async def run(ctx: WorkflowContext) -> None:
        await ctx.execute_activity(failing)

    failing = Failing(99, ValueError("card declined"))
    async with engine_on(workflows=[run], activities=[failing]) as engine:
        with pytest.raises(WorkflowFailedError, match=r"^workflow 'a' failed: card declined$") as caught:
            await engine.execute(run, id="a")

    assert caught.value.failure.type == "ActivityError"
