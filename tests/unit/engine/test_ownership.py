"""One owner: a newcomer waits, a successor takes over, and whoever slept through it writes nothing any more."""

import asyncio
import itertools

import pytest

from holdfast import Engine, FencedError, RunStatus
from holdfast.ports import Guard
from holdfast.stores import MemoryStore
from tests.play import Code
from tests.unit.engine.kit import collect, died, engine_on, eventually, on_skipping_loop, steps, types_of
from tests.unit.engine.stores import Guarded, Halting, Store, content, documents

FENCING: list[tuple[Guard, bool]] = [("key", True), ("key", False), ("batch", True)]


async def opening_time(engine: Engine) -> float:
    loop = asyncio.get_running_loop()
    before = loop.time()
    await engine.open()
    return loop.time() - before


@on_skipping_loop
async def test_after_a_clean_end_a_successor_of_any_name_begins_at_once() -> None:
    store = MemoryStore()
    async with engine_on(store, instance="one") as engine:
        await engine.start(collect, 1, id="a")
    second = engine_on(store, instance="two")

    assert await opening_time(second) < 1
    await second.signal("a", "n", 5)
    assert await second.handle("a").result() == [5]
    await second.close()


@on_skipping_loop
async def test_a_successor_of_the_same_name_takes_over_at_once() -> None:
    store = MemoryStore()
    first = engine_on(store, instance="one")
    await first.open()
    await first.start(collect, 1, id="a")
    await died(first)
    second = engine_on(store, instance="one")

    assert await opening_time(second) < 1
    assert await second.query("a", "status") == "running"
    await second.close()


@on_skipping_loop
async def test_a_newcomer_of_another_name_waits_ten_seconds_of_stillness() -> None:
    store = MemoryStore()
    first = engine_on(store, instance="one")
    await first.open()
    await died(first)
    second = engine_on(store, instance="two")

    assert 9.9 < await opening_time(second) < 12
    await second.close()


@on_skipping_loop
async def test_a_newcomer_waits_as_long_as_the_owner_shows_that_it_is_alive() -> None:
    store = MemoryStore()
    async with engine_on(store, instance="one") as first:
        second = engine_on(store, instance="two")
        opening = asyncio.create_task(second.open())
        for number in range(20):
            await asyncio.sleep(30)
            assert not opening.done()
            assert second.not_ready() != ""
            assert await first.execute(steps, 1, id=f"r{number}") == [0]
    await opening
    assert len((await second.list()).items) == 20
    await second.close()


@pytest.mark.parametrize(("guard", "atomic"), FENCING)
@on_skipping_loop
async def test_an_owner_that_lost_the_partition_is_fenced_at_its_next_write(guard: Guard, *, atomic: bool) -> None:
    told: list[FencedError] = []
    store = Guarded(guard, atomic=atomic)
    old = engine_on(store, on_fenced=told.append)
    await old.open()
    await old.start(collect, 2, id="a")
    new = engine_on(store)
    await new.open()

    with pytest.raises(FencedError):
        await old.signal("a", "n", "from the old one")

    assert len(told) == 1
    assert "another process" in old.not_ready()
    with pytest.raises(FencedError):
        await old.start(steps, 1)
    await new.signal("a", "n", 1)
    if atomic:
        await new.signal("a", "n", 2)
    got_through = [] if atomic else ["from the old one"]  # its head was written, so it is the run's state now
    assert await new.handle("a").result() == [*got_through, 1, 2][:2]
    await old.close()
    await new.close()


@pytest.mark.parametrize(("guard", "atomic"), FENCING)
@on_skipping_loop
async def test_an_owner_that_was_stopped_for_over_a_thousand_commits_and_goes_on_is_fenced(
    guard: Guard, *, atomic: bool
) -> None:
    inner = MemoryStore()
    sleepy = Halting(guard, atomic=atomic, inner=inner)
    old = engine_on(sleepy)
    await old.open()
    handle = await old.start(collect, 3, id="a")
    sleepy.gate.clear()
    late = asyncio.create_task(handle.signal("n", "late"))
    starting = asyncio.create_task(old.start(collect, 1, id="b"))
    await eventually(lambda: sleepy.waiting)
    new = engine_on(Guarded(guard, atomic=atomic, inner=inner), checkpoint_commits=100)
    await new.open()
    for number in range(1_100):
        await new.start(steps, 0, id=f"r{number}")
        if number == 5:
            await new.signal("a", "n", number)
    await new.settled()
    assert content(Store(inner), "checkpoint:0")["seq"] > 1_000  # type: ignore[operator]  # a number

    sleepy.gate.set()
    answers = await asyncio.gather(late, starting, return_exceptions=True)

    assert [type(answer) for answer in answers] == [FencedError, FencedError]
    assert await new.query("a", "taken") == [5]
    for number in (6, 7):
        await new.signal("a", "n", number)
    assert await new.handle("a").result() == [5, 6, 7]
    assert "late" not in str(await new.history("a"))
    await old.close()
    await new.close()


