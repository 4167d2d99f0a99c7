"""Answers to refs: once for each id, kept where they are early, dropped and counted where they are late."""

import asyncio
import re

import pytest

from holdfast import (
    PayloadError,
    RefError,
    Resolution,
    WorkflowContext,
    WorkflowFailedError,
    WorkflowFinishedError,
    WorkflowNotFoundError,
    workflow,
)
from holdfast.core.refs import MAX_EARLY
from holdfast.stores import MemoryStore
from tests.unit.engine.kit import WORKFLOWS, died, engine_on, eventually, on_skipping_loop, types_of
from tests.unit.engine.resuming import (
    RESUMING,
    asks,
    asks_by_own_ref,
    bears_errors,
    loses_interest,
    opens_late,
)

ALL = [*WORKFLOWS, *RESUMING]
EARLY = f"{MAX_EARLY:,} answers wait for refs that do not exist yet"


@on_skipping_loop
async def test_an_answer_reaches_who_awaits_it() -> None:
    async with engine_on(workflows=ALL, dev_replay=True) as engine:
        handle = await engine.start(asks, id="a")

        assert await engine.resolve_ref("a", "answer", {"yes": [1]}) is Resolution.RESOLVED
        assert await handle.result() == [{"yes": [1]}]
        assert await types_of(engine, "a") == ["workflow_started", "ref_resolved", "workflow_completed"]


@on_skipping_loop
async def test_a_handle_answers_the_refs_of_its_run() -> None:
    async with engine_on(workflows=ALL) as engine:
        handle = await engine.start(asks)
        assert await handle.resolve_ref("answer", 1) is Resolution.RESOLVED
        assert await handle.result() == [1]


@pytest.mark.parametrize("value", ["no", {"code": 7}, [1, None], 0, False])
@on_skipping_loop
async def test_an_error_is_raised_at_the_await_with_the_value_that_was_sent(value: object) -> None:
    async with engine_on(workflows=ALL) as engine:
        handle = await engine.start(bears_errors, id="a")
        assert await engine.resolve_ref("a", "answer", error=value) is Resolution.RESOLVED
        assert await handle.result() == {"raised": value}


@on_skipping_loop
async def test_an_error_that_nobody_catches_ends_the_run() -> None:
    async with engine_on(workflows=ALL) as engine:
        handle = await engine.start(asks, id="a")
        await engine.resolve_ref("a", "answer", error={"code": 7})
        with pytest.raises(WorkflowFailedError, match=re.escape('{"code":7}')) as raised:
            await handle.result()

    assert raised.value.failure.type == RefError.__name__
    assert raised.value.failure.details == {"code": 7}


@on_skipping_loop
async def test_an_answer_is_a_value_or_an_error_and_not_both() -> None:
    async with engine_on(workflows=ALL) as engine:
        await engine.start(asks, id="a")
        with pytest.raises(ValueError, match="by a value or by an error, not by both"):
            await engine.resolve_ref("a", "answer", 1, error=2)


@pytest.mark.parametrize(("ref", "words"), [("", "must not be empty"), ("x" * 1_025, "has 1,025 characters")])
@on_skipping_loop
async def test_a_ref_that_cannot_be_one_is_refused(ref: str, words: str) -> None:
    async with engine_on(workflows=ALL) as engine:
        await engine.start(asks, id="a")
        with pytest.raises(PayloadError, match=words):
            await engine.resolve_ref("a", ref, 1)


@on_skipping_loop
async def test_what_waits_for_a_ref_says_so() -> None:
    async with engine_on(workflows=ALL) as engine:
        await engine.start(asks, id="a")
        assert (await engine.describe("a")).waiting_for == ["ref 'answer'"]


# Whom an answer does not find.


@on_skipping_loop
async def test_an_unknown_run_and_one_that_has_ended_take_no_answers() -> None:
    async with engine_on(workflows=ALL) as engine:
        with pytest.raises(WorkflowNotFoundError):
            await engine.resolve_ref("nobody", "answer", 1)
        await engine.start(asks, id="a")
        await engine.resolve_ref("a", "answer", 1)
        with pytest.raises(WorkflowFinishedError):
            await engine.resolve_ref("a", "answer", 2)


