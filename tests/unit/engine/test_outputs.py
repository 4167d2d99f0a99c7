"""Outputs leave after the commit, in the order of their run, many runs at a time."""

import asyncio
from collections import Counter

import pytest

from holdfast import PublishError, StoreUnavailableError, WorkflowContext, workflow
from holdfast.engine.bus import LocalBus
from holdfast.ports import Record
from holdfast.stores import MemoryStore
from tests.unit.engine.kit import WORKFLOWS, engine_on, eventually, on_skipping_loop, types_of
from tests.unit.engine.publishers import (
    PUBLISHING,
    Broker,
    chain_that_counts,
    counts,
    counts_and_works,
    on_demand,
)
from tests.unit.engine.stores import Halting, content, documents

ALL = [*WORKFLOWS, *PUBLISHING]


@on_skipping_loop
async def test_outputs_leave_with_their_topic_key_value_and_an_id_of_their_own() -> None:
    @workflow(outputs=["a", "b"])
    async def mixed(ctx: WorkflowContext) -> None:
        ctx.output("a", "0")
        ctx.output("b", b"\xff", key="k")
        ctx.output_json("a", {"n": [1]})

    broker = Broker()
    async with engine_on(workflows=[mixed], publisher=broker, dev_replay=True) as engine:
        handle = await engine.start(mixed, id="m")
        await engine.settled()

    assert broker.taken == [
        Record("a", "m", b"0", f"m/{handle.run_id}/1", "text/plain"),
        Record("b", "k", b"\xff", f"m/{handle.run_id}/2", "application/octet-stream"),
        Record("a", "m", b'{"n":[1]}', f"m/{handle.run_id}/3", "application/json"),
        Record("workflow-result", "m", b"null", f"m/{handle.run_id}/4", "application/json"),
    ]


@on_skipping_loop
async def test_nothing_leaves_before_it_is_durable() -> None:
    store, broker = Halting(), Broker()

    def look() -> None:
        assert content(store, "run:a")["outbox"], "it is not stored"

    broker.before = look
    async with engine_on(store, workflows=ALL, publisher=broker) as engine:
        handle = await engine.start(on_demand, id="a")
        store.gate.clear()
        telling = asyncio.create_task(handle.signal("publish", ["numbers", "1"]))
        await eventually(lambda: store.waiting)
        await asyncio.sleep(60)
        assert broker.calls == []
        store.gate.set()
        await telling
        await engine.settled()

    assert broker.values == ["1"]


@on_skipping_loop
async def test_the_outputs_of_a_run_leave_one_after_the_other_in_its_order() -> None:
    broker = Broker()
    async with engine_on(workflows=ALL, publisher=broker) as engine:
        await engine.execute(counts, 20, id="a")
        await engine.settled()

    calls = [[record.value for record in call] for call in broker.calls]
    assert calls == [*([b"%d" % number] for number in range(20)), [b"20"]]
    assert broker.ends == [("workflow-result", "a", b"20")]


@on_skipping_loop
async def test_one_call_takes_the_next_output_of_many_runs_and_there_is_one_at_a_time() -> None:
    broker = Broker()
    broker.gate.clear()
    async with engine_on(workflows=ALL, publisher=broker) as engine:
        await engine.start(counts, 3, id="first")
        await eventually(lambda: broker.calls)
        await asyncio.gather(*(engine.start(counts, 3, id=f"r{number}") for number in range(250)))
        await asyncio.sleep(30)
        assert len(broker.calls) == 1
        broker.gate.set()
        await engine.settled()

    assert broker.most_at_a_time == 1
    assert [len(call) for call in broker.calls] == [1, *[100] * 10, 3], "251 runs, with three outputs and an end each"
    for call in broker.calls:
        assert max(Counter(record.key for record in call).values()) == 1
    for name in ("first", *(f"r{number}" for number in range(250))):
        assert broker.of(name) == ["0", "1", "2"]


@on_skipping_loop
async def test_a_call_holds_no_more_than_a_megabyte_but_for_one_output_that_is_larger() -> None:
    @workflow(outputs=["big"])
    async def big(ctx: WorkflowContext, size: int) -> None:
        ctx.output("big", "x" * size)

    broker = Broker()
    broker.gate.clear()
    sizes = [300_000, 300_000, 300_000, 300_000, 1_000_000, 10, 1_000_000, 1_000_000]
    async with engine_on(workflows=[*ALL, big], publisher=broker) as engine:
        await engine.start(counts, 1)
        await eventually(lambda: broker.calls)
        for number, size in enumerate(sizes):
            await engine.start(big, size, id=f"b{number}")
        broker.gate.set()
        await engine.settled()

    asked_for = [[len(record.value) for record in call if record.topic == "big"] for call in broker.calls]
    calls = [sizes for sizes in asked_for if sizes]
    assert calls == [[300_000, 300_000, 300_000], [300_000], [1_000_000, 10], [1_000_000], [1_000_000]]
    assert all(sum(len(record.value) for record in call) <= 1024 * 1024 for call in broker.calls)
    assert len(broker.ends) == 1 + len(sizes)


