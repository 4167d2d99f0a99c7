"""Traces: a run keeps the one it was started with, what it does belongs to it, and none grows for ever."""

from typing import Any

import orjson
import pytest

from holdfast import (
    ActivityContext,
    Delivery,
    Engine,
    HistoryEvent,
    RetryPolicy,
    TopicMapping,
    WorkflowContext,
)
from holdfast.core.trace import Trace
from holdfast.engine.records.head import Head
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import collect, died, engine_on, eventually, on_skipping_loop, parked, steps
from tests.unit.engine.stores import content, documents
from tests.unit.engine.topics import deliver, signal

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
STATE = "congo=t61rcWkgMzE"
seen: list[tuple[str, int, str, str]] = []


@pytest.fixture(autouse=True)
def empty() -> None:
    seen.clear()


async def look(_value: Anything, context: ActivityContext) -> None:
    seen.append((context.workflow_id, context.attempt, context.traceparent, context.tracestate))


def look_on_a_thread(_value: Anything, context: ActivityContext) -> None:
    seen.append((context.workflow_id, context.attempt, context.traceparent, context.tracestate))


async def looks(ctx: WorkflowContext, number: int = 1) -> None:
    """Look, wait for a signal, look again; for the first of a chain, begin the next."""
    await ctx.execute_activity(look)
    await ctx.receive_signal("go on")
    await ctx.execute_activity(look_on_a_thread)
    if number > 1:
        ctx.continue_as_new(number - 1)


async def family(ctx: WorkflowContext) -> None:
    await ctx.execute_child(steps_and_look, id="child")
    await ctx.signal("listener", "n", "hello")


async def steps_and_look(ctx: WorkflowContext) -> None:
    await ctx.execute_activity(look)


OPTIONS: dict[str, Any] = {
    "workflows": [looks, family, steps_and_look, collect, parked, steps],
    "activities": [look, look_on_a_thread],
}


async def received(engine: Engine, workflow_id: str, kind: str = "signal_received") -> list[HistoryEvent]:
    return [event for event in await engine.history(workflow_id) if event.type == kind]


@pytest.mark.parametrize("given", [PARENT, f"{PARENT} {STATE}"])
@on_skipping_loop
async def test_activities_see_the_trace_of_their_run_also_after_the_process_has_died(given: str) -> None:
    store = MemoryStore()
    first = engine_on(store, **OPTIONS)
    await first.open()
    await first.start(looks, id="a", trace=given)
    await first.settled()
    await died(first)

    async with engine_on(store, **OPTIONS) as second:
        await second.signal("a", "go on")
        await second.handle("a").result()
        assert (await second.describe("a")).trace_id == PARENT[3:35]

    assert seen == [("a", 1, PARENT, given[56:]), ("a", 1, PARENT, given[56:])]


@pytest.mark.parametrize("given", [None, "", "no trace", PARENT.upper(), 7, ["00"]])
@on_skipping_loop
async def test_what_is_no_trace_is_ignored_and_costs_nothing(given: Anything) -> None:
    store = MemoryStore()
    async with engine_on(store, **OPTIONS) as engine:
        await engine.start(looks, id="a", trace=given)
        await engine.signal("a", "go on", trace=given)
        await engine.handle("a").result()
        assert (await engine.describe("a")).trace_id == ""
        assert [event.details for event in await received(engine, "a")] == [{}]

    assert seen == [("a", 1, "", "")] * 2
    assert "trace" not in orjson.dumps(content(store, "run:a")).decode()


@on_skipping_loop
async def test_the_history_keeps_the_trace_of_a_sender() -> None:
    async with engine_on(**OPTIONS) as engine:
        await engine.start(collect, 3, id="a")
        await engine.signal("a", "n", 1, trace=f"{OTHER} {STATE}")
        await engine.signal("a", "n", 2)
        await engine.pause("a")
        await engine.signal("a", "n", 3, trace=OTHER)
        await engine.resume("a")
        await engine.handle("a").result()
        details = [event.details for event in await received(engine, "a")]

    assert details == [
        {"traceparent": OTHER, "tracestate": STATE},
        {},
        {"traceparent": OTHER, "deferred": True},
    ]