@on_skipping_loop
async def test_an_answer_before_its_ref_is_kept_for_it_in_the_order_of_arrival() -> None:
    async with engine_on(workflows=ALL, dev_replay=True) as engine:
        handle = await engine.start(opens_late, id="a")
        assert await engine.resolve_ref("a", "answer", "first") is Resolution.KEPT
        assert await engine.resolve_ref("a", "answer", "second") is Resolution.KEPT
        await handle.signal("open")

        assert await handle.result() == "first"


@on_skipping_loop
async def test_a_second_answer_to_a_ref_of_the_run_s_own_is_dropped_and_counted() -> None:
    async with engine_on(workflows=ALL) as engine:
        handle = await engine.start(asks_by_own_ref, id="a")
        ref = await engine.query("a", "ref")
        assert await engine.resolve_ref("a", ref, "first") is Resolution.RESOLVED
        before = len(await engine.history("a"))

        assert await engine.resolve_ref("a", ref, "second") is Resolution.DROPPED
        assert len(await engine.history("a")) == before, "nothing of it is kept"
        assert engine.stats().dropped_answers == 1
        await handle.signal("end")
        assert await handle.result() == "first"


@on_skipping_loop
async def test_an_answer_to_what_was_cancelled_is_dropped_until_there_is_another_of_that_id() -> None:
    async with engine_on(workflows=ALL, dev_replay=True) as engine:
        handle = await engine.start(loses_interest, id="a")
        await asyncio.sleep(2)
        assert await engine.resolve_ref("a", "answer", "late") is Resolution.DROPPED
        await handle.signal("again")
        assert await engine.resolve_ref("a", "answer", "in time") is Resolution.RESOLVED

        assert await handle.result() == "in time"
        assert engine.stats().dropped_answers == 1


@on_skipping_loop
async def test_refs_that_are_open_when_their_run_ends_are_counted() -> None:
    @workflow
    async def forgets(ctx: WorkflowContext) -> None:
        _answered, _open = ctx.ref(), ctx.ref()
        await ctx.receive_signal("end")

    async with engine_on(workflows=[forgets]) as engine:
        for end in ("signal", "terminate"):
            await engine.start(forgets, id=end)
            await (engine.signal(end, "end") if end == "signal" else engine.terminate(end))

        assert engine.stats().dropped_refs == 4


# The same answer again.


@on_skipping_loop
async def test_an_answer_counts_once_for_each_id() -> None:
    async with engine_on(workflows=ALL) as engine:
        handle = await engine.start(asks, 2, id="a")
        for _ in range(3):
            assert await engine.resolve_ref("a", "answer", 1, id="m1") is Resolution.RESOLVED
        assert await engine.query("a", "answers") == [1]
        await engine.resolve_ref("a", "answer", 1, id="m2")

        assert await handle.result() == [1, 1]
        assert await engine.resolve_ref("a", "answer", 1, id="m1") is Resolution.RESOLVED, "also after the end"


@on_skipping_loop
async def test_a_duplicate_is_answered_as_the_first_was() -> None:
    async with engine_on(workflows=ALL) as engine:
        await engine.start(opens_late, id="late")
        await engine.start(asks_by_own_ref, id="own")
        ref = await engine.query("own", "ref")
        await engine.resolve_ref("own", ref, 1)

        for _ in range(2):
            assert await engine.resolve_ref("late", "answer", 1, id="m") is Resolution.KEPT
            assert await engine.resolve_ref("own", ref, 2, id="m") is Resolution.DROPPED
        assert engine.stats().dropped_answers == 1


# A thousand early answers, and one more.


@on_skipping_loop
async def test_a_thousand_answers_may_be_early_and_one_more_is_refused() -> None:
    async with engine_on(workflows=ALL) as engine:
        handle = await engine.start(opens_late, id="a")
        for number in range(MAX_EARLY):
            assert await engine.resolve_ref("a", f"r{number}", number) is Resolution.KEPT
        with pytest.raises(PayloadError, match=EARLY):
            await engine.resolve_ref("a", "one more", 1)
        with pytest.raises(PayloadError, match=EARLY):
            await engine.resolve_ref("a", "answer", 1)

        await handle.signal("open")
        assert await engine.resolve_ref("a", "answer", "there is a ref now") is Resolution.RESOLVED
        assert await handle.result() == "there is a ref now"


