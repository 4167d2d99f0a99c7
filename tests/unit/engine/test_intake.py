"""Messages from topics: applied, held until they can be, or dead; nothing in between, whatever ends the process."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from holdfast import (
    Delivery,
    Engine,
    TopicMapping,
    WorkflowContext,
)
from holdfast.ports import Guard
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import collect, died, engine_on, eventually, nap, on_skipping_loop, steps
from tests.unit.engine.stores import Guarded, Unsure, documents
from tests.unit.engine.topics import HOUR, deliver, reasons, signal


@on_skipping_loop
async def test_a_message_for_a_run_is_applied_once_however_often_it_comes() -> None:
    async with engine_on() as engine:
        handle = await engine.start(collect, 2, id="a")
        for _ in range(5):
            assert await deliver(engine, signal("a", 1)) is Delivery.APPLIED
        assert await deliver(engine, signal("a", 2)) is Delivery.APPLIED

        assert await handle.result() == [1, 2]
        assert await deliver(engine, signal("a", 1)) is Delivery.APPLIED
        assert await reasons(engine) == []


@on_skipping_loop
async def test_a_message_that_comes_before_its_run_waits_for_it() -> None:
    async with engine_on() as engine:
        for number in (1, 2, 2, 1):
            assert await deliver(engine, signal("late", number)) is Delivery.HELD
        assert [held.id for held in await engine.held_messages()] == ["shop e-1", "shop e-2"]
        assert "there is no workflow 'late'" in (await engine.held_messages())[0].reason

        handle = await engine.start(collect, 2, id="late")

        assert await handle.result() == [1, 2]
        await engine.settled()
        assert await engine.held_messages() == []
        assert engine.stats().held == 0


@on_skipping_loop
async def test_a_message_that_waits_survives_the_end_of_the_process() -> None:
    store = MemoryStore()
    first = engine_on(store)
    await first.open()
    assert await deliver(first, signal("late", 1)) is Delivery.HELD
    await died(first)

    async with engine_on(store) as second:
        assert [held.workflow_id for held in await second.held_messages()] == ["late"]
        assert await (await second.start(collect, 1, id="late")).result() == [1]
        await second.settled()

    async with engine_on(store) as third:
        assert await third.held_messages() == []
        assert [key for key in documents(store) if key.startswith("held:")] == []


@on_skipping_loop
async def test_a_message_whose_run_began_in_the_last_process_is_applied_by_the_next() -> None:
    store = MemoryStore()
    first = engine_on(store)
    await first.open()
    await deliver(first, signal("late", 1, id=""))  # nothing to know it by but that it is held
    await first.start(collect, 2, id="late")
    await first.settled()
    held = {key: value for key, value in documents(store).items() if key.startswith("held:")}
    assert held == {}
    await died(first)

    async with engine_on(store) as second:
        await deliver(second, signal("late", 2))
        assert await second.handle("late").result() == [1, 2]


@pytest.mark.parametrize("outcome", ["lost", "applied"])
@pytest.mark.parametrize("broken", range(8))
@pytest.mark.parametrize(("guard", "atomic"), [("key", True), ("key", False), ("batch", True)])
@on_skipping_loop
async def test_a_held_message_is_applied_once_whichever_write_is_not_answered(
    guard: Guard, broken: int, outcome: str, *, atomic: bool
) -> None:
    store = Unsure(["ok"] * broken + [outcome], guard, atomic=atomic)
    async with engine_on(store) as engine:
        assert await deliver(engine, signal("late", 1, id="")) is Delivery.HELD
        assert await deliver(engine, b"{}") is Delivery.DEAD
        handle = await engine.start(collect, 2, id="late")
        await engine.settled()
        assert await deliver(engine, signal("late", 2)) is Delivery.APPLIED

        assert await handle.result() == [1, 2]
        assert len(await reasons(engine)) == 1

    async with engine_on(store) as engine:
        assert await engine.held_messages() == []
        assert len(await reasons(engine)) == 1


@pytest.mark.parametrize("ended_after", range(1, 10))
@pytest.mark.parametrize("atomic", [True, False])
@on_skipping_loop
async def test_a_process_may_end_after_any_of_its_writes(ended_after: int, *, atomic: bool) -> None:
    """What was acknowledged is there in the next process, once; what was not comes again."""
    store = Cut(ended_after, atomic=atomic)
    first = engine_on(store)
    acknowledged: list[int] = []
    work = asyncio.create_task(_work(first, acknowledged))
    await eventually(lambda: store.is_cut or work.done())
    work.cancel()
    await asyncio.wait([work])
    if first._parts._state == "open":  # noqa: SLF001 - how far it came is what differs
        await died(first)

    async with engine_on(store.mended()) as second:
        for number in (1, 2, 3):
            assert await deliver(second, signal("late", number)) in (Delivery.APPLIED, Delivery.HELD)
        handle = await second.start(collect, 4, id="late", on_conflict="use_existing")
        assert await deliver(second, signal("late", 4)) is Delivery.APPLIED
        assert sorted(await handle.result()) == [1, 2, 3, 4]
        assert len(await reasons(second)) <= 1
        if 0 in acknowledged:
            assert len(await reasons(second)) == 1


async def _work(engine: Engine, acknowledged: list[int]) -> None:
    await engine.open()
    await deliver(engine, signal("done", 0, id="bad", signalname=""))
    acknowledged.append(0)
    for number in (1, 2):
        await deliver(engine, signal("late", number))
        acknowledged.append(number)
    await engine.start(collect, 4, id="late")
    await engine.settled()


class Cut(Guarded):
    """A backend whose process is gone after so many writes: it answers no more."""

    def __init__(self, writes: int, *, atomic: bool) -> None:
        super().__init__("key", atomic=atomic)
        self.left = writes
        self.is_cut = False

    async def apply(self, writes: Anything) -> Anything:
        if self.left == 0:
            self.is_cut = True
            await asyncio.Event().wait()
        self.left -= 1
        return await super().apply(writes)

    def mended(self) -> Guarded:
        return Guarded("key", atomic=self.capabilities.atomic_batch, inner=self.inner)


@on_skipping_loop
async def test_a_message_that_waits_in_vain_is_dead_after_an_hour() -> None:
    async with engine_on() as engine:
        await deliver(engine, signal("never", 1))
        await asyncio.sleep(HOUR - 1)
        assert await reasons(engine) == []

        await asyncio.sleep(2)
        await engine.settled()

        assert await engine.held_messages() == []
        assert await reasons(engine) == ["there is no workflow 'never', and none has begun within an hour"]


@on_skipping_loop
async def test_the_hour_goes_on_in_the_next_process() -> None:
    store = MemoryStore()
    async with engine_on(store) as first:
        await deliver(first, signal("never", 1))
        await asyncio.sleep(HOUR / 2)

    async with engine_on(store) as second:
        await asyncio.sleep(HOUR / 2 + 1)
        await second.settled()
        assert len(await reasons(second)) == 1


@on_skipping_loop
async def test_a_message_for_a_run_that_has_ended_is_dead() -> None:
    async with engine_on() as engine:
        await engine.execute(steps, 1, id="done")

        assert await deliver(engine, signal("done", 1)) is Delivery.DEAD

        (letter,) = (await engine.dead_letters()).items
        assert (letter.number, letter.workflow_id, letter.signal) == (1, "done", "n")
        assert letter.reason == "workflow 'done' has ended: it is completed"
        assert letter.value["data"] == 1


@on_skipping_loop
async def test_a_mapping_can_start_the_run_that_it_signals_and_a_duplicate_starts_nothing() -> None:
    mapped = TopicMapping("numbers", workflow_id="c-{data.id}", signal="n", start="take_one")
    async with engine_on(workflows=[take_one], topics=[mapped]) as engine:
        event = orjson.dumps({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": {"id": 1}})
        assert await deliver(engine, event, "numbers") is Delivery.APPLIED
        assert await engine.handle("c-1").result() == [{"id": 1}, {"id": 1}]
        run = (await engine.describe("c-1")).run_id

        assert await deliver(engine, event, "numbers") is Delivery.APPLIED

        assert (await engine.describe("c-1")).run_id == run
        other = event.replace(b'"id":"1"', b'"id":"2"')
        assert await deliver(engine, other, "numbers") is Delivery.APPLIED
        assert (await engine.describe("c-1")).run_id != run


@on_skipping_loop
async def test_a_mapping_that_starts_what_is_not_registered_or_does_not_fit_makes_dead_letters() -> None:
    mapped = [
        TopicMapping("unknown", workflow_id="a", signal="n", start="nobody"),
        TopicMapping("misfit", workflow_id="a", signal="n", start="nap"),
    ]
    async with engine_on(workflows=[nap], topics=mapped) as engine:
        assert await deliver(engine, b"1", "unknown") is Delivery.DEAD
        assert await deliver(engine, b'"long"', "misfit") is Delivery.DEAD
        assert ["nobody" in reason for reason in await reasons(engine)] == [False, True]


async def take_one(ctx: WorkflowContext, value: dict[str, int]) -> list[Any]:
    return [value, await ctx.receive_signal("n")]


@on_skipping_loop
async def test_paused_runs_take_messages() -> None:
    async with engine_on() as engine:
        handle = await engine.start(collect, 1, id="a")
        await engine.pause("a")
        assert await deliver(engine, signal("a", 1)) is Delivery.APPLIED
        await engine.resume("a")

        assert await handle.result() == [1]


@on_skipping_loop
async def test_a_thousand_messages_for_a_run_to_come_are_all_applied_once_it_has_come() -> None:
    store = MemoryStore()
    async with engine_on(store, checkpoint_commits=3) as engine:
        verdicts = await asyncio.gather(*(deliver(engine, signal("late", number)) for number in range(1_000)))
        assert set(verdicts) == {Delivery.HELD}

    async with engine_on(store, checkpoint_commits=3) as engine:
        handle = await engine.start(collect, 1_000, id="late")
        assert await handle.result() == list(range(1_000))
