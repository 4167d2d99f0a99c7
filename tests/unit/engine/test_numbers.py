"""What an engine counts: runs, attempts, commits, the index, and the trouble it has with its store."""

import asyncio
import threading
from typing import Any

import pytest

from holdfast import (
    ActivityError,
    Engine,
    RetryPolicy,
    RunStatus,
    StoreError,
    StoreUnavailableError,
    WorkflowContext,
    WorkflowFailedError,
    WorkflowNotFoundError,
)
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import collect, died, echo, engine_on, eventually, on_skipping_loop, parked, steps
from tests.unit.engine.stores import Halting, Picky, Unsure


async def chain(ctx: WorkflowContext, number: int = 3) -> int:
    if number > 1:
        ctx.continue_as_new(number - 1)
    return number


async def parent(ctx: WorkflowContext) -> None:
    await ctx.execute_child(steps, 1, id="child")


async def fails(ctx: WorkflowContext) -> None:
    raise ValueError("no")


@on_skipping_loop
async def test_runs_that_begin_and_end_are_counted_by_workflow_and_status() -> None:
    async with engine_on(workflows=[chain, parent, fails, parked, steps]) as engine:
        assert (engine.stats().began, engine.stats().ended) == ({}, {})
        await engine.execute(chain, id="a")
        await engine.execute(parent, id="b")
        with pytest.raises(WorkflowFailedError):
            await engine.execute(fails, id="c")
        for name in ("d", "e", "f"):
            await engine.start(parked, id=name)
        await engine.terminate("d")
        await engine.cancel("e")
        await engine.start(parked, id="f", on_conflict="use_existing")
        await (await engine.rerun("b")).result()
        await engine.settled()
        stats = engine.stats()

    assert stats.began == {"chain": 3, "parent": 2, "steps": 2, "fails": 1, "parked": 3}
    assert stats.ended == {
        ("chain", RunStatus.CONTINUED_AS_NEW): 2,
        ("chain", RunStatus.COMPLETED): 1,
        ("parent", RunStatus.COMPLETED): 2,
        ("steps", RunStatus.COMPLETED): 2,
        ("fails", RunStatus.FAILED): 1,
        ("parked", RunStatus.TERMINATED): 1,
        ("parked", RunStatus.CANCELED): 1,
    }


@on_skipping_loop
async def test_a_run_whose_begin_is_made_again_counts_once() -> None:
    store = Unsure(["ok", "lost", "applied", "ok"])
    async with engine_on(store) as engine:
        await engine.execute(steps, 2, id="a")
        stats = engine.stats()

    assert stats.began == {"steps": 1}
    assert stats.ended == {("steps", RunStatus.COMPLETED): 1}
    assert stats.activities["echo"].completed == 2


