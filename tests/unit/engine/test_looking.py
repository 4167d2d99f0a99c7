"""What can be seen of runs: lists with filters and pages, descriptions, histories, live events."""

import asyncio
from typing import Any

import pytest

from holdfast import EventType, HistoryEvent, RunStatus, WorkflowContext, WorkflowFailedError, WorkflowNotFoundError
from holdfast.ports import Timer
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import LoopClock, collect, engine_on, nap, on_skipping_loop, parked, steps


async def tagged(ctx: WorkflowContext, tags: dict[str, Any]) -> None:
    ctx.set_attributes(**tags)
    await ctx.receive_signal("more")
    ctx.set_attributes(city="Bonn", amount=None)
    await ctx.receive_signal("end")


async def fails(ctx: WorkflowContext) -> None:
    raise ValueError("card declined")


async def ids(engine: Anything, **filters: Anything) -> list[str]:
    return [item.workflow_id for item in (await engine.list(**filters)).items]


@on_skipping_loop
async def test_a_list_shows_the_newest_first_and_filters() -> None:
    async with engine_on(workflows=[tagged, parked, steps, fails]) as engine:
        await engine.execute(steps, 1, id="order-1")
        await engine.start(parked, id="order-2")
        await engine.start(tagged, {"city": "Ulm", "amount": 5, "paid": True}, id="trip-1")
        await engine.start(tagged, {"city": "Ulm", "amount": 6}, id="trip-2")
        await engine.start(fails, id="trip-3")
        await engine.settled()

        assert await ids(engine) == ["trip-3", "trip-2", "trip-1", "order-2", "order-1"]
        assert await ids(engine, status="running") == ["trip-2", "trip-1", "order-2"]
        assert await ids(engine, status=RunStatus.FAILED) == ["trip-3"]
        assert await ids(engine, workflow="tagged") == ["trip-2", "trip-1"]
        assert await ids(engine, text="order") == ["order-2", "order-1"]
        assert await ids(engine, attributes={"city": "Ulm"}) == ["trip-2", "trip-1"]
        assert await ids(engine, attributes={"city": "Ulm", "amount": 5}) == ["trip-1"]
        assert await ids(engine, attributes={"amount": "5"}) == []
        assert await ids(engine, attributes={"city": "Ulm"}, workflow="tagged", status="running", text="1") == [
            "trip-1"
        ]

        await engine.signal("trip-1", "more")
        assert await ids(engine, attributes={"city": "Bonn"}) == ["trip-1"]
        [item] = (await engine.list(text="trip-1")).items
        assert item.attributes == {"city": "Bonn", "paid": True}
        assert (item.workflow, item.status, item.finished_at) == ("tagged", RunStatus.RUNNING, None)


@on_skipping_loop
async def test_a_list_comes_in_pages_that_miss_and_repeat_nothing() -> None:
    async with engine_on() as engine:
        expected = [f"r{number:03}" for number in range(130)]
        for name in expected:
            await engine.start(parked, id=name)
        found: list[str] = []
        cursor = None
        for page_number in range(100):
            page = await engine.list(limit=25, cursor=cursor)
            found += [item.workflow_id for item in page.items]
            cursor = page.next_cursor
            await asyncio.sleep(0.001)
            await engine.start(parked, id=f"late{page_number}")  # a newer run moves nothing
            if cursor is None:
                break

        assert found == expected[::-1]
        assert len((await engine.list()).items) == 50
        assert len((await engine.list(limit=1_000)).items) == 130 + 6


@on_skipping_loop
async def test_a_page_ends_exactly_where_the_runs_end() -> None:
    async with engine_on() as engine:
        for number in range(4):
            await engine.start(parked if number % 2 else nap, 3_600, id=f"r{number}")
        page = await engine.list(limit=2, workflow="parked")

        assert [item.workflow_id for item in page.items] == ["r3", "r1"]
        assert page.next_cursor is None


@pytest.mark.parametrize(
    ("filters", "text"),
    [
        ({"limit": 0}, "limit must be between 1 and 1,000"),
        ({"limit": 1_001}, "limit must be between 1 and 1,000"),
        ({"status": "dancing"}, "dancing"),
        ({"cursor": "%%%"}, "cursor '%%%' is not one that a list has given"),
        ({"cursor": "AAAA"}, "is not one that a list has given"),
    ],
)
@on_skipping_loop
async def test_a_filter_that_is_none_is_refused(filters: dict[str, Any], text: str) -> None:
    async with engine_on() as engine:
        with pytest.raises(ValueError, match=text):
            await engine.list(**filters)