@on_skipping_loop
async def test_a_sibling_that_got_through_a_refused_batch_is_adopted_and_never_acted_on_by_its_writer() -> None:
    """Without atomic batches the head of a stale owner may land although its record was refused."""
    ran: list[str] = []

    def played_by(name: str) -> Code:
        async def echo(value: int) -> int:
            ran.append(name)
            return value

        return echo

    inner = MemoryStore()
    old = engine_on(Guarded(atomic=False, inner=inner), activities=[played_by("old")])
    await old.open()
    new = engine_on(Guarded(atomic=False, inner=inner), activities=[played_by("new")])
    await new.open()
    with pytest.raises(FencedError):
        await old.start(steps, 1, id="a")
    assert "run:a" in documents(inner)

    handle = await new.start(steps, 1, id="a", on_conflict="use_existing")

    assert await handle.result() == [0]
    assert ran == ["new"]
    await old.close()
    await new.close()


@on_skipping_loop
async def test_a_fenced_owner_begins_nothing_more() -> None:
    ran: list[int] = []

    async def echo(value: int) -> int:
        ran.append(value)
        return value

    store = MemoryStore()
    old = engine_on(store, activities=[echo])
    await old.open()
    await old.start(collect, 1, id="b")
    waiter = asyncio.create_task(old.handle("b").result())
    await asyncio.sleep(0)
    new = engine_on(store)
    await new.open()
    with pytest.raises(FencedError):
        await old.start(steps, 3, id="c")

    with pytest.raises(FencedError):
        await waiter
    await asyncio.sleep(60)
    assert ran == []
    assert documents(store, "run:c") == {}
    await old.close()
    assert content(store, "owner:0")["released"] is False  # it was not the old one's to give back
    await new.close()


@on_skipping_loop
async def test_an_idle_owner_finds_out_by_its_next_renewal() -> None:
    store = MemoryStore()
    old = engine_on(store)
    await old.open()
    new = engine_on(store)
    await new.open()

    await asyncio.sleep(4)

    assert old.not_ready() != ""
    await old.close()
    await new.close()


@on_skipping_loop
async def test_each_opening_takes_the_next_epoch() -> None:
    store = MemoryStore()
    for _ in range(3):
        async with engine_on(store):
            pass

    assert content(store, "owner:0")["epoch"] == 3


@on_skipping_loop
async def test_of_two_that_open_together_one_is_the_owner_in_the_end() -> None:
    store = MemoryStore()
    engines = [engine_on(store, instance="same") for _ in range(4)]
    await asyncio.gather(*(engine.open() for engine in engines))
    await asyncio.sleep(10)

    ready = [engine for engine in engines if engine.not_ready() == ""]

    assert len(ready) == 1
    assert await ready[0].execute(steps, 1) == [0]
    for engine in engines:
        await engine.close()


@on_skipping_loop
async def test_partitions_of_one_store_have_owners_of_their_own() -> None:
    store = MemoryStore()
    async with engine_on(store, partition="0") as first, engine_on(store, partition="1", instance="b") as second:
        await first.execute(steps, 1, id="x")
        await second.execute(steps, 1, id="y")

        assert [item.workflow_id for item in (await first.list()).items] == ["x"]
        assert [item.workflow_id for item in (await second.list()).items] == ["y"]


@pytest.mark.parametrize(("guard", "atomic"), FENCING)
@on_skipping_loop
async def test_the_first_record_of_each_epoch_outlives_every_checkpoint(guard: Guard, *, atomic: bool) -> None:
    store = Guarded(guard, atomic=atomic)
    first_records = []
    for opening in range(4):
        async with engine_on(store, checkpoint_commits=10) as engine:
            first_records.append(max(documents(store, "commit:0:"), key=lambda key: int(key.split(":")[2])))
            for number in range(40):
                await engine.start(steps, 0, id=f"r{opening}-{number}")
            await engine.settled()

    kept = documents(store, "commit:0:")
    assert set(first_records) <= set(kept)
    assert len(kept) < 40


@on_skipping_loop
async def test_a_stale_owner_of_an_older_epoch_is_fenced_by_the_record_that_was_kept() -> None:
    inner = MemoryStore()
    sleepy = Halting("batch", inner=inner)
    oldest = engine_on(sleepy)
    await oldest.open()
    sleepy.gate.clear()
    late = asyncio.create_task(oldest.start(steps, 1, id="late"))
    await eventually(lambda: sleepy.waiting)
    for number in itertools.count():
        async with engine_on(Guarded("batch", inner=inner), checkpoint_commits=10) as engine:
            for n in range(30):
                await engine.start(steps, 0, id=f"r{number}-{n}")
        if number == 3:
            break

    sleepy.gate.set()
    with pytest.raises(FencedError):
        await late

    assert "run:late" not in documents(inner)
    await oldest.close()


@on_skipping_loop
async def test_with_no_guard_at_all_a_record_that_is_there_is_stepped_over() -> None:
    store = Guarded("none")
    async with engine_on(store) as engine:
        seq = max(int(key.split(":")[2]) for key in documents(store, "commit:0:"))
        store.inner._documents[f"commit:0:{seq + 1}"] = documents(store)[f"commit:0:{seq}"], "1"  # noqa: SLF001

        assert await engine.execute(steps, 1) == [0]


@on_skipping_loop
async def test_a_dead_owners_runs_go_on_where_they_were() -> None:
    store = MemoryStore()
    first = engine_on(store)
    await first.open()
    await first.start(collect, 3, id="a")
    await first.signal("a", "n", 1)
    await died(first)

    async with engine_on(store) as second:
        await second.signal("a", "n", 2)
        await second.signal("a", "n", 3)
        assert await second.handle("a").result() == [1, 2, 3]
        assert (await second.describe("a")).status is RunStatus.COMPLETED
        assert len(await types_of(second, "a")) == 5
