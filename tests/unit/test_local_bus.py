"""The bus within a process: who gets a record, and what becomes of one whose handler raises."""

import asyncio
from datetime import timedelta

import pytest

from holdfast import Engine, PublishError, WorkflowContext, workflow
from holdfast.publishers import LocalBus, Publisher, Record
from holdfast.stores import MemoryStore
from holdfast.testing import TestEnvironment
from tests.unit.engine.kit import engine_on, eventually, on_skipping_loop


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

    bus.forward(["numbers"], deliver)
    await bus.publish([Record("numbers", "k", b"1", "a/b/1"), record(2, "letters")])

    assert received == [("numbers", "k", b"1", "a/b/1")]


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
    ]
    assert [found.value for found in numbers] == [b"1", b"2"]
    assert heard == [b"a"]


async def test_a_test_environment_takes_another_publisher() -> None:
    other = LocalBus()
    async with TestEnvironment(workflows=[speaks], publisher=other) as env:
        await env.execute(speaks)
        assert await env.outputs() == []

    assert len(other.records) == 3
