"""Pause, resume, rerun, purge: what people do to runs."""

import asyncio
import contextlib
from typing import Any

import pytest

from holdfast import (
    RunStatus,
    WorkflowCanceledError,
    WorkflowContext,
    WorkflowFailedError,
    WorkflowFinishedError,
    WorkflowNotFoundError,
    WorkflowOpenError,
    WorkflowTimedOutError,
)
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import collect, died, engine_on, eventually, on_skipping_loop, parked, steps, types_of
from tests.unit.engine.stores import Halting, Unsure, content, documents

RAN: list[Any] = []


@pytest.fixture(autouse=True)
def empty() -> None:
    RAN.clear()


async def act(value: Anything = None) -> Anything:
    RAN.append(value)
    return value


async def slow(value: Anything = None) -> Anything:
    await asyncio.sleep(10)
    RAN.append(value)
    return value


# Pause and resume.


@on_skipping_loop
async def test_a_paused_run_does_nothing_until_it_is_resumed() -> None:
    async def run(ctx: WorkflowContext) -> list[Any]:
        return [await ctx.receive_signal("n"), await ctx.execute_activity(act, 1), await ctx.receive_signal("n")]

    async with engine_on(workflows=[run], activities=[act], dev_replay=True) as engine:
        handle = await engine.start(run, id="a")
        await engine.pause("a", reason="look into it")
        await engine.signal("a", "n", 1)
        await engine.signal("a", "n", 2)
        await asyncio.sleep(60)
        assert RAN == []
        shown = await engine.describe("a")
        assert shown.status is RunStatus.PAUSED
        assert "a resume" in shown.waiting_for

        await engine.resume("a", reason="all is well")
        assert await handle.result() == [1, 1, 2]
        events = {event.type.value: event.details for event in await engine.history("a")}
        assert events["workflow_paused"] == {"reason": "look into it"}
        assert events["workflow_resumed"] == {"reason": "all is well"}


@on_skipping_loop
async def test_a_running_attempt_finishes_while_its_run_is_paused_and_no_timer_or_retry_starts() -> None:
    tries: list[int] = []

    async def fails(value: Anything = None) -> None:
        tries.append(1)
        await asyncio.sleep(5)
        raise OSError("down")

    async def run(ctx: WorkflowContext) -> list[Any]:
        both = asyncio.gather(
            ctx.execute_activity(slow, 7), ctx.execute_activity(fails), ctx.sleep(20), return_exceptions=True
        )
        return [str(one) for one in await both]

    async with engine_on(workflows=[run], activities=[slow, fails]) as engine:
        handle = await engine.start(run, id="a")
        await asyncio.sleep(1)
        await engine.pause("a")
        await asyncio.sleep(600)
        assert RAN == [7]
        assert tries == [1]
        assert "timer_fired" not in await types_of(engine, "a")

        await engine.resume("a")
        assert (await handle.result())[0] == "7"
        assert tries == [1, 1, 1]


@on_skipping_loop
async def test_terminate_works_on_a_paused_run_and_cancel_applies_on_resume() -> None:
    async with engine_on() as engine:
        for name in ("ended", "cancelled"):
            await engine.start(parked, id=name)
            await engine.pause(name)
        await engine.terminate("ended")
        await engine.cancel("cancelled", reason="enough")
        await asyncio.sleep(60)
        assert await engine.query("ended", "status") == "terminated"
        assert await engine.query("cancelled", "status") == "paused"

        await engine.resume("cancelled")
        with pytest.raises(WorkflowCanceledError, match="enough"):
            await engine.handle("cancelled").result()


@on_skipping_loop
async def test_a_time_out_does_not_end_a_paused_run_but_is_delivered_when_it_goes_on() -> None:
    async with engine_on() as engine:
        handle = await engine.start(parked, id="a", timeout=10)
        await engine.pause("a")
        await asyncio.sleep(600)
        assert await engine.query("a", "status") == "paused"
        await engine.resume("a")

        with pytest.raises(WorkflowTimedOutError):
            await handle.result()


@on_skipping_loop
async def test_pausing_or_resuming_twice_changes_nothing() -> None:
    async with engine_on() as engine:
        await engine.start(parked, id="a")
        await engine.resume("a")
        for _ in range(3):
            await engine.pause("a")
        for _ in range(3):
            await engine.resume("a")

        assert (await types_of(engine, "a"))[1:] == ["workflow_paused", "workflow_resumed"]
        await engine.signal("a", "end")
        for call in (engine.pause, engine.resume):
            with pytest.raises(WorkflowFinishedError):
                await call("a")


