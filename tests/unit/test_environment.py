"""The test environment that is shipped: time is skipped, activities are played, histories are saved and replayed."""

import asyncio
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from holdfast import NondeterminismError, RefError, RetryPolicy, RunStatus, WorkflowContext, WorkflowFailedError
from holdfast.testing import TestEnvironment, replay, save_history
from tests.play import Anything
from tests.unit.engine.kit import collect, nap, parked


async def charge(amount: int) -> str:
    raise AssertionError("no test charges anybody")


async def order(ctx: WorkflowContext, amount: int = 5) -> str:
    return str(await ctx.execute_activity(charge, amount, retry=RetryPolicy(max_attempts=2)))


async def reminders(ctx: WorkflowContext, days: int = 3) -> list[str]:
    sent: list[str] = []
    ctx.set_query_handler("sent", lambda: sent)
    for _ in range(days):
        await ctx.sleep(timedelta(days=1))
        sent.append(ctx.now().date().isoformat())
    return sent


async def paid_async(amount: int) -> str:
    return f"paid {amount}"


def paid(amount: int) -> str:
    return f"paid {amount}"


@pytest.mark.parametrize(
    ("replacement", "result"), [(paid, "paid 5"), (paid_async, "paid 5"), ("a receipt", "a receipt")]
)
@pytest.mark.parametrize("target", [charge, "charge"])
async def test_an_activity_is_played_by_a_function_or_a_value(
    target: Anything, replacement: Anything, result: str
) -> None:
    async with TestEnvironment(workflows=[order], activities=[charge]) as env:
        env.stub(target, replacement)

        assert await env.execute(order) == result


@pytest.mark.parametrize("replacement", [ValueError("declined"), ValueError])
async def test_an_activity_is_played_by_an_error(replacement: Anything) -> None:
    async with TestEnvironment(workflows=[order], activities=[charge]) as env:
        env.stub(charge, replacement)

        with pytest.raises(WorkflowFailedError) as caught:
            await env.execute(order)
    assert caught.value.failure.cause is not None
    assert caught.value.failure.cause.type == "ValueError"


async def test_an_activity_that_the_engine_does_not_know_is_played_too() -> None:
    async def asks(ctx: WorkflowContext) -> Anything:
        return await ctx.execute_activity("elsewhere", 1)

    async with TestEnvironment(workflows=[asks]) as env:
        env.stub("elsewhere", {"found": 1})

        assert await env.execute(asks) == {"found": 1}


async def test_skipping_stops_where_it_is_told_to_and_all_that_came_due_has_happened() -> None:
    async with TestEnvironment(workflows=[reminders]) as env:
        handle = await env.start(reminders, id="a")
        before = env.now()
        await env.skip(timedelta(days=2, hours=1))

        assert timedelta(days=2, hours=1) <= env.now() - before < timedelta(days=2, hours=2)
        assert len(await handle.query("sent")) == 2
        await env.skip(timedelta(days=1))
        assert await handle.status() is RunStatus.COMPLETED
        assert await env.handle("a").result() == await handle.result()


async def test_awaiting_a_result_skips_what_is_slept_on_the_way() -> None:
    async with TestEnvironment(workflows=[nap]) as env:
        assert await env.execute(nap, 30 * 24 * 3600) == "rested"


async def test_nothing_is_skipped_unless_somebody_asks_for_it() -> None:
    async with TestEnvironment(workflows=[nap, collect]) as env:
        sleeping = await env.start(nap, 3600)
        collecting = await env.start(collect, 1)
        await collecting.signal("n", 1)
        await env.settled()

        assert await collecting.status() is RunStatus.COMPLETED
        assert await sleeping.status() is RunStatus.RUNNING


async def recorded(env: TestEnvironment, code: Anything, input: Anything) -> list[Any]:
    handle = await env.start(code, input)
    await handle.result()
    return await env.engine.history(handle.id)


async def test_a_history_is_replayed_in_a_running_loop_and_from_a_file(tmp_path: Path) -> None:
    async with TestEnvironment(workflows=[nap]) as env:
        history = await recorded(env, nap, 5)
    save_history(tmp_path / "nap.json", history)

    assert replay(nap, history) is RunStatus.COMPLETED
    assert replay(nap, tmp_path / "nap.json") is RunStatus.COMPLETED
    assert replay(nap, history[:2]) is RunStatus.RUNNING
    with pytest.raises(NondeterminismError, match="expected timer_started"):
        replay(parked, history)


async def courier(ctx: WorkflowContext) -> None:
    if ctx.thread_key == "a key: with | in it":
        assert await ctx.ref_id("asked") is None
        with pytest.raises(RefError):
            await ctx.ref_id("asked")


async def test_a_thread_is_replayed_under_its_key_and_with_answers_that_are_null() -> None:
    async with TestEnvironment(workflows=[courier], resume_entry="courier") as env:
        for record in (b"new:null", b'{"ref":"asked"}', b'{"ref":"asked","error":null}'):
            await env.engine.deliver("workflow-resume", "a key: with | in it", record)
        await env.settled()
        (run,) = (await env.engine.list()).items

        history = await env.engine.history(run.workflow_id)

        assert replay(courier, history) is RunStatus.COMPLETED
        assert replay(courier, history[:2]) is RunStatus.RUNNING


async def gamble(ctx: WorkflowContext) -> None:
    await ctx.execute_activity(charge, random.randrange(1_000_000))  # not the run's own


async def test_code_that_is_not_deterministic_fails_where_its_result_is_awaited() -> None:
    async with TestEnvironment(workflows=[gamble], activities=[charge]) as env:
        env.stub(charge, "paid")

        with pytest.raises(NondeterminismError, match=r"workflow 'a' is stalled: .* when it was replayed") as caught:
            await env.execute(gamble, id="a")

        assert caught.value.expected.startswith("activity_started 'charge' (id 1)")


async def test_a_run_that_nobody_ends_is_told_with_what_it_waits_for() -> None:
    async with TestEnvironment(workflows=[collect, order], patience=0.02) as env:
        with pytest.raises(TimeoutError, match=r"nothing is left to do.*workflow 'a' waits for signal 'n'"):
            await env.execute(collect, id="a")
        with pytest.raises(TimeoutError, match=r"workflow 'b' waits for .*charge.*not registered"):
            await env.execute(order, id="b")
        with pytest.raises(TimeoutError, match=r"nothing is left to do that could bring what is awaited$"):
            await env.skipping(asyncio.Event().wait())