@on_skipping_loop
async def test_a_signal_with_start_begins_the_run_in_the_trace_of_the_sender() -> None:
    async with engine_on(**OPTIONS) as engine:
        await engine.signal_with_start(collect, 2, id="a", signal="n", payload=1, trace=PARENT)
        await engine.signal_with_start(collect, 2, id="a", signal="n", payload=2, trace=OTHER)
        await engine.handle("a").result()

        assert (await engine.describe("a")).trace_id == PARENT[3:35]
        assert [event.details["traceparent"] for event in await received(engine, "a")] == [PARENT, OTHER]


@on_skipping_loop
async def test_an_update_keeps_the_trace_of_who_asked() -> None:
    async def counter(ctx: WorkflowContext) -> int:
        ctx.set_update_handler("double", lambda number: 2 * number)
        return int(await ctx.receive_signal("end"))

    async with engine_on(workflows=[counter]) as engine:
        await engine.start(counter, id="a")
        assert await engine.update("a", "double", 4, trace=OTHER) == 8

        assert [event.details for event in await received(engine, "a", "update_accepted")] == [{"traceparent": OTHER}]


@on_skipping_loop
async def test_children_and_signals_to_others_belong_to_the_trace() -> None:
    async with engine_on(**OPTIONS) as engine:
        await engine.start(collect, 1, id="listener", trace=OTHER)
        await engine.execute(family, id="a", trace=f"{PARENT} {STATE}")
        await engine.handle("listener").result()

        assert seen == [("child", 1, PARENT, STATE)]
        assert (await engine.describe("child")).trace_id == PARENT[3:35]
        assert (await engine.describe("listener")).trace_id == OTHER[3:35]
        assert [event.details for event in await received(engine, "listener")] == [
            {"traceparent": PARENT, "tracestate": STATE}
        ]


@on_skipping_loop
async def test_a_child_that_a_later_process_starts_belongs_to_the_trace_too() -> None:
    store = MemoryStore()
    options = {**OPTIONS, "max_cached_runs": 0}
    first = engine_on(store, **options)
    await first.open()
    courier: Any = first._parts.runtime.courier  # noqa: SLF001 - it dies before anything is on its way
    courier.deliver = lambda _run, _entry, _event: None
    await first.start(family, id="a", trace=PARENT)
    await eventually(lambda: b'"outbox"' in documents(store)["run:a"])
    await died(first)

    async with engine_on(store, **options) as second:
        await eventually(lambda: seen)

        assert seen == [("child", 1, PARENT, "")]
        assert (await second.describe("child")).trace_id == PARENT[3:35]


@on_skipping_loop
async def test_each_run_of_a_chain_has_a_trace_of_its_own_linked_to_the_one_before() -> None:
    store = MemoryStore()
    async with engine_on(store, **OPTIONS) as engine:
        handle = await engine.start(looks, 3, id="a", trace=f"{PARENT} {STATE}")
        for _ in range(3):
            await engine.settled()
            await engine.signal("a", "go on")
        await handle.result()
        last = await engine.describe("a")

    traces = [parent for _, _, parent, _ in seen]
    assert traces[0] == traces[1] == PARENT
    assert len({trace[3:35] for trace in traces}) == 3
    assert traces[2] == traces[3]
    assert traces[4] == traces[5]
    assert last.trace_id == traces[5][3:35]
    assert [state for _, _, _, state in seen] == [STATE, STATE, "", "", "", ""]
    assert content(store, "run:a")["trace"] == [traces[4], "", traces[2]]


@on_skipping_loop
async def test_a_rerun_has_a_trace_of_its_own_and_a_new_start_that_of_its_caller() -> None:
    async with engine_on(**OPTIONS) as engine:
        await engine.execute(steps_and_look, id="a", trace=PARENT)
        again = await engine.rerun("a")
        await again.result()
        rerun = await engine.describe("a")
        await engine.execute(steps_and_look, id="a")
        anew = await engine.describe("a")

    assert seen[0][2] == PARENT
    assert seen[1][2][3:35] == rerun.trace_id != PARENT[3:35]
    assert (anew.trace_id, seen[2][2]) == ("", "")