@pytest.mark.parametrize("clean", [True, False])
@on_skipping_loop
async def test_a_paused_run_stays_paused_over_a_restart_and_goes_on_where_it_was(*, clean: bool) -> None:
    async def run(ctx: WorkflowContext) -> list[Any]:
        first = await ctx.execute_activity(slow, 1)
        return [first, await ctx.receive_signal("n")]

    store = MemoryStore()
    first = engine_on(store, workflows=[run], activities=[slow])
    await first.open()
    await first.start(run, id="a")
    await asyncio.sleep(1)
    await first.pause("a")
    await first.signal("a", "n", 5)
    await (first.close() if clean else died(first))

    async with engine_on(store, workflows=[run], activities=[slow]) as second:
        await asyncio.sleep(60)
        assert await second.query("a", "status") == "paused"
        await second.resume("a")
        assert await second.handle("a").result() == [1, 5]


# Rerun.


async def three(ctx: WorkflowContext, broken: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - an input
    done = [await ctx.execute_activity(act, 1), await ctx.execute_activity(act, 2)]
    if FIXED or not broken:
        return [*done, await ctx.execute_activity(act, 3)]
    raise ValueError("a bug")


FIXED: list[bool] = []


@on_skipping_loop
async def test_a_rerun_begins_a_new_run_from_a_prefix_of_the_history() -> None:
    FIXED.clear()
    async with engine_on(workflows=[three], activities=[act]) as engine:
        with pytest.raises(WorkflowFailedError, match="a bug"):
            await engine.execute(three, id="a")
        first = (await engine.describe("a")).run_id
        RAN.clear()
        FIXED.append(True)
        handle = await engine.rerun("a", from_event=4, reason="bug is fixed")

        assert await handle.result() == [1, 2, 3]
        assert RAN == [2, 3]  # the first is kept, the second was asked for and has no answer in the prefix
        assert handle.run_id != first
        assert (await engine.describe("a", run_id=first)).status is RunStatus.FAILED
        note = next(event for event in await engine.history("a") if event.type == "workflow_rerun")
        assert note.details == {"of_run": first, "events": 4, "reason": "bug is fixed"}


@pytest.mark.parametrize("event", range(1, 9))
@on_skipping_loop
async def test_a_rerun_from_any_event_comes_to_the_same_end(event: int) -> None:
    FIXED.clear()
    async with engine_on(workflows=[three], activities=[act]) as engine:
        assert await engine.execute(three, input=False, id="a") == [1, 2, 3]
        handle = await engine.rerun("a", from_event=event)

        assert await handle.result() == [1, 2, 3]


@on_skipping_loop
async def test_a_rerun_survives_a_restart() -> None:
    store = MemoryStore()
    async with engine_on(store) as engine:
        await engine.start(collect, 2, id="a")
        await engine.signal("a", "n", 1)
        await engine.terminate("a")
        await engine.rerun("a", from_event=2)
        await engine.settled()
    async with engine_on(store) as engine:
        await engine.signal("a", "n", 2)
        assert await engine.handle("a").result() == [1, 2]


@on_skipping_loop
async def test_only_a_run_that_has_ended_can_be_rerun_and_only_from_an_event_it_has() -> None:
    async with engine_on() as engine:
        await engine.start(parked, id="a")
        with pytest.raises(WorkflowOpenError, match="'a' is running: it has to end before it can be rerun"):
            await engine.rerun("a")
        await engine.signal("a", "end")
        for event in (0, -1, 99):
            with pytest.raises(ValueError, match="from_event must be between 1 and 3"):
                await engine.rerun("a", from_event=event)
        with pytest.raises(WorkflowNotFoundError):
            await engine.rerun("nobody")


@on_skipping_loop
async def test_a_rerun_goes_without_the_old_runs_children_and_sends_nothing_twice() -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        ctx.signal("other", "n", "once")
        first = await ctx.execute_child(steps, 1, id="first")
        return [first, await ctx.receive_signal("end")]

    async with engine_on(workflows=[run, steps, collect]) as engine:
        await engine.start(collect, 5, id="other")
        await engine.start(run, id="a")
        await engine.settled()
        await engine.terminate("a")
        length = len(await engine.history("a"))
        handle = await engine.rerun("a", from_event=length - 1)
        await engine.signal("a", "end", 5)

        assert await handle.result() == [[0], 5]
        assert await engine.query("other", "taken") == ["once"]
        assert (await types_of(engine, "first")).count("workflow_started") == 1


@on_skipping_loop
async def test_a_rerun_that_does_not_fit_the_code_is_refused_and_the_old_run_stays() -> None:
    async def changed(ctx: WorkflowContext, count: int = 1) -> None:
        await ctx.sleep(5)

    changed.__name__ = "steps"
    store = MemoryStore()
    async with engine_on(store) as engine:
        await engine.execute(steps, 1, id="a")
        before = content(store, "run:a")["run_id"]
    async with engine_on(store, workflows=[changed]) as engine:
        with pytest.raises(Exception, match="does not fit the history"):
            await engine.rerun("a", from_event=3)
        assert (await engine.describe("a")).run_id == before
        assert engine.not_ready() == ""


# Purge.


@on_skipping_loop
async def test_a_purge_deletes_all_that_a_run_had_stored_and_leaves_a_tombstone() -> None:
    store = MemoryStore()
    async with engine_on(store) as engine:
        for _ in range(3):
            await engine.execute(steps, 40, id="a")
        await engine.start(collect, 400, id="c")
        await asyncio.gather(*(engine.signal("c", "n", "x" * 3_000, id=f"s{n}") for n in range(400)))
        for name in ("a", "c"):
            await engine.purge(name, reason="asked for")
        await engine.settled()

        left = [key for key in documents(store) if key.partition(":")[0] in {"page", "blob", "past", "seen", "run"}]
        assert sorted(left) == ["run:a", "run:c"]
        assert content(store, "run:a")["status"] == "purged"
        assert "input" not in content(store, "run:a") or content(store, "run:a")["input"] is None


@on_skipping_loop
async def test_a_purged_run_is_gone_for_every_call() -> None:
    async with engine_on() as engine:
        handle = await engine.start(steps, 1, id="a")
        await handle.result()
        await engine.purge("a")
        calls: list[Any] = [
            lambda: engine.describe("a"),
            lambda: engine.history("a"),
            lambda: engine.signal("a", "n"),
            lambda: engine.query("a", "status"),
            lambda: engine.update("a", "u"),
            lambda: engine.cancel("a"),
            lambda: engine.terminate("a"),
            lambda: engine.purge("a"),
            lambda: engine.rerun("a"),
            lambda: handle.result(timeout=1),
            lambda: engine.describe("a", run_id=handle.run_id),
        ]
        for call in calls:
            with pytest.raises(WorkflowNotFoundError):
                await call()
        assert (await engine.list()).items == []
        assert [item.workflow_id for item in (await engine.list(status="purged")).items] == ["a"]


@on_skipping_loop
async def test_an_open_run_is_not_purged() -> None:
    async with engine_on() as engine:
        await engine.start(parked, id="a")
        with pytest.raises(WorkflowOpenError, match="'a' is running: terminate it before you purge it"):
            await engine.purge("a")


@on_skipping_loop
async def test_a_purged_id_can_be_used_again() -> None:
    store = MemoryStore()
    async with engine_on(store) as engine:
        for _ in range(3):
            assert await engine.execute(steps, 40, id="a") == list(range(40))
            await engine.purge("a")
            await engine.settled()
        assert await engine.execute(steps, 1, id="a", reuse=False) == [0]
    async with engine_on(store) as engine:
        assert [item.workflow_id for item in (await engine.list()).items] == ["a"]


@on_skipping_loop
async def test_a_sweep_that_is_cut_off_is_finished_by_the_next_process() -> None:
    store = Unsure()
    for cut in range(12):
        store.plan = iter(())
        first = engine_on(store)
        await first.open()
        name = f"r{cut}"
        for _ in range(3):
            await first.execute(steps, 40, id=name)
        store.plan = iter(["ok"] * cut + ["lost"] * 1_000)
        purging = asyncio.create_task(first.purge(name))
        await asyncio.sleep(1)
        purging.cancel()
        await asyncio.wait([purging])
        await died(first)
        store.plan = iter(())

        async with engine_on(store) as second:
            await second.settled()
            with contextlib.suppress(WorkflowNotFoundError):  # it was purged before the cut
                await second.purge(name)
            await second.settled()
            left = [key for key in documents(store) if key.startswith(("page:", "past:", "blob:"))]
            assert left == []


@on_skipping_loop
async def test_a_late_save_does_not_bring_a_purged_run_back() -> None:
    inner = MemoryStore()
    sleepy = Halting(inner=inner)
    old = engine_on(sleepy)
    await old.open()
    await old.start(collect, 1, id="a")
    sleepy.gate.clear()
    late = asyncio.create_task(old.signal("a", "n", 1))
    await eventually(lambda: sleepy.waiting)
    async with engine_on(inner) as new:
        await new.terminate("a")
        await new.purge("a")
        await new.settled()
        sleepy.gate.set()
        await asyncio.wait([late])

        assert late.exception() is not None
        with pytest.raises(WorkflowNotFoundError):
            await new.describe("a")
    assert content(inner, "run:a")["status"] == "purged"
    await old.close()


@on_skipping_loop
async def test_every_call_on_an_unknown_run_says_that_there_is_none() -> None:
    async with engine_on() as engine:
        await_all = [
            engine.signal("x", "n"), engine.query("x", "status"), engine.update("x", "u"), engine.cancel("x"),
            engine.terminate("x"), engine.pause("x"), engine.resume("x"), engine.rerun("x"), engine.purge("x"),
            engine.describe("x"), engine.history("x"), engine.handle("x").result(), engine.handle("x").status(),
        ]  # fmt: skip
        answers = await asyncio.gather(*await_all, return_exceptions=True)

    assert [type(answer) for answer in answers] == [WorkflowNotFoundError] * len(await_all)
    assert {str(answer) for answer in answers} == {"there is no workflow 'x'"}
