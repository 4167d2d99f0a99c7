"""Numbered messages: applied in the order of their numbers, whatever order they come in."""

from __future__ import annotations

import asyncio
from itertools import permutations
from typing import Any

import pytest

from holdfast import Delivery, Engine, TopicMapping, WorkflowContext
from holdfast.stores import MemoryStore
from tests.unit.engine.kit import collect, engine_on, on_skipping_loop
from tests.unit.engine.topics import HOUR, deliver, reasons, signal


@pytest.mark.parametrize("order", list(permutations((1, 2, 3, 4))))
@on_skipping_loop
async def test_numbered_messages_are_applied_in_order_whatever_order_they_come_in(order: tuple[int, ...]) -> None:
    async with engine_on(dev_replay=True) as engine:
        handle = await engine.start(collect, 4, id="a")
        for number in order:
            await deliver(engine, signal("a", number, sequence=str(number)))
            await deliver(engine, signal("a", number, sequence=str(number)))

        assert await handle.result() == [1, 2, 3, 4]
        await engine.settled()
        assert engine.stats().held == 0
        assert await reasons(engine) == []


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
@on_skipping_loop
async def test_numbered_messages_without_an_id_are_known_by_their_number(order: tuple[int, ...]) -> None:
    store = MemoryStore()
    async with engine_on(store) as engine:
        await engine.start(collect, 4, id="a")
        for number in (*order, *order):
            await deliver(engine, signal("a", number, sequence=number, id=""))
    async with engine_on(store) as engine:
        for number in (*order, 4):
            assert await deliver(engine, signal("a", number, sequence=number, id="")) is Delivery.APPLIED

        assert await engine.handle("a").result() == [1, 2, 3, 4]
        await engine.settled()
        assert (engine.stats().held, await reasons(engine)) == (0, [])


@on_skipping_loop
async def test_a_message_whose_number_was_applied_for_another_is_dead_and_says_so() -> None:
    async with engine_on() as engine:
        handle = await engine.start(collect, 2, id="a")
        await deliver(engine, signal("a", 1, sequence="1"))

        assert await deliver(engine, signal("a", 9, sequence="1")) is Delivery.DEAD

        assert await deliver(engine, signal("a", 1, sequence="1")) is Delivery.APPLIED
        await deliver(engine, signal("a", 2, sequence="2"))
        assert await handle.result() == [1, 2]
        assert await reasons(engine) == ["number 1 of source 'shop' was applied before, for another message"]


@on_skipping_loop
async def test_a_message_whose_number_is_held_for_another_is_dead_and_says_so() -> None:
    async with engine_on() as engine:
        handle = await engine.start(collect, 2, id="a")
        await deliver(engine, signal("a", 2, sequence="2"))

        assert await deliver(engine, signal("a", 9, sequence="2")) is Delivery.DEAD
        assert await engine.replay_dead_letter(1) is Delivery.DEAD

        assert await deliver(engine, signal("a", 2, sequence="2")) is Delivery.HELD
        await deliver(engine, signal("a", 1, sequence="1"))
        assert await handle.result() == [1, 2]
        assert await reasons(engine) == ["number 2 of source 'shop' is held already, for another message"]


@on_skipping_loop
async def test_numbers_go_on_when_an_id_is_started_again() -> None:
    async with engine_on() as engine:
        for first in (1, 2):
            handle = await engine.start(collect, 1, id="a")
            await deliver(engine, signal("a", first, sequence=str(first)))
            assert await handle.result() == [first]

        await engine.start(collect, 1, id="a")
        assert await deliver(engine, signal("a", 9, sequence="1")) is Delivery.DEAD


@on_skipping_loop
async def test_numbered_messages_that_all_come_at_once_are_applied_in_order() -> None:
    async with engine_on() as engine:
        handle = await engine.start(collect, 500, id="a")
        numbers = [number * 7 % 500 + 1 for number in range(500)]
        await asyncio.gather(*(deliver(engine, signal("a", number, sequence=number)) for number in numbers))

        assert await handle.result() == list(range(1, 501))