class Frozen(LoopClock):
    """A clock that stands still."""

    def now(self) -> int:
        return 1_700_000_000_000

    def call_at(self, when_ms: int, callback: Anything) -> Timer:
        return asyncio.get_running_loop().call_later((when_ms - self.now()) / 1000, callback)


@on_skipping_loop
async def test_runs_of_the_same_millisecond_are_told_apart() -> None:
    store = MemoryStore()
    async with engine_on(store, clock=Frozen()) as engine:
        for number in range(10):
            await engine.start(parked, id=f"r{number}")
        await engine.execute(steps, 1, id="again")
        await engine.start(collect, 1, id="again")
        first = await engine.list(limit=4)
        second = await engine.list(limit=100, cursor=first.next_cursor)
        names = [item.workflow_id for item in [*first.items, *second.items]]
        assert sorted(names) == sorted(["again", *(f"r{number}" for number in range(10))])
        [again] = (await engine.list(text="again")).items
        assert (again.workflow, again.status) == ("collect", RunStatus.RUNNING)
    async with engine_on(store, clock=Frozen()) as engine:
        [again] = (await engine.list(text="again")).items
        assert again.workflow == "collect"


@on_skipping_loop
async def test_a_description_tells_all_about_a_run() -> None:
    async with engine_on(workflows=[tagged, steps, fails, nap]) as engine:
        begun = engine.now()
        handle = await engine.start(tagged, {"city": "Ulm"}, id="a")
        shown = await engine.describe("a")
        assert (shown.workflow_id, shown.run_id, shown.workflow, shown.version) == ("a", handle.run_id, "tagged", "1")
        assert (shown.status, shown.input, shown.result, shown.error) == (
            RunStatus.RUNNING,
            {"city": "Ulm"},
            None,
            None,
        )
        assert shown.attributes == {"city": "Ulm"}
        assert shown.waiting_for == ["signal 'more'"]
        assert begun <= shown.created_at <= shown.updated_at <= engine.now()
        assert shown.created_at.utcoffset() is not None
        assert shown.finished_at is None
        assert shown.to_json()["workflow_id"] == "a"

        await engine.execute(steps, 2, id="done")
        done = await engine.describe("done")
        assert (done.status, done.result, done.waiting_for, done.pending) == (RunStatus.COMPLETED, [0, 1], [], [])
        assert done.finished_at
        assert done.finished_at >= done.created_at
        with pytest.raises(WorkflowFailedError):
            await engine.execute(fails, id="failed")
        failed = await engine.describe("failed")
        assert failed.error
        assert (failed.status, failed.error.type, failed.error.message) == (
            RunStatus.FAILED,
            "ValueError",
            "card declined",
        )


@on_skipping_loop
async def test_a_history_tells_all_events_with_numbers_times_and_values() -> None:
    async with engine_on() as engine:
        await engine.execute(steps, 2, id="a")
        events = await engine.history("a")

        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert [event.at for event in events] == sorted(event.at for event in events)
        assert (events[0].type, events[0].value, events[0].name) == (EventType.WORKFLOW_STARTED, 2, "steps")
        assert (events[1].type, events[1].name, events[1].value) == (EventType.ACTIVITY_STARTED, "echo", 0)
        assert (events[-1].type, events[-1].value) == (EventType.WORKFLOW_COMPLETED, [0, 1])
        assert isinstance(events[0], HistoryEvent)


@pytest.mark.parametrize("size", [10, 2_047, 2_048, 2_049, 100_000])
@pytest.mark.parametrize("events", [3, 31, 32, 33, 200])
@on_skipping_loop
async def test_histories_of_every_length_and_size_of_value_come_back_whole(size: int, events: int) -> None:
    store = MemoryStore()
    async with engine_on(store) as engine:
        await engine.start(collect, events, id="a")
        await asyncio.gather(*(engine.signal("a", "n", f"{number}" + "x" * size) for number in range(events)))
        before = await engine.history("a")
        result = await engine.handle("a").result() if size < 10_000 else None
    async with engine_on(store) as engine:
        assert await engine.history("a") == before
        assert [event.value for event in before[1 : events + 1]] == [f"{n}" + "x" * size for n in range(events)]
        if result is not None:
            assert await engine.handle("a").result() == result