@on_skipping_loop
async def test_every_attempt_sees_the_trace() -> None:
    async def fails_once(context: ActivityContext) -> None:
        seen.append((context.workflow_id, context.attempt, context.traceparent, context.tracestate))
        if context.attempt == 1:
            raise OSError("down")

    async def run(ctx: WorkflowContext) -> None:
        await ctx.execute_activity(fails_once, retry=RetryPolicy(max_attempts=2))

    async with engine_on(workflows=[run], activities=[fails_once]) as engine:
        await engine.execute(run, id="a", trace=PARENT)

    assert seen == [("a", 1, PARENT, ""), ("a", 2, PARENT, "")]


@on_skipping_loop
async def test_a_purged_run_leaves_no_trace() -> None:
    store = MemoryStore()
    async with engine_on(store, **OPTIONS) as engine:
        await engine.execute(steps_and_look, id="a", trace=PARENT)
        await engine.purge("a")

    assert PARENT not in str(documents(store))


@on_skipping_loop
async def test_a_head_written_before_there_were_traces_is_read() -> None:
    store = MemoryStore()
    async with engine_on(store, **OPTIONS) as engine:
        await engine.start(parked, "x", id="plain")
        await engine.start(parked, "x", id="traced", trace=PARENT)
    plain, traced = (content(store, f"run:{name}") for name in ("plain", "traced"))

    assert set(traced) - set(plain) == {"trace"}
    assert plain["schema"] == traced["schema"] == 1
    async with engine_on(store, **OPTIONS) as engine:
        await engine.signal("plain", "end")
        assert await engine.handle("plain").result() == "x"


def test_what_a_newer_release_adds_to_a_trace_is_skipped() -> None:
    stored = {"schema": 1, "id": "a", "run_id": "r", "workflow": "w", "version": "1", "created": 1, "seed": 1}
    stored |= {"status": "running", "updated": 1, "revision": 1, "write_id": "w", "input": None}

    assert Head.decode(stored, {}).trace is None
    assert Head.decode({**stored, "trace": [PARENT, STATE, "", "more"]}, {}).trace == Trace(PARENT, STATE)


@on_skipping_loop
async def test_a_message_from_a_topic_keeps_the_trace_of_its_sender_also_while_it_is_held() -> None:
    store = MemoryStore()
    first = engine_on(store, **OPTIONS)
    await first.open()
    await first.start(collect, 1, id="a")
    assert await deliver(first, signal("a", 1, traceparent=PARENT, tracestate=STATE)) is Delivery.APPLIED
    assert await deliver(first, signal("late", 2, traceparent=OTHER)) is Delivery.HELD
    now = await received(first, "a")
    await died(first)

    async with engine_on(store, **OPTIONS) as second:
        await second.execute(collect, 1, id="late")
        later = await received(second, "late")

    assert [event.details for event in now] == [{"traceparent": PARENT, "tracestate": STATE}]
    assert [event.details for event in later] == [{"traceparent": OTHER}]


@on_skipping_loop
async def test_a_run_that_a_message_starts_goes_on_from_its_trace() -> None:
    mapping = TopicMapping(topic="orders", workflow_id="order-{data.id}", signal="n", start="collect_one")

    async def collect_one(ctx: WorkflowContext, order: Anything) -> Anything:
        return await ctx.receive_signal("n")

    async with engine_on(workflows=[collect_one], topics=[mapping]) as engine:
        event = {"specversion": "1.0", "id": "1", "source": "shop", "type": "t", "data": {"id": 7}}
        assert await deliver(engine, orjson.dumps({**event, "traceparent": PARENT}), "orders") is Delivery.APPLIED
        await engine.handle("order-7").result()

        assert (await engine.describe("order-7")).trace_id == PARENT[3:35]


@pytest.mark.parametrize(
    "field", [7, 1.5, True, None, {}, ["00"], {"traceparent": PARENT}, "", "00-nonsense", PARENT * 9]
)
@pytest.mark.parametrize("name", ["traceparent", "tracestate", "traceid"])
@on_skipping_loop
async def test_a_message_whose_trace_is_none_is_applied_all_the_same(name: str, field: Anything) -> None:
    async with engine_on() as engine:
        handle = await engine.start(collect, 1, id="a")
        assert await deliver(engine, signal("a", 1, **{"traceparent": PARENT, name: field})) is Delivery.APPLIED

        assert await handle.result() == [1]
        details = [] if name == "traceparent" else ["traceparent"]
        found = (await received(engine, "a"))[0].details
        assert [key for key in found if key != "tracestate"] == details