@on_skipping_loop
async def test_an_answer_that_was_refused_is_not_known_when_it_comes_again() -> None:
    async with engine_on(workflows=ALL) as engine:
        handle = await engine.start(opens_late, id="a")
        for number in range(MAX_EARLY):
            await engine.resolve_ref("a", f"r{number}", number)
        with pytest.raises(PayloadError, match=EARLY):
            await engine.resolve_ref("a", "answer", 1, id="m")
        await handle.signal("open")
        assert await engine.resolve_ref("a", "answer", 1, id="m") is Resolution.RESOLVED
        assert await handle.result() == 1


@on_skipping_loop
async def test_more_than_a_thousand_that_come_while_a_run_is_paused_are_refused_and_none_is_dropped() -> None:
    async with engine_on(workflows=ALL, dev_replay=True) as engine:
        await engine.start(opens_late, id="a")
        await engine.resolve_ref("a", "before", 0)
        await engine.pause("a")
        answers = (engine.resolve_ref("a", f"r{number}", number) for number in range(MAX_EARLY + 5))
        outcomes = await asyncio.gather(*answers, return_exceptions=True)
        await engine.resume("a")
        await engine.settled()

        assert [type(outcome) for outcome in outcomes[MAX_EARLY - 1 :]] == [PayloadError] * 6
        assert engine.stats().dropped_answers == 0
        assert await engine.query("a", "status") == "running"


# Runs that are not at hand.


@on_skipping_loop
async def test_a_paused_run_takes_answers_and_sees_them_when_it_goes_on() -> None:
    async with engine_on(workflows=ALL, dev_replay=True) as engine:
        handle = await engine.start(asks, 2, id="a")
        await engine.pause("a")
        for number in range(2):
            assert await engine.resolve_ref("a", "answer", number) is Resolution.RESOLVED
        assert await engine.query("a", "answers") == []
        await engine.resume("a")

        assert await handle.result() == [0, 1]


@on_skipping_loop
async def test_a_stalled_run_takes_answers_and_sees_them_once_its_code_fits() -> None:
    @workflow(name="changing")
    async def before(ctx: WorkflowContext) -> object:
        await ctx.sleep(3_600)
        return await ctx.ref_id("answer")

    @workflow(name="changing")
    async def after(ctx: WorkflowContext) -> None:
        await ctx.execute_activity("something", 1)

    store = MemoryStore()
    async with engine_on(store, workflows=[before]) as engine:
        await engine.start(before, id="a")
    async with engine_on(store, workflows=[after]) as engine:
        assert await engine.resolve_ref("a", "answer", "kept") is Resolution.RESOLVED
        assert await engine.query("a", "status") == "stalled"
    async with engine_on(store, workflows=[before]) as engine:
        assert await engine.handle("a").result() == "kept"


@on_skipping_loop
async def test_evicted_runs_take_answers() -> None:
    async with engine_on(workflows=ALL, max_cached_runs=0) as engine:
        handle = await engine.start(asks, 3, id="a")
        for number in range(3):
            await eventually(lambda: not engine.stats().live)
            assert await engine.resolve_ref("a", "answer", number) is Resolution.RESOLVED
        assert await handle.result() == [0, 1, 2]


@pytest.mark.parametrize("end", ["clean", "killed"])
@on_skipping_loop
async def test_an_answer_outlives_the_process_that_took_it(end: str) -> None:
    store = MemoryStore()
    engine = engine_on(store, workflows=ALL)
    await engine.open()
    await engine.start(opens_late, id="a")
    assert await engine.resolve_ref("a", "answer", "early", id="m") is Resolution.KEPT
    await (engine.close() if end == "clean" else died(engine))

    async with engine_on(store, workflows=ALL) as engine:
        assert await engine.resolve_ref("a", "answer", "early", id="m") is Resolution.KEPT, "it is known"
        await engine.signal("a", "open")
        assert await engine.handle("a").result() == "early"


@on_skipping_loop
async def test_a_ref_has_the_same_id_and_the_same_fate_after_a_restart() -> None:
    store = MemoryStore()
    async with engine_on(store, workflows=ALL) as engine:
        await engine.start(asks_by_own_ref, id="a")
        ref = await engine.query("a", "ref")
        await engine.resolve_ref("a", ref, 1)
    async with engine_on(store, workflows=ALL) as engine:
        assert await engine.query("a", "ref") == ref
        assert await engine.resolve_ref("a", ref, 2) is Resolution.DROPPED
        assert engine.stats().dropped_answers == 1, "what its history holds is not counted again"
