"""Restarts: the index is built anew from checkpoint and records, only runs with work are read, and all goes on."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from holdfast import RunStatus, WorkflowContext
from holdfast.ports import Document, Guard
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import (
    collect,
    died,
    echo,
    engine_on,
    eventually,
    nap,
    on_skipping_loop,
    parked,
    steps,
    types_of,
)
from tests.unit.engine.stores import Guarded, Picky, Store, content, documents, put


class Reading(Store):
    """Keeps a log of what is read."""

    def __init__(self, inner: MemoryStore) -> None:
        super().__init__(inner)
        self.keys_read: list[str] = []

    async def read(self, keys: Sequence[str]) -> dict[str, Document]:
        self.keys_read += keys
        return await super().read(keys)

    def heads_read(self) -> set[str]:
        return {key for key in self.keys_read if key.startswith("run:")}


async def shown(engine: Anything) -> dict[str, Any]:
    """Give what a list says of every run."""
    items = (await engine.list(limit=1_000)).items
    return {item.workflow_id: (item.workflow, item.status, item.attributes, item.created_at) for item in items}


async def tagged(ctx: WorkflowContext, city: str) -> None:
    ctx.set_attributes(city=city, count=3)
    await ctx.receive_signal("end")


@pytest.mark.parametrize(("guard", "atomic"), [("key", True), ("key", False), ("batch", True), ("none", True)])
@pytest.mark.parametrize("checkpoint", [3, 1_000])
@pytest.mark.parametrize("clean", [True, False])
@on_skipping_loop
async def test_the_index_after_a_restart_is_the_index_before_it(
    guard: Guard, checkpoint: int, *, clean: bool, atomic: bool
) -> None:
    store = Guarded(guard, atomic=atomic)
    options: dict[str, Any] = {"workflows": [collect, tagged, steps, nap], "checkpoint_commits": checkpoint}
    first = engine_on(store, **options)
    await first.open()
    for number in range(7):
        await first.start(collect, 1, id=f"open{number}")
        await first.execute(steps, 1, id=f"done{number}")
        await first.start(tagged, f"city{number}", id=f"tagged{number}")
    await first.signal("open3", "n", 1)
    await first.cancel("open4")
    await first.terminate("tagged5")
    await first.purge("done2")
    await first.pause("open6")
    await first.settled()
    before = await shown(first)
    await (first.close() if clean else died(first))

    async with engine_on(store, **options) as second:
        await second.settled()
        assert await shown(second) == before
        assert before["tagged1"][2] == {"city": "city1", "count": 3}
        assert "done2" not in before
    async with engine_on(store, **options) as third:
        assert await shown(third) == before


@on_skipping_loop
async def test_only_runs_with_work_are_read_when_an_engine_opens() -> None:
    inner = MemoryStore()

    async def hang(value: Anything = None) -> None:
        await asyncio.Event().wait()

    async def works(ctx: WorkflowContext) -> None:
        await ctx.execute_activity(hang)

    first = engine_on(inner, workflows=[parked, nap, works, steps], activities=[hang, echo])
    await first.open()
    for number in range(10):
        await first.start(parked, id=f"parked{number}")
        await first.start(nap, 3_600, id=f"nap{number}")
        await first.execute(steps, 1, id=f"done{number}")
    await first.start(works, id="works")
    await asyncio.sleep(1)
    await died(first)

    store = Reading(inner)
    async with engine_on(store, workflows=[parked, nap, works, steps], activities=[hang, echo]) as second:
        assert store.heads_read() == {"run:works"}
        assert second.stats().live == 1

        await second.signal("parked3", "end")
        assert [await second.handle(f"nap{number}").result() for number in range(10)] == ["rested"] * 10
        assert second.stats().runs["completed"] == 10 + 1 + 10


@on_skipping_loop
async def test_a_timer_that_came_due_while_nobody_was_there_fires_at_once_and_once() -> None:
    store = MemoryStore()
    first = engine_on(store)
    await first.open()
    await first.start(nap, 60, id="a")
    await died(first)
    await asyncio.sleep(600)

    async with engine_on(store) as second:
        loop = asyncio.get_running_loop()
        before = loop.time()
        assert await second.handle("a").result() == "rested"
        assert loop.time() - before < 1
        assert (await types_of(second, "a")).count("timer_fired") == 1


@on_skipping_loop
async def test_records_before_a_checkpoint_are_deleted_and_the_rest_is_bounded() -> None:
    store = Store()
    async with engine_on(store, checkpoint_commits=50) as engine:
        most = 0
        for number in range(400):
            await engine.start(steps, 0, id=f"r{number}")
            most = max(most, len(documents(store, "commit:")))

    assert most < 130
    assert content(store, "checkpoint:0")["segments"] == 2  # 200 entries to a segment


@on_skipping_loop
async def test_a_checkpoint_writes_only_the_segments_that_have_changed() -> None:
    store = Store()
    async with engine_on(store, checkpoint_commits=10_000) as engine:
        await asyncio.gather(*(engine.start(parked, id=f"r{number}") for number in range(1_000)))
    store.batches.clear()
    async with engine_on(store, checkpoint_commits=10_000) as engine:
        await engine.signal("r250", "end")

    written = {key for batch in store.batches for key in batch if key.startswith("index:")}
    assert len(documents(store, "index:")) == 5
    assert written == {"index:0:1"}


@on_skipping_loop
async def test_a_thousand_commits_lie_between_two_checkpoints() -> None:
    store = Store()
    async with engine_on(store) as engine:
        for number in range(990):
            await engine.start(steps, 0, id=f"r{number}")
        assert "checkpoint:0" not in documents(store)
        for number in range(30):
            await engine.start(steps, 0, id=f"s{number}")
        await engine.settled()
        assert "checkpoint:0" in documents(store)


@on_skipping_loop
async def test_an_engine_that_dies_at_any_write_loses_nothing_that_was_acknowledged() -> None:
    """Cut the store off after the nth write, for every n; what was acknowledged before is there, and all goes on."""
    for cut in range(3, 40):
        inner = MemoryStore()
        store = Cut(inner, cut)
        first = engine_on(store, checkpoint_commits=4)
        await first.open()
        acknowledged: list[str] = []
        work = asyncio.create_task(_work(first, acknowledged))
        await eventually(lambda store=store, work=work: store.cut_off or work.done())  # type: ignore[misc]
        work.cancel()
        await asyncio.wait([work])
        await died(first)

        async with engine_on(inner, checkpoint_commits=4) as second:
            for workflow_id in acknowledged:
                assert (await second.describe(workflow_id)).status in {RunStatus.RUNNING, RunStatus.COMPLETED}
            for item in (await second.list(status="running", workflow="steps")).items:
                assert await second.handle(item.workflow_id).result() == [0, 1, 2]
        if work.done() and not store.cut_off:
            return


async def _work(engine: Anything, acknowledged: list[str]) -> None:
    for number in range(4):
        await engine.start(steps, 3, id=f"s{number}")
        acknowledged.append(f"s{number}")
        await engine.start(collect, 1, id=f"c{number}")
        acknowledged.append(f"c{number}")
        await engine.signal(f"c{number}", "n", 1)
    await engine.settled()


class Cut(Store):
    """Does not come back from the nth write, which it has carried out every other time."""

    def __init__(self, inner: MemoryStore, at: int) -> None:
        super().__init__(inner)
        self.at = at
        self.cut_off = False

    async def apply(self, writes: Anything) -> Anything:
        if len(self.batches) >= self.at:
            if self.at % 2 == 0 and not self.cut_off:
                await super().apply(writes)
            self.cut_off = True
            await asyncio.Event().wait()
        return await super().apply(writes)


@on_skipping_loop
async def test_what_was_held_back_for_a_later_record_reaches_the_index_after_a_refusal() -> None:
    """Without atomic batches a record may only claim that a run has work; the truth follows, also around a refusal."""
    store = Picky(lambda write: b"poison" in (write.value or b"") and write.key.startswith("run:"), atomic=False)
    async with engine_on(store) as engine:
        handles = [await engine.start(collect, 1, id=f"r{n}") for n in range(6)]
        for handle in handles:
            await asyncio.gather(
                handle.signal("n", "poison" if handle.id == "r3" else "fine"),
                engine.start(steps, 0, id=f"x{handle.id}"),
                return_exceptions=True,
            )
    reading = Reading(store.inner)
    async with engine_on(reading):
        assert reading.heads_read() == set()


@pytest.mark.parametrize(
    ("what", "damage"),
    [
        ("commit", "flipped"),
        ("owner", "flipped"),
        ("checkpoint", "flipped"),
        ("index", "flipped"),
        ("index", "gone"),
    ],
)
@on_skipping_loop
async def test_damage_to_the_engines_own_records_is_found_and_named(what: str, damage: str) -> None:
    store = Store()
    first = engine_on(store, checkpoint_commits=3)
    await first.open()
    for number in range(12):
        await first.start(steps, 0, id=f"r{number}")
    await first.settled()
    await first.start(parked, id="late")
    await died(first)
    newest = max(documents(store, "commit:"))
    key = {"commit": newest, "owner": "owner:0", "checkpoint": "checkpoint:0", "index": "index:0:0"}[what]
    raw = documents(store)[key]
    put(store, key, None if damage == "gone" else raw[:20] + bytes([raw[20] ^ 1]) + raw[21:])

    second = engine_on(store)
    with pytest.raises(Exception, match=rf"document '{key}'.* is (damaged|missing)") as caught:
        await second.open()

    assert type(caught.value).__name__ == "CorruptDocumentError"
    assert second.not_ready() == "the engine is new"