@on_skipping_loop
async def test_runs_that_follow_each_other_under_one_id_keep_their_order() -> None:
    broker = Broker()
    broker.gate.clear()
    async with engine_on(workflows=ALL, publisher=broker) as engine:
        assert await engine.execute(chain_that_counts, id="a") == 9
        assert await engine.execute(counts, 2, id="a") == 2
        broker.gate.set()
        await engine.settled()

    assert broker.values == [*map(str, range(9)), "0", "1"]
    assert broker.ends == [("workflow-result", "a", b"9"), ("workflow-result", "a", b"2")]
    assert len({record.id for record in broker.taken}) == 13
    assert [record.topic for record in broker.taken].index("workflow-result") == 9, "a chain ends once"


@pytest.mark.parametrize(
    ("end", "told"), [("terminate", [b'"terminated"']), ("cancel", [b'"canceled"']), ("pause", [])]
)
@on_skipping_loop
async def test_what_was_asked_for_leaves_whatever_becomes_of_the_run(end: str, told: list[bytes]) -> None:
    broker = Broker()
    broker.gate.clear()
    async with engine_on(workflows=ALL, publisher=broker) as engine:
        handle = await engine.start(on_demand, id="a")
        for number in range(3):
            await handle.signal("publish", ["numbers", str(number)])
        await getattr(engine, end)("a")
        broker.gate.set()
        await engine.settled()

    assert broker.values == ["0", "1", "2"]
    assert [value for _, _, value in broker.ends] == told


@on_skipping_loop
async def test_a_run_whose_code_does_not_fit_any_more_still_publishes_what_it_had_asked_for() -> None:
    @workflow(name="changing", outputs=["numbers"])
    async def before(ctx: WorkflowContext) -> None:
        ctx.output("numbers", "1")
        await ctx.receive_signal("end")

    @workflow(name="changing", outputs=["numbers"])
    async def after(ctx: WorkflowContext) -> None:
        await ctx.receive_signal("end")

    store, broker = MemoryStore(), Broker()
    broker.raises = lambda _records: PublishError("away")
    async with engine_on(store, workflows=[before], publisher=broker) as engine:
        await engine.start(before, id="a")
    broker.raises = lambda _records: None
    async with engine_on(store, workflows=[after], publisher=broker) as engine:
        await eventually(lambda: broker.taken)
        assert await engine.query("a", "status") == "stalled"
        assert broker.values == ["1"]
        await eventually(lambda: "outbox" not in content(store, "run:a"))


@on_skipping_loop
async def test_runs_that_leave_memory_at_every_step_publish_the_same() -> None:
    store, broker = MemoryStore(), Broker()
    async with engine_on(store, workflows=ALL, publisher=broker, max_cached_runs=0) as engine:
        await asyncio.gather(*(engine.execute(counts_and_works, 5, id=f"r{number}") for number in range(10)))
        await engine.settled()
        await eventually(lambda: not any(b'"outbox"' in value for value in documents(store, "run:").values()))

    for number in range(10):
        assert list(dict.fromkeys(broker.of(f"r{number}"))) == ["0", "1", "2", "3", "4"]
    assert len(broker.asked_for) == 50
    assert Counter(broker.ends) == Counter(("workflow-result", f"r{number}", b"5") for number in range(10))


@on_skipping_loop
async def test_a_rerun_publishes_nothing_again() -> None:
    @workflow(outputs=["numbers"])
    async def once(ctx: WorkflowContext) -> None:
        ctx.output("numbers", "before")
        await ctx.sleep(1)
        ctx.output("numbers", "after")

    broker = Broker()
    async with engine_on(workflows=[once], publisher=broker) as engine:
        await engine.execute(once, id="a")
        again = await engine.rerun("a", from_event=3)
        await again.result()
        await engine.settled()

    assert broker.values == ["before", "after", "after"]
    assert broker.ends == [("workflow-result", "a", b"null")] * 2, "each run has an end of its own"


@on_skipping_loop
async def test_history_shows_outputs_and_the_engine_counts_them() -> None:
    broker = Broker()
    async with engine_on(workflows=ALL, publisher=broker) as engine:
        await engine.execute(counts, 2, id="a")
        await engine.settled()
        stats = engine.stats()
        _, first, *_ = await engine.history("a")

        assert await types_of(engine, "a") == ["workflow_started", "output_sent", "output_sent", "workflow_completed"]
        assert (stats.outputs, stats.published, stats.stuck) == (0, 3, 0), "two, and the end"
        assert (first.name, first.value, first.details) == ("numbers", 0, {"content_type": "application/json"})


