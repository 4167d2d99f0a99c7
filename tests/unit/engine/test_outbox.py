"""The outbox of outputs: how it is emptied, how full it may be, and what a process that ends leaves in it."""

import asyncio
from typing import Any

import pytest

from holdfast import PayloadError, PublishError, WorkflowContext, workflow
from holdfast.core.outputs import MAX_OUTBOX
from holdfast.engine.work import lines
from holdfast.stores import MemoryStore
from tests.unit.engine.kit import WORKFLOWS, died, engine_on, eventually, on_skipping_loop, types_of
from tests.unit.engine.publishers import PUBLISHING, Broker, chain_that_counts, counts, counts_and_works, on_demand
from tests.unit.engine.stores import Store, content, documents

ALL = [*WORKFLOWS, *PUBLISHING]


def outbox(store: Store | MemoryStore, workflow_id: str) -> list[Any]:
    """Give what is stored of it."""
    found: Any = content(store, f"run:{workflow_id}").get("outbox", [])
    return list(found)


def writes_of(store: Store, workflow_id: str) -> int:
    return sum(f"run:{workflow_id}" in batch for batch in store.batches)


# Emptying it.


@on_skipping_loop
async def test_what_has_left_is_taken_out_by_the_next_commit_of_its_run_and_needs_none_of_its_own() -> None:
    plain, store, broker = Store(), Store(), Broker()
    async with engine_on(plain, workflows=ALL) as engine:
        await engine.execute("steps", 20, id="a")
    async with engine_on(store, workflows=ALL, publisher=broker) as engine:
        await engine.execute(counts_and_works, 20, id="a")
        await engine.settled()

    assert len(broker.asked_for) == 20
    assert len(broker.ends) == 1
    assert writes_of(store, "a") == writes_of(plain, "a") + 1, "the record of the end leaves after it"
    assert outbox(store, "a") == []


@on_skipping_loop
async def test_a_run_that_waits_gets_one_commit_for_all_that_has_left() -> None:
    store, broker = Store(), Broker()
    async with engine_on(store, workflows=ALL, publisher=broker) as engine:
        handle = await engine.start(on_demand, id="a")
        for number in range(5):
            await handle.signal("publish", ["numbers", str(number)])
        await engine.settled()
        assert len(broker.taken) == 5
        before = writes_of(store, "a")
        await eventually(lambda: not outbox(store, "a"))
        await asyncio.sleep(60)

        assert writes_of(store, "a") == before + 1


@on_skipping_loop
async def test_a_run_that_has_ended_gets_one_commit_for_all_that_leaves_after_its_end() -> None:
    store, broker = Store(), Broker()
    async with engine_on(store, workflows=ALL, publisher=broker) as engine:
        await engine.execute(counts, 50, id="a")
        before = writes_of(store, "a")
        await engine.settled()

        assert len(broker.taken) == 51
        assert outbox(store, "a") == []
        assert writes_of(store, "a") == before + 1


@pytest.mark.parametrize("name", ["counts", "chain_that_counts"])
@on_skipping_loop
async def test_an_outbox_is_empty_once_all_has_left_and_the_run_has_no_work(name: str) -> None:
    store, broker = MemoryStore(), Broker()
    async with engine_on(store, workflows=ALL, publisher=broker) as engine:
        await engine.execute(name, id="a")
        await engine.settled()
        await eventually(lambda: not outbox(store, "a"))
        assert engine.stats().live == 0
    reads: list[str] = []

    class Watched(Store):
        async def read(self, keys):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            reads.extend(keys)
            return await super().read(keys)

    async with engine_on(Watched(store), workflows=ALL, publisher=broker):
        assert "run:a" not in reads


@on_skipping_loop
async def test_a_clean_end_leaves_nothing_that_would_be_published_again() -> None:
    store, broker = MemoryStore(), Broker()
    async with engine_on(store, workflows=ALL, publisher=broker) as engine:
        handle = await engine.start(on_demand, id="a")
        await handle.signal("publish", ["numbers", "1"])
    assert outbox(store, "a") == []

    async with engine_on(store, workflows=ALL, publisher=broker) as engine:
        await engine.settled()
    assert broker.values == ["1"]


@pytest.mark.parametrize("cached", [0, 100])
@on_skipping_loop
async def test_a_run_that_comes_back_into_memory_too_early_does_not_publish_again(cached: int) -> None:
    """What has left is known beside the run, until it is stored."""
    store, broker = MemoryStore(), Broker()
    async with engine_on(store, workflows=ALL, publisher=broker, max_cached_runs=cached) as engine:
        await engine.start(on_demand, id="a")
        for number in range(10):
            await engine.signal("a", "publish", ["numbers", str(number)])
            await engine.settled()
            await engine.query("a", "stack")
            await engine.settled()
        await eventually(lambda: not outbox(store, "a"))

    assert broker.values == [str(number) for number in range(10)]


@on_skipping_loop
async def test_a_run_that_has_left_memory_is_read_once_for_all_that_has_left() -> None:
    reads: list[str] = []

    class Watched(Store):
        async def read(self, keys):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            reads.extend(keys)
            return await super().read(keys)

    store, broker = Watched(), Broker()
    broker.gate.clear()
    async with engine_on(store, workflows=ALL, publisher=broker, max_cached_runs=0) as engine:
        handle = await engine.start(on_demand, id="a")
        for number in range(5):
            await handle.signal("publish", ["numbers", str(number)])
        await eventually(lambda: not engine.stats().live)
        reads.clear()
        broker.gate.set()
        await eventually(lambda: not outbox(store, "a"))

        assert reads.count("run:a") == 1