@on_skipping_loop
async def test_an_earlier_run_can_be_looked_at_by_its_run_id() -> None:
    async with engine_on() as engine:
        first = await engine.start(steps, 1, id="a")
        await first.result()
        await engine.execute(steps, 2, id="a")

        assert (await engine.describe("a", run_id=first.run_id)).result == [0]
        assert (await engine.history("a", run_id=first.run_id))[-1].value == [0]
        assert await engine.handle("a", first.run_id).result() == [0]
        await engine.start(parked, id="b")
        for workflow_id, run_id in (("a", "nonsense"), ("b", first.run_id)):
            with pytest.raises(WorkflowNotFoundError, match=f"workflow '{workflow_id}' has no run '{run_id}'"):
                await engine.describe(workflow_id, run_id=run_id)
            with pytest.raises(WorkflowNotFoundError):
                await engine.history(workflow_id, run_id=run_id)


@on_skipping_loop
async def test_watching_gives_every_event_once_as_it_becomes_durable() -> None:
    async with engine_on() as engine:
        await engine.start(collect, 3, id="a")
        seen: list[HistoryEvent] = []

        async def watch(after: int) -> None:
            seen.extend([event async for event in engine.watch("a", after=after)])

        watching = [asyncio.create_task(watch(0)), asyncio.create_task(watch(2))]
        for number in range(3):
            await engine.signal("a", "n", number)
            await asyncio.sleep(1)
        await asyncio.gather(*watching)

        whole = await engine.history("a")
        assert sorted(seen, key=lambda event: event.seq) == sorted([*whole, *whole[2:]], key=lambda event: event.seq)


@on_skipping_loop
async def test_a_watcher_that_goes_leaves_nothing_behind() -> None:
    async with engine_on() as engine:
        await engine.start(parked, id="a")
        for _ in range(20):
            watching = engine.watch("a")
            assert (await anext(watching)).seq == 1
            await watching.aclose()  # type: ignore[attr-defined]  # a generator
        assert not any(engine._parts.runtime.watchers.values())  # noqa: SLF001 - what must not grow


@on_skipping_loop
async def test_a_watcher_does_not_outlive_the_engine() -> None:
    engine = engine_on()
    await engine.open()
    await engine.start(parked, id="a")

    async def watch() -> int:
        return len([event async for event in engine.watch("a")])

    watching = asyncio.create_task(watch())
    await asyncio.sleep(1)
    await engine.close()
    done, _ = await asyncio.wait([watching], timeout=60)
    watching.cancel()

    assert done


@on_skipping_loop
async def test_watching_a_finished_run_gives_its_history_and_an_unknown_one_is_refused() -> None:
    async with engine_on() as engine:
        await engine.execute(steps, 1, id="a")
        assert [event async for event in engine.watch("a")] == await engine.history("a")
        with pytest.raises(WorkflowNotFoundError):
            await anext(engine.watch("nobody"))


@on_skipping_loop
async def test_the_numbers_of_an_engine_count_what_goes_on() -> None:
    async with engine_on() as engine:
        await engine.execute(steps, 1, id="a")
        await engine.start(parked, id="b")
        stats = engine.stats()

        assert stats.runs == {"completed": 1, "running": 1}
        assert (stats.live, stats.attempts, stats.abandoned) == (1, 0, 0)
        assert (stats.commits, stats.written) == (3, 3)  # a start, a step that ends the run, a start


@on_skipping_loop
async def test_a_run_that_the_index_does_not_know_is_read_before_it_is_said_to_be_missing() -> None:
    store = MemoryStore()
    async with engine_on(store) as engine:
        await engine.start(collect, 1, id="a")
        engine._parts.index.clear()  # noqa: SLF001 - as after a lost record
        engine._parts.runtime.live.clear()  # noqa: SLF001
        await engine.signal("a", "n", 5)

        assert (await engine.describe("a")).result == [5]
        assert await ids(engine) == ["a"]


@on_skipping_loop
async def test_a_create_that_meets_a_run_the_index_does_not_know_adopts_it() -> None:
    store = MemoryStore()
    async with engine_on(store) as engine:
        await engine.start(collect, 1, id="a")
        engine._parts.index.clear()  # noqa: SLF001 - as after a lost record
        engine._parts.runtime.live.clear()  # noqa: SLF001
        with pytest.raises(Exception, match="'a' is already started: it is running"):
            await engine.start(collect, 1, id="a")
        await engine.signal("a", "n", 5)

        assert (await engine.describe("a")).result == [5]