@on_skipping_loop
async def test_outputs_bring_the_trace_of_their_run_along_also_when_they_have_to_be_read() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 vendor=1"
    store, broker = MemoryStore(), Broker()
    broker.raises = lambda _records: PublishError("away")
    async with engine_on(store, workflows=ALL, publisher=broker) as engine:
        await engine.start(counts, 1, id="a", trace=trace)
        await engine.start(chain_that_counts, id="b", trace=trace)
        await engine.settled()
    broker.raises = lambda _records: None
    async with engine_on(store, workflows=ALL, publisher=broker) as engine:
        await engine.execute(counts, 1, id="c", trace=trace)
        await engine.execute(counts, 1, id="d")
        await engine.settled()

    traces = {record.id.rpartition("/")[0]: record.trace for record in broker.taken}
    assert all(record.trace == traces[record.id.rpartition("/")[0]] for record in broker.taken)
    assert sorted(found for run, found in traces.items() if run[0] in "acd") == ["", trace, trace]
    chain = [found for run, found in traces.items() if run[0] == "b"]
    assert chain[0] == trace
    assert len(set(chain)) == 3, "each of a chain has a trace of its own"


# Opening and closing.


@on_skipping_loop
async def test_the_engine_opens_and_closes_its_publisher() -> None:
    broker = Broker()
    async with engine_on(workflows=ALL, publisher=broker):
        assert broker.is_open
    assert not broker.is_open


@on_skipping_loop
async def test_an_engine_does_not_open_where_its_publisher_cannot_be_used() -> None:
    class Missing(Broker):
        async def open(self) -> None:
            await super().open()
            raise PublishError("there is no component 'pubsub'")

    store, broker = MemoryStore(), Missing()
    with pytest.raises(PublishError, match="there is no component 'pubsub'"):
        await engine_on(store, workflows=ALL, publisher=broker).open()

    assert not broker.is_open
    async with engine_on(store, workflows=ALL, publisher=LocalBus()) as engine:
        assert await engine.execute(counts, 1) == 1


@on_skipping_loop
async def test_what_is_ready_leaves_before_the_engine_closes() -> None:
    broker = Broker()
    async with engine_on(workflows=ALL, publisher=broker) as engine:
        await engine.execute(counts, 30, id="a")

    assert broker.values == [str(number) for number in range(30)]


@on_skipping_loop
async def test_a_publisher_that_hangs_does_not_keep_the_engine_from_closing_and_the_next_one_publishes() -> None:
    store, broker = MemoryStore(), Broker()
    broker.gate.clear()
    async with engine_on(store, workflows=ALL, publisher=broker, instance="one") as engine:
        await engine.execute(counts, 2, id="a")
    assert broker.taken == []

    broker.gate.set()
    async with engine_on(store, workflows=ALL, publisher=broker, instance="another") as engine:
        await engine.settled()
        assert broker.values == ["0", "1"]


@on_skipping_loop
async def test_nothing_leaves_from_an_engine_that_another_has_replaced() -> None:
    store, broker, other = MemoryStore(), Broker(), Broker()
    broker.raises = lambda _records: PublishError("away")
    old = engine_on(store, workflows=ALL, publisher=broker)
    await old.open()
    await old.execute(counts, 2, id="a")
    async with engine_on(store, workflows=ALL, publisher=other) as new:
        await new.settled()
        with pytest.raises(Exception, match="was taken over by another process"):
            await old.start(counts, id="b")
        broker.raises = lambda _records: None
        before = len(broker.calls)
        await asyncio.sleep(60)
        assert len(broker.calls) == before
    await old.close()

    assert other.values == ["0", "1"]
    assert broker.taken == []


@on_skipping_loop
async def test_an_outage_of_the_store_does_not_multiply_what_is_to_be_stored() -> None:
    """While nothing can be stored, removals wait, and do not pile up in the inboxes of their runs."""

    class Away(Halting):
        down = False

        async def apply(self, writes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            if self.down:
                message = "down"
                raise StoreUnavailableError(message)
            return await super().apply(writes)

    store, broker = Away(), Broker()
    async with engine_on(store, workflows=ALL, publisher=broker) as engine:
        handle = await engine.start(on_demand, id="a")
        broker.gate.clear()
        await handle.signal("publish", ["numbers", "1"])
        await eventually(lambda: broker.calls)
        store.down = True
        telling = asyncio.create_task(handle.signal("publish", ["numbers", "2"]))
        broker.gate.set()
        await asyncio.sleep(300)
        assert len(engine._parts.runtime.live["a"].inbox) <= 2  # noqa: SLF001
        store.down = False
        await telling
        await eventually(lambda: "outbox" not in content(store, "run:a"))

    assert broker.values == ["1", "2"]