@on_skipping_loop
async def test_a_resume_does_not_put_in_line_again_what_stands_there() -> None:
    broker = Broker()
    broker.raises = lambda _records: PublishError("away")
    async with engine_on(workflows=ALL, publisher=broker) as engine:
        handle = await engine.start(on_demand, id="a")
        await handle.signal("publish", ["numbers", "1"])
        for _ in range(3):
            await engine.pause("a")
            await engine.resume("a")
        assert engine.stats().outputs == 1
        broker.raises = lambda _records: None
        await eventually(lambda: broker.taken)
        await engine.settled()

        assert engine.stats().outputs == 0
        assert broker.values == ["1"]


# After the end of a process.


@on_skipping_loop
async def test_what_was_committed_and_had_not_left_is_published_by_the_next_process_in_its_order() -> None:
    store, broker = MemoryStore(), Broker()
    broker.gate.clear()
    engine = engine_on(store, workflows=ALL, publisher=broker)
    await engine.open()
    for number in range(120):
        await engine.start(counts, 3, id=f"r{number}")
    await engine.execute(chain_that_counts, id="chain")
    await died(engine)
    broker.gate.set()

    async with engine_on(store, workflows=ALL, publisher=broker) as engine:
        await engine.settled()

    for number in range(120):
        assert broker.of(f"r{number}") == ["0", "1", "2"]
    assert len(broker.ends) == 121
    assert broker.of("chain") == [str(number) for number in range(9)]


@on_skipping_loop
async def test_what_had_left_just_before_a_crash_comes_again_under_the_same_id() -> None:
    store, broker = MemoryStore(), Broker()
    engine = engine_on(store, workflows=ALL, publisher=broker)
    await engine.open()
    handle = await engine.start(on_demand, id="a")
    await handle.signal("publish", ["numbers", "1"])
    await eventually(lambda: broker.taken)
    assert outbox(store, "a")
    await died(engine)

    async with engine_on(store, workflows=ALL, publisher=broker) as engine:
        await engine.settled()
        await eventually(lambda: not outbox(store, "a"))

    first, second = broker.taken
    assert first == second


@on_skipping_loop
async def test_large_outputs_are_documents_of_their_own_and_leave_after_a_restart() -> None:
    @workflow(outputs=["big"])
    async def big(ctx: WorkflowContext) -> None:
        ctx.output("big", "t" * 3_000)
        ctx.output("big", b"\xff" * 3_000)
        ctx.output_json("big", {"j": ["x" * 3_000, 0.1, 12345678901234567]})

    store, broker = MemoryStore(), Broker()
    broker.raises = lambda _records: PublishError("away")
    async with engine_on(store, workflows=[big], publisher=broker) as engine:
        await engine.execute(big, id="a")
        assert len(documents(store, "blob:")) == 3
    broker.raises = lambda _records: None
    async with engine_on(store, workflows=[big], publisher=broker) as engine:
        await engine.settled()

    expected = [b"t" * 3_000, b"\xff" * 3_000, b'{"j":["' + b"x" * 3_000 + b'",0.1,12345678901234567]}']
    assert [record.value for record in broker.taken] == [*expected, b"null"]


# How full it may be.


@workflow(outputs=["numbers"])
async def floods(ctx: WorkflowContext) -> list[int]:
    """Publish on each signal; give how many were taken each time."""
    taken = []
    for _ in range(3):
        count = await ctx.receive_signal("flood")
        done = 0
        try:
            for number in range(count):
                ctx.output("numbers", str(number))
                done += 1
        except PayloadError as error:
            assert "1,000 effects of this run have not been carried out yet" in str(error)  # noqa: PT017 - a workflow
        taken.append(done)
    return taken


@on_skipping_loop
async def test_an_outbox_holds_a_thousand_and_what_is_over_raises_at_the_call_and_does_so_on_replay() -> None:
    store, broker = MemoryStore(), Broker()
    broker.raises = lambda _records: PublishError("away")
    async with engine_on(store, workflows=[floods], publisher=broker, dev_replay=True) as engine:
        handle = await engine.start(floods, id="a")
        await handle.signal("flood", 700)
        await handle.signal("flood", 700)
        assert (await types_of(engine, "a")).count("output_refused") == 1
        assert len(outbox(store, "a")) == MAX_OUTBOX
    broker.raises = lambda _records: None
    async with engine_on(store, workflows=[floods], publisher=broker, dev_replay=True) as engine:
        await eventually(lambda: len(broker.taken) == MAX_OUTBOX)
        await engine.signal("a", "flood", 700)
        assert await engine.handle("a").result() == [700, 300, 700]
        await engine.settled()

    numbers = [*map(str, range(700)), *map(str, range(300)), *map(str, range(700))]
    assert broker.values == numbers
    assert broker.ends == [("workflow-result", "a", b"[700,300,700]")]


@on_skipping_loop
async def test_what_outputs_carry_is_read_again_where_too_much_would_be_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_HELD_BYTES", 1_000)
    store, broker = MemoryStore(), Broker()
    broker.gate.clear()

    @workflow(outputs=["numbers"])
    async def long(ctx: WorkflowContext) -> None:
        for number in range(5):
            ctx.output("numbers", f"{number}" + "x" * 500)

    async with engine_on(store, workflows=[long], publisher=broker) as engine:
        for number in range(50):
            await engine.start(long, id=f"r{number}")
        held = engine._parts.runtime.outputs._lines  # noqa: SLF001
        assert held._held_bytes <= 2_000  # noqa: SLF001
        broker.gate.set()
        await engine.settled()
        assert held._held_bytes == 0  # noqa: SLF001

    for number in range(50):
        assert [value[0] for value in broker.of(f"r{number}")] == ["0", "1", "2", "3", "4"]
    assert len(broker.calls) < 20
