"""Outputs that cannot leave: tried until they can, seen while they cannot, and in nobody else's way."""

import asyncio
import logging

import pytest

from holdfast import PublishError, WorkflowContext, workflow
from holdfast.ports import Record
from holdfast.stores import MemoryStore
from tests.unit.engine.kit import WORKFLOWS, engine_on, eventually, on_skipping_loop
from tests.unit.engine.publishers import PUBLISHING, Broker, counts, on_demand
from tests.unit.engine.stores import documents

ALL = [*WORKFLOWS, *PUBLISHING]


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    "error",
    [PublishError("no reply"), ConnectionResetError("reset"), TimeoutError(), PublishError("?", failed={"x": "y"})],
)
@on_skipping_loop
async def test_records_whose_reply_is_lost_come_again_under_the_same_ids(error: Exception) -> None:
    broker = Broker()
    lost = iter([True, True, False, True])
    broker.raises_after = lambda _records: error if next(lost, False) else None
    async with engine_on(workflows=ALL, publisher=broker) as engine:
        await engine.execute(counts, 3, id="a")
        await eventually(lambda: engine.stats().published == 4)

    assert broker.values == ["0", "0", "0", "1", "1", "2"]
    assert broker.ends == [("workflow-result", "a", b"3")]
    assert len({record.id for record in broker.taken}) == 4


@on_skipping_loop
async def test_while_the_publisher_is_away_runs_go_on_and_everybody_can_see_what_waits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = Broker()
    broker.raises = lambda _records: PublishError("no broker at 127.0.0.1:6379")
    async with engine_on(workflows=ALL, publisher=broker) as engine:
        assert await engine.execute(counts, 3, id="a") == 3
        handle = await engine.start(on_demand, id="b")
        await handle.signal("publish", ["numbers", "7"])
        await asyncio.sleep(600)
        ended, running = await engine.describe("a"), await engine.describe("b")
        stack, stats = await engine.query("b", "stack"), engine.stats()
        calls = len(broker.calls)
        broker.raises = lambda _records: None
        await eventually(lambda: engine.stats().published == 5)
        after = await engine.describe("b")

    assert ended.waiting_for == ["4 outputs to leave (no broker at 127.0.0.1:6379)"]
    assert running.waiting_for == ["1 output to leave (no broker at 127.0.0.1:6379)", "signal 'publish'"] == stack
    assert (stats.outputs, stats.published) == (5, 0), "three and the end; one"
    assert after.waiting_for == ["signal 'publish'"]
    assert 120 <= calls <= 300, "every 2.5 to 5 seconds, faster at first"
    assert messages(caplog) == [
        "the publisher does not take outputs, and is called until it does: no broker at 127.0.0.1:6379",
        f"the publisher takes outputs again, after {calls} calls that failed",
    ]
    assert broker.of("a") == ["0", "1", "2"]
    assert broker.of("b") == ["7"]


@on_skipping_loop
async def test_a_topic_that_is_refused_holds_up_its_own_runs_and_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    broker = Broker()
    broker.refuses = lambda record: "not allowed" if record.topic == "secret" else None
    async with engine_on(workflows=ALL, publisher=broker) as engine:
        for name in ("a", "b", "c"):
            handle = await engine.start(on_demand, id=name)
            topics = ["numbers", "numbers"] if name == "c" else ["secret", "numbers"]
            for topic in topics:
                await handle.signal("publish", [topic, topic])
        await engine.settled()
        assert broker.values == ["numbers", "numbers"] == broker.of("c")
        before = len(broker.calls)
        await asyncio.sleep(3_600)
        tried = len(broker.calls) - before
        described, stats = await engine.describe("a"), engine.stats()
        broker.refuses = lambda _record: None
        await eventually(lambda: engine.stats().published == 6, within=120)
        after = engine.stats()

    assert described.waiting_for[0] == "2 outputs to leave (not allowed)"
    assert (stats.stuck, stats.outputs) == (2, 4)
    assert (after.stuck, after.outputs) == (0, 0)
    assert 50 <= tried <= 75, "once a minute, faster at first, both in one call"
    assert broker.of("a") == ["secret", "numbers"] == broker.of("b")
    assert messages(caplog) == [
        "an output of workflow 'a' to topic 'secret' is tried until it leaves: not allowed",
        "the outputs to topic 'secret' leave again",
    ]


