"""Messages without a run: kept once with the reason, listed, replayed, dropped."""

from __future__ import annotations

import asyncio

import pytest

from holdfast import (
    DeadLetterNotFoundError,
    Delivery,
    HoldfastError,
    PayloadError,
    StoreError,
    TopicMapping,
    WorkflowFinishedError,
)
from holdfast.engine.messages.routing import SIGNALS_TOPIC
from holdfast.stores import MemoryStore
from tests.unit.engine.kit import collect, engine_on, on_skipping_loop, steps
from tests.unit.engine.stores import Guarded, Picky
from tests.unit.engine.topics import deliver, reasons, signal


@pytest.mark.parametrize("value", [b"", b"\xff", b"{", b"7", b"{}", signal("a b", 1), signal("a", 1, signalname=9)])
@on_skipping_loop
async def test_a_message_that_says_nothing_is_dead_and_can_be_looked_at(value: bytes) -> None:
    async with engine_on() as engine:
        assert await engine.deliver(SIGNALS_TOPIC, "k", value, id="offset-1") is Delivery.DEAD
        assert await engine.deliver(SIGNALS_TOPIC, "k", value, id="offset-1") is Delivery.DEAD

        (letter,) = (await engine.dead_letters()).items
        assert (letter.topic, letter.key, letter.id) == (SIGNALS_TOPIC, "k", "offset-1")
        assert letter.reason
        with pytest.raises(HoldfastError):
            await engine.replay_dead_letter(letter.number)
        assert len((await engine.dead_letters()).items) == 1


@on_skipping_loop
async def test_a_dead_letter_is_kept_once_although_it_comes_again_in_the_next_process() -> None:
    store = MemoryStore()
    for _ in range(3):
        async with engine_on(store, checkpoint_commits=2) as engine:
            await asyncio.gather(*(deliver(engine, signal("a b", number)) for number in (1, 2, 1)))
            assert len(await reasons(engine)) == 2
            assert engine.stats().dead_letters == 2


@on_skipping_loop
async def test_a_message_of_an_unmapped_topic_is_dead_and_lives_once_the_topic_is_mapped() -> None:
    store = MemoryStore()
    async with engine_on(store) as engine:
        assert await deliver(engine, b'{"id":7}', "payments") is Delivery.DEAD
        assert "topic 'payments' is not mapped" in (await reasons(engine))[0]

    mapped = TopicMapping("payments", workflow_id="order-{data.id}", signal="n")
    async with engine_on(store, topics=[mapped]) as engine:
        handle = await engine.start(collect, 1, id="order-7")
        assert await engine.replay_dead_letter(1) is Delivery.APPLIED
        assert await handle.result() == [{"id": 7}]
        assert await reasons(engine) == []


@on_skipping_loop
async def test_a_dead_letter_is_replayed_as_what_it_was() -> None:
    async with engine_on() as engine:
        await engine.execute(steps, 1, id="a")
        await deliver(engine, signal("a", 1))
        with pytest.raises(WorkflowFinishedError):
            await engine.replay_dead_letter(1)
        await engine.purge("a")

        assert await engine.replay_dead_letter(1) is Delivery.HELD
        with pytest.raises(DeadLetterNotFoundError):
            await engine.dead_letter(1)
        handle = await engine.start(collect, 2, id="a")
        await deliver(engine, signal("a", 1))  # the original, late once more
        await deliver(engine, signal("a", 2))

        assert await handle.result() == [1, 2]


@on_skipping_loop
async def test_a_letter_that_was_dropped_may_die_again() -> None:
    async with engine_on() as engine:
        await deliver(engine, b"{}")
        await engine.drop_dead_letter(1)
        with pytest.raises(DeadLetterNotFoundError, match="no dead letter 1"):
            await engine.drop_dead_letter(1)
        await engine.execute(steps, 1, id="a")
        await deliver(engine, signal("a", 1))
        await engine.drop_dead_letter(2)

        assert await deliver(engine, signal("a", 1)) is Delivery.DEAD
        assert [letter.number for letter in (await engine.dead_letters()).items] == [3]


@on_skipping_loop
async def test_dead_letters_are_listed_by_page_the_newest_first() -> None:
    async with engine_on() as engine:
        for number in range(250):
            await deliver(engine, signal("a b", number))
        await engine.drop_dead_letter(249)
        numbers, cursor = [], None
        while True:
            page = await engine.dead_letters(limit=30, cursor=cursor)
            numbers += [letter.number for letter in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break

        assert numbers == [250, *range(248, 0, -1)]
        for bad in ("x", "-1", "1.5", "²"):
            with pytest.raises(ValueError, match="cursor"):
                await engine.dead_letters(cursor=bad)
        with pytest.raises(ValueError, match="limit"):
            await engine.dead_letters(limit=0)


@on_skipping_loop
async def test_a_message_too_large_to_be_kept_leaves_its_beginning() -> None:
    async with engine_on() as engine:
        assert await deliver(engine, signal("a", "x" * 3_000_000)) is Delivery.DEAD

        (letter,) = (await engine.dead_letters()).items
        assert letter.truncated
        assert len(letter.value) == 64 * 1024
        with pytest.raises(PayloadError, match="too large"):
            await engine.replay_dead_letter(letter.number)


@on_skipping_loop
async def test_a_letter_that_the_store_would_not_take_is_not_taken_for_kept() -> None:
    refusing = True
    store = Picky(lambda write: refusing and write.key.startswith(("dead:", "held:")))
    async with engine_on(store) as engine:
        for value in (b"{}", signal("late", 1), signal("a b", 1)):
            with pytest.raises(StoreError, match="cannot be stored"):
                await deliver(engine, value)
        assert engine.stats().held == 0

        refusing = False
        assert await deliver(engine, signal("a b", 1)) is Delivery.DEAD
        assert await deliver(engine, signal("late", 1)) is Delivery.HELD
        assert len(await reasons(engine)) == 1
        handle = await engine.start(collect, 1, id="late")
        assert await handle.result() == [1]


@pytest.mark.parametrize("atomic", [True, False])
@on_skipping_loop
async def test_letters_share_their_commits(*, atomic: bool) -> None:
    store = Guarded("key", atomic=atomic)
    async with engine_on(store) as engine:
        before = engine.stats().commits
        await asyncio.gather(*(deliver(engine, signal("late", number)) for number in range(100)))

        assert engine.stats().commits - before < 10