@on_skipping_loop
async def test_what_becomes_of_attempts_is_counted_by_activity() -> None:
    async def sleeps(seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def breaks(_value: Anything = None) -> None:
        raise OSError("down")

    twice = RetryPolicy(max_attempts=2)

    async def run(ctx: WorkflowContext) -> None:
        await ctx.execute_activity(echo, 1)
        await ctx.execute_activity(sleeps, 1)
        with pytest.raises(ActivityError):
            await ctx.execute_activity(breaks, retry=twice)
        with pytest.raises(ActivityError):
            await ctx.execute_activity(sleeps, 60, timeout=1, retry=twice)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await ctx.execute_activity(sleeps, 600)

    async with engine_on(workflows=[run], activities=[echo, sleeps, breaks]) as engine:
        await engine.execute(run)
        activities = engine.stats().activities

    counted = {name: (a.completed, a.failed, a.timed_out, a.canceled, a.retried) for name, a in activities.items()}
    assert counted == {"echo": (1, 0, 0, 0, 0), "sleeps": (1, 0, 2, 1, 1), "breaks": (0, 2, 0, 0, 1)}
    assert [activities[name].seconds.count for name in ("echo", "sleeps", "breaks")] == [1, 3, 2]


async def test_the_time_of_attempts_is_that_of_their_bodies_also_on_threads() -> None:
    gate = threading.Event()

    async def sleeps() -> None:
        await asyncio.sleep(0.06)

    def blocks() -> None:
        gate.wait(0.06)

    def breaks() -> None:
        raise ValueError("no")

    async def run(ctx: WorkflowContext) -> None:
        await asyncio.gather(ctx.execute_activity(sleeps), ctx.execute_activity(blocks))
        with pytest.raises(ActivityError):
            await ctx.execute_activity(breaks, retry=RetryPolicy(max_attempts=1))

    async with Engine(MemoryStore(), workflows=[run], activities=[sleeps, blocks, breaks]) as engine:
        await engine.execute(run)
        activities = engine.stats().activities

    for name in ("sleeps", "blocks"):
        seconds = activities[name].seconds
        assert seconds.total >= 0.05
        assert sum(seconds.counts[: seconds.bounds.index(0.05)]) == 0
        assert activities[name].completed == 1
    assert (activities["breaks"].completed, activities["breaks"].failed) == (0, 1)


@on_skipping_loop
async def test_many_attempts_do_not_pile_up() -> None:
    async with engine_on() as engine:
        await asyncio.gather(*(engine.execute(steps, 30) for _ in range(100)))
        noted = engine._parts.runtime.attempts.numbers["echo"].took  # noqa: SLF001 - memory is what this is about

        assert len(noted) <= 1_100
        assert engine.stats().activities["echo"].seconds.count == 3_000


@on_skipping_loop
async def test_commits_are_counted_with_their_changes_and_documents() -> None:
    async with engine_on() as engine:
        before = engine.stats()
        await asyncio.gather(*(engine.start(parked, id=f"r{number}") for number in range(30)))
        after = engine.stats()

    assert before.commit.seconds.count == before.commits == 0
    assert before.last_commit_at is None
    assert after.commits == after.commit.seconds.count == after.commit.changes.count == after.commit.documents.count
    assert after.commit.changes.total == after.written == 30
    assert after.commit.documents.total == 30 + after.commits
    assert after.last_commit_at is not None
    assert (after.commit.unknown, after.commit.conflicts, after.commit.lost, after.commit.refused) == (0, 0, 0, 0)


@pytest.mark.parametrize("outcome", ["lost", "applied"])
@on_skipping_loop
async def test_writes_whose_outcome_is_not_told_are_counted(outcome: str) -> None:
    store = Unsure(["ok", outcome, outcome, "ok"])
    async with engine_on(store) as engine:
        await engine.start(parked, id="a")
        stats = engine.stats()

    assert stats.commit.unknown == 2
    assert stats.commit.conflicts == (1 if outcome == "applied" else 0)
    assert stats.commits == stats.commit.seconds.count == 1
    assert stats.commit.changes.total == 1


@on_skipping_loop
async def test_reads_that_get_no_answer_are_counted() -> None:
    store = Halting()
    answers = iter([False, False])
    read = store.read

    async def unsure(keys: Anything) -> Anything:
        if not next(answers, True):
            raise StoreUnavailableError("away")
        return await read(keys)

    async with engine_on(store) as engine:
        store.read = unsure  # type: ignore[method-assign]
        with pytest.raises(WorkflowNotFoundError):
            await engine.describe("nobody")

        assert engine.stats().read_retries == 2


@on_skipping_loop
async def test_what_waits_for_a_commit_is_counted() -> None:
    store = Halting()
    async with engine_on(store) as engine:
        store.gate.clear()
        starts = [asyncio.ensure_future(engine.start(parked, id=f"r{number}")) for number in range(5)]
        await eventually(lambda: store.waiting)
        starts += [asyncio.ensure_future(engine.start(parked, id=f"s{number}")) for number in range(3)]
        await eventually(lambda: engine.stats().commit.waiting)
        held = engine.stats().commit
        store.gate.set()
        await asyncio.gather(*starts)

        assert held.waiting >= 3
        assert engine.stats().commit.waiting == 0


@on_skipping_loop
async def test_changes_that_the_store_refuses_are_counted() -> None:
    store = Picky(lambda write: b"poison" in (write.value or b""))
    async with engine_on(store) as engine:
        await engine.start(collect, 2, id="a")
        with pytest.raises(StoreError):
            await engine.signal("a", "n", "poison")

        assert engine.stats().commit.refused == 1


@on_skipping_loop
async def test_changes_lost_to_another_writer_are_counted() -> None:
    store = MemoryStore()
    async with engine_on(store) as engine:
        await engine.start(collect, 2, id="a")
        value, version = store._documents["run:a"]  # noqa: SLF001 - somebody else writes the same run
        store._documents["run:a"] = (value, f"{version}-changed")  # noqa: SLF001
        await engine.signal("a", "n", 1)
        commit = engine.stats().commit

    assert (commit.conflicts, commit.lost) == (1, 1)


@on_skipping_loop
async def test_effects_on_their_way_are_counted_by_kind() -> None:
    async def leaves(ctx: WorkflowContext) -> None:
        ctx.start_child(parked, id="child", parent_close="abandon")
        await ctx.receive_signal("end")

    async with engine_on(workflows=[leaves, parked]) as engine:
        courier: Any = engine._parts.runtime.courier  # noqa: SLF001 - nothing is carried any more
        carry, courier.deliver = courier.deliver, lambda _run, _entry, _event: None
        await engine.start(leaves, id="a")
        stuck = engine.stats().outbox
        courier.deliver = carry
        run = engine._parts.runtime.live["a"]  # noqa: SLF001
        for entry in run.outbox.values():
            carry(run, entry)
        await engine.settled()

        assert stuck == {"start": 1}
        assert engine.stats().outbox == {}


@on_skipping_loop
async def test_the_index_is_counted_and_how_far_it_is_written_down() -> None:
    store = MemoryStore()
    first = engine_on(store, checkpoint_commits=10)
    await first.open()
    for number in range(25):
        await first.start(parked, id=f"r{number}")
    await first.settled()
    before = first.stats().index
    await died(first)

    async with engine_on(store, checkpoint_commits=10) as second:
        after = second.stats().index

    assert (before.entries, before.segments) == (25, 1)
    assert before.checkpoints >= 2
    assert 0 < before.behind <= 10 + 3
    assert (after.entries, after.checkpoints) == (25, 0)
    assert after.behind >= before.behind  # what the next process finds behind the checkpoint it has not written


@on_skipping_loop
async def test_runs_that_come_into_memory_and_leave_it_are_counted() -> None:
    store = MemoryStore()
    async with engine_on(store, max_cached_runs=2) as engine:
        for number in range(6):
            await engine.start(parked, id=f"r{number}")
        await eventually(lambda: engine.stats().live <= 2)
        evicted = engine.stats().evicted
        await engine.signal("r0", "end")

        assert evicted == 4
        assert engine.stats().loaded == 1