@on_skipping_loop
async def test_only_what_failed_is_published_again() -> None:
    broker = Broker()
    broker.gate.clear()
    failures = iter(["full", "full"])
    broker.fails = lambda record: next(failures, None) if record.id.startswith("b/") else None
    async with engine_on(workflows=ALL, publisher=broker) as engine:
        await engine.start(counts, 1, id="first")
        await eventually(lambda: broker.calls)
        for name in ("a", "b", "c"):
            await engine.start(counts, 2, id=name)
        broker.gate.set()
        await eventually(lambda: engine.stats().published == 7 + 4)

    assert sorted(broker.values) == ["0", "0", "0", "0", "1", "1", "1"]
    assert broker.of("b") == ["0", "1"]
    assert len(broker.ends) == 4


def bad(record: Record) -> bool:
    return record.value == b"poison"


@on_skipping_loop
async def test_one_record_that_fails_every_call_it_is_in_is_alone_in_the_end() -> None:
    """The publisher tells no more than that the call has failed."""
    broker = Broker()
    broker.gate.clear()
    broker.raises = lambda records: ValueError("cannot encode") if any(map(bad, records)) else None
    async with engine_on(workflows=ALL, publisher=broker) as engine:
        await engine.start(counts, 1, id="first")
        await eventually(lambda: broker.calls)
        for number in range(60):
            handle = await engine.start(on_demand, id=f"r{number}")
            await handle.signal("publish", ["numbers", "poison" if number == 30 else "good"])
        broker.gate.set()
        await eventually(lambda: engine.stats().published == 61, within=30)
        await asyncio.sleep(600)
        before = len(broker.calls)
        for number in range(60):
            await engine.signal(f"r{number}", "publish", ["numbers", "more"])
            await asyncio.sleep(1)
        later = broker.calls[before:]
        description = await engine.describe("r30")
        broker.raises = lambda _records: None
        await eventually(lambda: engine.stats().outputs == 0)

    assert description.waiting_for[0] == "2 outputs to leave (ValueError: cannot encode)"
    assert [call for call in later if any(map(bad, call)) and len(call) > 1] == []
    assert broker.of("r30") == ["poison", "more"]
    assert all(broker.of(f"r{number}") == ["good", "more"] for number in range(60) if number != 30)


@on_skipping_loop
async def test_a_call_that_is_not_answered_for_a_minute_is_made_again() -> None:
    broker = Broker()
    broker.gate.clear()
    async with engine_on(workflows=ALL, publisher=broker) as engine:
        await engine.execute(counts, 1, id="a")
        await eventually(lambda: engine._parts.runtime.world.publisher_trouble, within=120)  # noqa: SLF001
        broker.gate.set()
        await eventually(lambda: engine.stats().published == 2)

    assert broker.values == ["0"]
    assert broker.ends == [("workflow-result", "a", b"1")]


@on_skipping_loop
async def test_what_is_not_stored_any_more_cannot_leave_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    @workflow(outputs=["numbers"])
    async def long(ctx: WorkflowContext) -> None:
        for number in range(40):
            ctx.output("numbers", str(number))

    store, broker = MemoryStore(), Broker()
    broker.raises = lambda _records: PublishError("away")
    async with engine_on(store, workflows=[*ALL, long], publisher=broker) as engine:
        handle = await engine.start(long, id="a")
        await handle.result()
        await engine.execute(counts, 1, id="b")
    broker.raises = lambda _records: None
    del store._documents[f"page:{handle.run_id}:0"]  # noqa: SLF001 - damage
    caplog.clear()
    async with engine_on(store, workflows=[*ALL, long], publisher=broker) as engine:
        await eventually(lambda: broker.taken)
        described = await engine.describe("a")

    assert broker.values == ["0"] == broker.of("b")
    assert described.waiting_for == [f"41 outputs to leave (document 'page:{handle.run_id}:0' is missing)"]
    assert [text for text in messages(caplog) if "is missing" in text]


@on_skipping_loop
async def test_a_run_with_outputs_that_have_not_left_is_not_purged() -> None:
    store, broker = MemoryStore(), Broker()
    broker.raises = lambda _records: PublishError("away")
    async with engine_on(store, workflows=ALL, publisher=broker) as engine:
        await engine.execute(counts, 3, id="a")
        with pytest.raises(Exception, match="'a' has effects on others that are still on their way"):
            await engine.purge("a")
        broker.raises = lambda _records: None
        await eventually(lambda: engine.stats().published == 4)
        await engine.settled()
        await engine.purge("a")
        await engine.settled()

    assert list(documents(store, "page:")) == []