@on_skipping_loop
async def test_the_numbers_of_each_source_and_each_run_are_their_own() -> None:
    async with engine_on() as engine:
        first, second = await engine.start(collect, 3, id="a"), await engine.start(collect, 1, id="b")
        await deliver(engine, signal("a", 2, sequence="2", source="x", id="x2"))
        await deliver(engine, signal("a", 1, sequence="1", source="y", id="y1"))
        await deliver(engine, signal("b", 1, sequence="1", source="x", id="x1"))
        await deliver(engine, signal("a", 3, sequence="1", source="x", id="x1"))

        assert await second.result() == [1]
        assert await first.result() == [1, 3, 2]


@on_skipping_loop
async def test_numbers_go_on_across_continue_as_new_and_restarts_of_the_engine() -> None:
    store = MemoryStore()
    async with engine_on(store, workflows=[relay]) as engine:
        await engine.start(relay, [], id="a")
        for number in (1, 3, 2):
            await deliver(engine, signal("a", number, sequence=str(number)))
        await engine.settled()

    async with engine_on(store, workflows=[relay]) as engine:
        for number in (6, 4, 5, 2):
            await deliver(engine, signal("a", number, sequence=str(number)))
        assert await engine.handle("a").result() == [1, 2, 3, 4, 5, 6]


async def relay(ctx: WorkflowContext, taken: list[int]) -> list[int]:
    """Take one signal, and continue as new until there are six."""
    taken = [*taken, await ctx.receive_signal("n")]
    if len(taken) < 6:
        ctx.continue_as_new(taken)
    return taken


@on_skipping_loop
async def test_messages_behind_a_gap_that_never_closes_are_dead_after_an_hour() -> None:
    async with engine_on() as engine:
        await engine.start(collect, 9, id="a")
        await deliver(engine, signal("a", 3, sequence="3"))
        await asyncio.sleep(HOUR + 1)
        await engine.settled()

        assert await reasons(engine) == ["messages of 'shop' before its number 3 have not come within an hour"]


@on_skipping_loop
async def test_the_reason_of_a_held_message_changes_once_its_run_has_begun() -> None:
    store = MemoryStore()

    async def shown(engine: Engine) -> list[str]:
        return [held.reason for held in await engine.held_messages()]

    async with engine_on(store) as engine:
        await deliver(engine, signal("a", 2, sequence="2"))
        assert await shown(engine) == ["there is no workflow 'a', and none has begun"]

        await engine.start(collect, 9, id="a")
        await engine.settled()

        assert await shown(engine) == ["messages of 'shop' before its number 2 have not come"]

    async with engine_on(store) as engine:
        assert await shown(engine) == ["messages of 'shop' before its number 2 have not come"]
        await asyncio.sleep(HOUR + 1)
        await engine.settled()
        assert await reasons(engine) == ["messages of 'shop' before its number 2 have not come within an hour"]


@on_skipping_loop
async def test_a_numbered_message_that_is_early_does_not_start_its_run() -> None:
    mapped = TopicMapping("numbers", workflow_id="c", signal="n", start="take_two", sequence="{data}")
    async with engine_on(workflows=[take_two], topics=[mapped]) as engine:
        assert await deliver(engine, b"2", "numbers") is Delivery.HELD
        assert await deliver(engine, b"1", "numbers") is Delivery.APPLIED

        assert await engine.handle("c").result() == [1, 2]


@on_skipping_loop
async def test_a_message_that_would_start_a_run_under_a_taken_number_starts_none() -> None:
    mapped = TopicMapping("numbers", workflow_id="c", signal="n", start="ended_at_once", sequence="{sequence}")
    async with engine_on(workflows=[ended_at_once], topics=[mapped]) as engine:

        async def bring(number: int, name: str) -> Delivery:
            return await deliver(engine, signal("", number, sequence=number, id=name), "numbers")

        assert [await bring(1, "first"), await bring(1, "first")] == [Delivery.APPLIED, Delivery.APPLIED]
        run_id = (await engine.describe("c")).run_id

        assert await bring(1, "second") is Delivery.DEAD

        assert (await engine.describe("c")).run_id == run_id
        assert await reasons(engine) == ["number 1 of source 'shop' was applied before, for another message"]
        assert await bring(2, "third") is Delivery.APPLIED


async def ended_at_once(_: WorkflowContext, value: int) -> int:
    return value


async def take_two(ctx: WorkflowContext, value: int) -> list[Any]:
    return [await ctx.receive_signal("n"), await ctx.receive_signal("n")]
