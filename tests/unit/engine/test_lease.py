"""An owner that has not proved for long that it is one begins no attempt: another process may have its runs by now."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from holdfast import ActivityContext, FencedError, RetryPolicy, WorkflowContext
from holdfast.engine.commits.partition import RENEW_SECONDS
from holdfast.ports import Conflict, Write, Written
from holdfast.stores import MemoryStore
from tests.play import Code
from tests.service.kit import until
from tests.unit.engine.kit import engine_on, eventually, on_skipping_loop
from tests.unit.engine.stores import Halting, Store

SIGN = "owner:0"
STANDSTILL = 30.0
"""Longer than a newcomer waits."""


class Work:
    """An activity of which one attempt has its place at a time; each waits until it is let go."""

    __name__ = "work"

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.go_on = asyncio.Event()

    async def __call__(self, context: ActivityContext) -> None:
        self.begun.append(context.workflow_id)
        await self.go_on.wait()


async def works(ctx: WorkflowContext) -> str:
    await ctx.execute_activity("work")
    return "done"


def one_at_a_time(store: Store, work: Code, **options: Any) -> Any:  # noqa: ANN401 - an engine
    return engine_on(store, workflows=[works], activities=[work], max_async_activities=1, max_threads=1, **options)


@on_skipping_loop
async def test_a_commit_that_a_newcomer_does_not_see_keeps_no_lease() -> None:
    inner = MemoryStore()
    halting, old_work, new_work = Halting(inner=inner), Work(), Work()
    old = one_at_a_time(halting, old_work)
    await old.open()
    for name in ("a", "b"):
        await old.start(works, id=name)
    new = one_at_a_time(Store(inner), new_work, instance="two")
    opening = asyncio.create_task(new.open())
    await asyncio.sleep(2 * RENEW_SECONDS - 0.1)  # just before a sign is due
    await old.start(works, id="c")
    halting.gate.clear()
    await opening

    old_work.go_on.set()
    await asyncio.sleep(1.0)

    assert old_work.begun == ["a"]
    halting.gate.set()
    await eventually(lambda: "another process" in old.not_ready())
    await old.close()
    await new.close()


@on_skipping_loop
async def test_what_waits_for_its_turn_is_not_begun_by_an_owner_that_was_stopped_past_its_lease() -> None:
    inner = MemoryStore()
    halting, old_work, new_work = Halting(inner=inner), Work(), Work()
    old = one_at_a_time(halting, old_work)
    await old.open()
    for name in ("a", "b", "c"):
        await old.start(works, id=name)
    await eventually(lambda: old_work.begun == ["a"])
    halting.gate.clear()
    new = one_at_a_time(Store(inner), new_work, instance="two")
    await new.open()
    await eventually(lambda: new_work.begun == ["a"])

    old_work.go_on.set()
    await asyncio.sleep(STANDSTILL)

    assert old_work.begun == ["a"]
    halting.gate.set()
    await eventually(lambda: "another process" in old.not_ready())
    new_work.go_on.set()
    assert [await new.handle(name).result() for name in ("a", "b", "c")] == ["done"] * 3
    assert (old_work.begun, new_work.begun) == (["a"], ["a", "b", "c"])
    await old.close()
    await new.close()


@on_skipping_loop
async def test_an_owner_that_nobody_has_replaced_goes_on_as_soon_as_it_has_proved_it() -> None:
    halting, work = Halting(), Work()
    async with one_at_a_time(halting, work) as engine:
        handles = [await engine.start(works, id=name) for name in ("a", "b")]
        await eventually(lambda: work.begun == ["a"])
        halting.gate.clear()
        await asyncio.sleep(STANDSTILL)
        work.go_on.set()
        await asyncio.sleep(STANDSTILL)
        assert work.begun == ["a"]

        halting.gate.set()

        assert [await handle.result() for handle in handles] == ["done"] * 2
        assert work.begun == ["a", "b"]


@on_skipping_loop
async def test_signs_do_not_pile_up_while_the_store_does_not_answer() -> None:
    halting = Halting()
    async with engine_on(halting, workflows=[works], activities=[Work()]) as engine:
        halting.gate.clear()
        await asyncio.sleep(STANDSTILL)
        before = len(halting.batches)

        halting.gate.set()

        await engine.settled()
        assert [batch for batch in halting.batches[before:] if SIGN in batch] == []


@on_skipping_loop
async def test_two_chores_that_write_one_document_go_out_one_after_the_other() -> None:
    halting = Halting()
    async with engine_on(halting) as engine:
        parts = engine._parts  # noqa: SLF001 - the committer is nobody's to be called
        halting.gate.clear()
        held = parts.committer.write([parts._partition.renewal()])  # noqa: SLF001 - as above
        await eventually(lambda: halting.waiting == 1)
        await asyncio.sleep(0)
        both = [parts.committer.write([parts._partition.renewal()]) for _ in range(2)]  # noqa: SLF001 - as above
        before = len(halting.batches)

        halting.gate.set()

        await asyncio.gather(held, *both)
        assert [batch.count(SIGN) for batch in halting.batches[before:]] == [1] * len(halting.batches[before:])
        assert len(halting.batches) - before >= len(both)


@on_skipping_loop
async def test_a_thread_begins_nothing_either() -> None:
    begun: list[str] = []
    go_on = threading.Event()

    def work(context: ActivityContext) -> None:
        begun.append(context.workflow_id)
        go_on.wait(60)

    halting = Halting()
    async with one_at_a_time(halting, work) as engine:
        handles = [await engine.start(works, id=name) for name in ("a", "b")]
        await asyncio.to_thread(until, lambda: begun == ["a"])
        halting.gate.clear()
        await asyncio.sleep(STANDSTILL)
        go_on.set()
        pool = engine._parts.runtime.attempts._threads  # noqa: SLF001 - that its thread has nothing left to do
        await asyncio.to_thread(until, lambda: pool._waiting == 1 and pool._queue.empty())  # noqa: SLF001
        assert begun == ["a"]

        halting.gate.set()

        assert [await handle.result() for handle in handles] == ["done"] * 2
        assert begun == ["a", "b"]


@on_skipping_loop
async def test_a_retry_that_comes_due_waits_for_the_proof_as_well() -> None:
    attempts: list[int] = []

    async def work(context: ActivityContext) -> None:
        attempts.append(context.attempt)
        if context.attempt == 1:
            raise OSError("down")

    async def retried(ctx: WorkflowContext) -> None:
        await ctx.execute_activity(work, retry=RetryPolicy(initial_interval=20, max_interval=20))

    halting = Halting()
    async with engine_on(halting, workflows=[retried], activities=[work]) as engine:
        handle = await engine.start(retried, id="a")
        await eventually(lambda: attempts == [1])
        await asyncio.sleep(1)
        halting.gate.clear()
        await asyncio.sleep(STANDSTILL)
        assert attempts == [1]

        halting.gate.set()

        await handle.result()
        assert attempts == [1, 2]


@pytest.mark.parametrize("cached", [0, 100])
@on_skipping_loop
async def test_a_fenced_owner_begins_nothing_of_what_still_waits_and_can_be_closed(cached: int) -> None:
    inner = MemoryStore()
    old_work = Work()
    old = one_at_a_time(Store(inner), old_work, max_cached_runs=cached)
    await old.open()
    for name in ("a", "b"):
        await old.start(works, id=name)
    await eventually(lambda: old_work.begun == ["a"])
    new = one_at_a_time(Store(inner), Work())
    await new.open()
    with pytest.raises(FencedError):
        await old.start(works, id="c")

    old_work.go_on.set()
    await asyncio.sleep(STANDSTILL)
    await old.close()

    assert old_work.begun == ["a"]
    await new.close()


@on_skipping_loop
async def test_where_nobody_else_can_have_the_store_no_proof_is_needed() -> None:
    work = Work()
    store = Halting()
    store._changes = {"guard": "key", "exclusive": True}  # noqa: SLF001 - as SQLite is
    async with one_at_a_time(store, work) as engine:
        handles = [await engine.start(works, id=name) for name in ("a", "b")]
        await eventually(lambda: work.begun == ["a"])
        store.gate.clear()
        await asyncio.sleep(STANDSTILL)
        work.go_on.set()

        await eventually(lambda: work.begun == ["a", "b"])

        store.gate.set()
        assert [await handle.result() for handle in handles] == ["done"] * 2


class Strict(MemoryStore):
    """Notes the keys that stand in a batch twice: most backends refuse such a batch.

    Attributes:
        doubled: Those keys.
    """

    def __init__(self) -> None:
        super().__init__()
        self.doubled: list[str] = []

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        keys = [write.key for write in writes]
        self.doubled += [key for key in set(keys) if keys.count(key) > 1]
        return await super().write(writes)


@on_skipping_loop
async def test_signs_that_pile_up_while_the_store_is_slow_share_no_batch() -> None:
    inner = Strict()
    halting, work = Halting(inner=inner), Work()
    work.go_on.set()
    engine = one_at_a_time(halting, work)
    await engine.open()
    halting.gate.clear()
    running = asyncio.create_task(engine.execute(works, id="a"))
    await asyncio.sleep(4 * RENEW_SECONDS)
    halting.gate.set()

    assert await running == "done"
    assert inner.doubled == []
    await engine.close()
