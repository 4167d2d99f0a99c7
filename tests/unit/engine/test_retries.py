"""Attempts that fail: how often and when an activity is tried again, and what its call ends in."""

import asyncio

import pytest

from holdfast import NonRetryableError, RetryPolicy, WorkflowContext, WorkflowFailedError
from tests.play import Anything
from tests.unit.engine.attempts import Failing, calling, outcome
from tests.unit.engine.kit import engine_on, eventually, on_skipping_loop, types_of


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


@on_skipping_loop
async def test_a_run_that_fails_tells_the_innermost_reason() -> None:
    async def run(ctx: WorkflowContext) -> None:
        await ctx.execute_activity(failing)

    failing = Failing(99, ValueError("card declined"))
    async with engine_on(workflows=[run], activities=[failing]) as engine:
        with pytest.raises(WorkflowFailedError, match=r"^workflow 'a' failed: card declined$") as caught:
            await engine.execute(run, id="a")

    assert caught.value.failure.type == "ActivityError"
