"""The bus within a process: who gets a record, and what becomes of one whose handler raises."""

import asyncio
from datetime import timedelta

import pytest

from holdfast import Engine, PublishError, TopicMapping, WorkflowContext, workflow
from holdfast.publishers import LocalBus, Publisher, Record
from holdfast.stores import MemoryStore
from holdfast.testing import TestEnvironment
from tests.play import Anything
from tests.unit.engine.kit import collect, died, engine_on, eventually, on_skipping_loop


def record(number: int, topic: str = "numbers", size: int = 1) -> Record:
    return Record(topic, None, b"x" * size, f"wf/run/{number}")


@workflow(outputs=["numbers", "letters"])
async def speaks(ctx: WorkflowContext) -> None:
    ctx.output("numbers", "1")
    await ctx.sleep(timedelta(days=1))
    ctx.output("letters", "a")
    ctx.output_json("numbers", 2)


async def test_plain_and_async_handlers_of_a_topic_get_its_records_and_no_others() -> None:
    bus: Publisher = LocalBus()
    assert isinstance(bus, LocalBus)
    plain: list[Record] = []
    slow: list[Record] = []

    async def later(found: Record) -> None:
        await asyncio.sleep(0)
        slow.append(found)

    bus.subscribe("numbers", plain.append)
    bus.subscribe("numbers", later)
    await bus.open()
    await bus.publish([record(1), record(2, "letters"), record(3)])
    await bus.close()

    assert plain == slow == [record(1), record(3)]
    assert bus.records == [record(1), record(2, "letters"), record(3)]


async def test_a_handler_that_raises_fails_its_record_alone() -> None:
    bus = LocalBus()
    seen: list[str] = []

    def picky(found: Record) -> None:
        seen.append(found.id)
        if found.id.endswith("2"):
            raise ValueError("not this one")

    bus.subscribe("numbers", picky)
    with pytest.raises(PublishError, match="handlers raised for 1 of 3 records") as caught:
        await bus.publish([record(1), record(2), record(3)])

    assert caught.value.failed == {"wf/run/2": "a handler raised ValueError: not this one"}
    assert caught.value.refused == {}
    assert [found.id for found in bus.records] == ["wf/run/1", "wf/run/3"]
    assert seen == ["wf/run/1", "wf/run/2", "wf/run/3"]


async def test_records_of_some_topics_are_forwarded_to_a_receiver_with_all_that_they_are() -> None:
    bus = LocalBus()
    received: list[tuple[str, str | None, bytes, str]] = []

    async def deliver(topic: str, key: str | None, value: bytes, *, id: str) -> str:
        received.append((topic, key, value, id))
        return "taken"

    async def fail(topic: str, key: str | None, value: bytes, *, id: str) -> None:
        raise AssertionError("it was replaced")

    bus.forward(["numbers"], fail)
    bus.forward(["numbers"], deliver)
    await bus.publish([Record("numbers", "k", b"1", "a/b/1"), record(2, "letters")])

    assert received == [("numbers", "k", b"1", "a/b/1")]
    assert (bus.hears("numbers"), bus.hears("letters")) == (True, False)


@workflow(outputs=["workflow-signals", "payments"])
async def tells(ctx: WorkflowContext) -> None:
    """Signal another run by the convention of our own topic, and one by a mapping."""
    ctx.output_json("workflow-signals", {"workflow_id": "b", "signal": "greeting", "payload": "hello"})
    ctx.output_json("payments", {"order": "7", "cents": 5})


async def listens(ctx: WorkflowContext, name: str) -> Anything:
    return await ctx.receive_signal(name)


@on_skipping_loop
async def test_records_of_topics_that_the_engine_maps_come_back_as_signals_once() -> None:
    topics = [
        TopicMapping("workflow-signals"),
        TopicMapping("payments", workflow_id="order-{data.order}", signal="paid"),
    ]
    store = MemoryStore()
    engine = engine_on(store, workflows=[tells, listens], topics=topics)
    async with engine:
        first = await engine.start(listens, "greeting", id="b")
        second = await engine.start(listens, "paid", id="order-7")
        await engine.execute(tells, id="a")

        assert await first.result() == "hello"
        assert await second.result() == {"order": "7", "cents": 5}
        (received,) = [event for event in await engine.history("b") if event.type == "signal_received"]
        assert received.id.startswith("a/")
        assert received.id.endswith("/1")


@on_skipping_loop
async def test_a_record_that_comes_back_after_a_crash_is_not_applied_twice() -> None:
    @workflow(outputs=["workflow-signals"])
    async def tells_once(ctx: WorkflowContext) -> None:
        ctx.output_json("workflow-signals", {"workflow_id": "b", "signal": "n", "payload": 1})
        await ctx.receive_signal("end")

    store, bus = MemoryStore(), LocalBus()
    engine = engine_on(store, workflows=[tells_once, collect], publisher=bus)
    await engine.open()
    await engine.start(collect, 3, id="b")
    await engine.start(tells_once, id="a")
    await eventually(lambda: bus.records)
    await died(engine)

    async with engine_on(store, workflows=[tells_once, collect], publisher=bus) as engine:
        await eventually(lambda: len(bus.records) == 2)
        await engine.settled()
        assert await engine.query("b", "taken") == [1]


async def test_the_newest_records_are_kept_by_number_and_by_size() -> None:
    bus = LocalBus(keep=3)
    await bus.publish([record(number) for number in range(5)])
    assert [found.id for found in bus.records] == ["wf/run/2", "wf/run/3", "wf/run/4"]

    await bus.publish([record(5, size=9 * 1024 * 1024), record(6, size=9 * 1024 * 1024)])
    assert [found.id for found in bus.records] == ["wf/run/6"]

    nothing = LocalBus(keep=0)
    await nothing.publish([record(1)])
    assert nothing.records == []


@on_skipping_loop
async def test_a_handler_is_called_until_it_returns_and_may_call_the_engine() -> None:
    bus = LocalBus()
    attempts: list[str] = []

    async def answer(found: Record) -> None:
        attempts.append(found.id)
        if len(attempts) < 3:
            raise ConnectionError("busy")
        await engine.signal(found.id.partition("/")[0], "answer", found.value.decode(), id=found.id)

    @workflow(outputs=["numbers"])
    async def asks(ctx: WorkflowContext) -> str:
        ctx.output("numbers", "7")
        return str(await ctx.receive_signal("answer"))

    bus.subscribe("numbers", answer)
    engine: Engine = engine_on(MemoryStore(), workflows=[asks], publisher=bus)
    async with engine:
        assert await engine.execute(asks, id="a") == "7"
        await eventually(lambda: bus.records)

    assert len(attempts) == 3
    assert len(set(attempts)) == 1


async def test_a_test_environment_shows_what_was_published_and_skips_time_meanwhile() -> None:
    heard: list[bytes] = []
    async with TestEnvironment(workflows=[speaks]) as env:
        env.bus.subscribe("letters", lambda found: heard.append(found.value))
        await env.execute(speaks, id="a")
        published = await env.outputs()
        numbers = await env.outputs("numbers")

    assert [(found.topic, found.value) for found in published] == [
        ("numbers", b"1"),
        ("letters", b"a"),
        ("numbers", b"2"),
        ("workflow-result", b"null"),
    ]
    assert [found.value for found in numbers] == [b"1", b"2"]
    assert heard == [b"a"]


async def test_a_test_environment_takes_another_publisher() -> None:
    other = LocalBus()
    async with TestEnvironment(workflows=[speaks], publisher=other) as env:
        await env.execute(speaks)
        assert await env.outputs() == []

    assert len(other.records) == 4
