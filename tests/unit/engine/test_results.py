"""The end of a run is a record: of threads, and of workflows that declare outputs; once, and under one id."""

import asyncio
from datetime import timedelta

import orjson
import pytest

from holdfast import CancelToken, PublishError, WorkflowContext, workflow
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import WORKFLOWS, died, engine_on, eventually, on_skipping_loop, parked
from tests.unit.engine.publishers import PUBLISHING, Broker, chain_that_counts, counts, on_demand
from tests.unit.engine.resuming import RESUMING, answer, ends_with, parent, resume
from tests.unit.engine.stores import content, documents

RESULT, ERROR = "workflow-result", "workflow-error"
ALL = [*WORKFLOWS, *PUBLISHING, *RESUMING]


# Whose end is a record.


@pytest.mark.parametrize("record", ['new:{"a":1}', 'init:{"a":1}'])
@on_skipping_loop
async def test_a_thread_that_a_record_has_started_tells_its_end(record: str) -> None:
    broker = Broker()
    async with engine_on(workflows=ALL, publisher=broker, resume_entry="ends_with") as engine:
        await resume(engine, "a b", record)
        await engine.settled()

    (found,) = broker.taken
    assert (found.topic, found.key, found.value, found.content_type) == (RESULT, "a b", b'{"a":1}', "application/json")


@on_skipping_loop
async def test_a_thread_that_a_run_has_ensured_tells_its_end_and_that_run_does_not() -> None:
    broker = Broker()
    async with engine_on(workflows=ALL, publisher=broker) as engine:
        handle = await engine.start(parent, "a b", id="p")
        await engine.settled()
        await answer(engine, "a b", 1)
        await handle.signal("end")
        await engine.settled()

    assert broker.ends == [(RESULT, "a b", b"[1]")]


@on_skipping_loop
async def test_a_workflow_that_declares_outputs_tells_its_end_however_it_was_started() -> None:
    @workflow(outputs=["numbers"])
    async def quiet(ctx: WorkflowContext) -> str:
        return "said nothing else"

    @workflow
    async def raises_it(ctx: WorkflowContext) -> str:
        found: str = await ctx.execute_child(quiet, id="child")
        return found

    broker = Broker()
    async with engine_on(workflows=[quiet, raises_it], publisher=broker) as engine:
        await engine.execute(quiet, id="started")
        await engine.execute(raises_it, id="p")
        await engine.settled()

    assert broker.ends == [(RESULT, "started", b'"said nothing else"'), (RESULT, "child", b'"said nothing else"')]


@on_skipping_loop
async def test_other_runs_tell_nothing() -> None:
    @workflow(outputs=[])
    async def declares_none(ctx: WorkflowContext) -> None:
        """Say nothing."""

    broker = Broker()
    async with engine_on(workflows=[ends_with, declares_none], publisher=broker) as engine:
        await engine.execute(ends_with, 1)
        await engine.execute(declares_none)
        await engine.settled()

    assert broker.calls == []


# What it tells.


@pytest.mark.parametrize("value", [None, 0, "", "text", {"a": [1.5, None]}, []])
@on_skipping_loop
async def test_the_result_is_told_as_json_null_included(value: Anything) -> None:
    broker = Broker()
    async with engine_on(workflows=ALL, publisher=broker, resume_entry="ends_with") as engine:
        await resume(engine, "t", f"new:{orjson.dumps(value).decode()}")
        await engine.settled()

    assert broker.ends == [(RESULT, "t", orjson.dumps(value))]


@workflow
async def fails(ctx: WorkflowContext, how: str) -> None:
    if how == "bare":
        raise ValueError
    if how == "words":
        message = "no room left"
        raise ValueError(message)
    await ctx.ref_id("answer")


@pytest.mark.parametrize(("how", "told"), [("words", b'"no room left"'), ("bare", b'"ValueError"')])
@on_skipping_loop
async def test_an_error_is_told_by_its_text(how: str, told: bytes) -> None:
    broker = Broker()
    async with engine_on(workflows=[fails], publisher=broker, resume_entry="fails") as engine:
        await resume(engine, "t", f'new:"{how}"')
        await engine.settled()

    assert broker.ends == [(ERROR, "t", told)]


@pytest.mark.parametrize("error", ["no", {"code": [7]}, None, 0])
@on_skipping_loop
async def test_an_error_that_came_for_a_ref_is_told_as_the_json_that_it_was(error: Anything) -> None:
    broker = Broker()
    async with engine_on(workflows=[fails], publisher=broker, resume_entry="fails") as engine:
        await resume(engine, "t", 'new:"ref"')
        await resume(engine, "t", {"ref": "answer", "error": error})
        await engine.settled()

    assert broker.ends == [(ERROR, "t", orjson.dumps(error))]


@on_skipping_loop
async def test_an_input_that_does_not_fit_its_type_is_dead_before_it_is_a_run() -> None:
    broker = Broker()
    async with engine_on(workflows=ALL, publisher=broker, resume_entry="asks") as engine:
        assert await resume(engine, "t", 'new:"five"') == "dead"
        await engine.settled()

    assert broker.calls == []


@pytest.mark.parametrize("end", ["cancel", "terminate", "time out"])
@on_skipping_loop
async def test_a_run_that_was_ended_tells_why(end: str) -> None:
    @workflow(outputs=["numbers"])
    async def waits(ctx: WorkflowContext) -> None:
        await ctx.receive_signal("end")

    broker = Broker()
    async with engine_on(workflows=[waits], publisher=broker) as engine:
        await engine.start(waits, id="a", timeout=timedelta(seconds=5) if end == "time out" else None)
        if end != "time out":
            await getattr(engine, end)("a", reason="no more")
        await asyncio.sleep(60)
        await engine.settled()
        error = (await engine.describe("a")).error

    (found,) = broker.ends
    assert error is not None
    assert found[:2] == (ERROR, "a")
    assert orjson.loads(found[2]) == (error.message or error.type)


@on_skipping_loop
async def test_a_run_that_is_cancelled_and_returns_has_a_result() -> None:
    @workflow(outputs=["numbers"])
    async def shrugs(ctx: WorkflowContext) -> str:
        try:
            await ctx.receive_signal("end")
        except CancelToken:
            return "tidied up"
        return ""

    broker = Broker()
    async with engine_on(workflows=[shrugs], publisher=broker) as engine:
        await engine.start(shrugs, id="a")
        await engine.cancel("a")
        await engine.settled()

    assert broker.ends == [(RESULT, "a", b'"tidied up"')]


# When.


@on_skipping_loop
async def test_it_leaves_after_all_that_the_run_has_said() -> None:
    broker = Broker()
    async with engine_on(workflows=ALL, publisher=broker) as engine:
        await engine.execute(counts, 5, id="a")
        await engine.settled()

    assert [record.value for record in broker.taken] == [b"0", b"1", b"2", b"3", b"4", b"5"]
    assert broker.taken[-1].topic == RESULT


@on_skipping_loop
async def test_a_chain_tells_the_end_of_its_last_run_alone() -> None:
    broker = Broker()
    async with engine_on(workflows=ALL, publisher=broker) as engine:
        await engine.execute(chain_that_counts, id="a")
        await engine.settled()

    assert broker.ends == [(RESULT, "a", b"9")]
    assert broker.taken[-1].topic == RESULT


@on_skipping_loop
async def test_a_run_that_has_ended_has_work_until_its_end_has_left_and_is_not_purged_before() -> None:
    store, broker = MemoryStore(), Broker()
    broker.raises = lambda _records: PublishError("away")
    async with engine_on(store, workflows=ALL, publisher=broker, resume_entry="ends_with") as engine:
        await resume(engine, "t", "new:1")
        await engine.settled()
        assert (await engine.describe("t")).waiting_for == ["1 output to leave (away)"]
        with pytest.raises(Exception, match="still on their way"):
            await engine.purge("t")
        broker.raises = lambda _records: None
        await eventually(lambda: "outbox" not in content(store, "run:t"))
        await engine.purge("t")


# After the end of a process.


async def _ended_and_not_told(store: MemoryStore, *, value: Anything = 1) -> tuple[str, Broker]:
    """Let a thread end in a process that dies before the world hears of it; give its run's id."""
    broker = Broker()
    broker.gate.clear()
    engine = engine_on(store, workflows=ALL, publisher=broker, resume_entry="ends_with")
    await engine.open()
    await resume(engine, "a b", f"new:{orjson.dumps(value).decode()}")
    ((_, head),) = [(key, content(store, key)) for key in documents(store, "run:")]
    await died(engine)
    assert broker.taken == []
    broker.gate.set()
    return str(head["run_id"]), broker


@on_skipping_loop
async def test_the_next_process_tells_the_end_under_the_id_that_it_had() -> None:
    store = MemoryStore()
    run_id, broker = await _ended_and_not_told(store)
    (call,) = broker.calls
    async with engine_on(store, workflows=ALL, publisher=broker) as engine:
        await engine.settled()

    (found,) = broker.taken
    assert found == call[0]
    assert found.id.endswith(f"/{run_id}/1")


@on_skipping_loop
async def test_it_is_told_also_where_another_run_has_the_key_by_now() -> None:
    store = MemoryStore()
    run_id, broker = await _ended_and_not_told(store)
    broker.raises = lambda _records: PublishError("away")
    async with engine_on(store, workflows=ALL, publisher=broker, resume_entry="ends_with") as engine:
        await resume(engine, "a b", 'new:"second"', id="another")
        await engine.settled()
    broker.raises = lambda _records: None
    async with engine_on(store, workflows=ALL, publisher=broker) as engine:
        await engine.settled()

    assert broker.ends == [(RESULT, "a b", b"1"), (RESULT, "a b", b'"second"')]
    assert run_id in broker.taken[0].id


@on_skipping_loop
async def test_a_large_result_is_a_document_of_its_own_and_is_told_whole() -> None:
    store = MemoryStore()
    _, broker = await _ended_and_not_told(store, value="x" * 300_000)
    assert documents(store, "blob:")
    async with engine_on(store, workflows=ALL, publisher=broker) as engine:
        await engine.settled()

    assert broker.ends == [(RESULT, "a b", b'"' + b"x" * 300_000 + b'"')]


@on_skipping_loop
async def test_a_run_whose_code_is_gone_tells_its_end_if_it_is_a_thread() -> None:
    store, broker = MemoryStore(), Broker()
    async with engine_on(store, workflows=ALL, resume_entry="asks") as engine:
        await resume(engine, "a b", "new:1")
    async with engine_on(store, workflows=[parked], publisher=broker) as engine:
        ((name, _),) = [(key, 0) for key in documents(store, "run:")]
        await engine.terminate(name.removeprefix("run:"))
        await engine.settled()

    assert broker.ends == [(ERROR, "a b", b'"terminated"')]


@on_skipping_loop
async def test_runs_that_leave_memory_at_every_step_tell_the_same() -> None:
    broker = Broker()
    async with engine_on(workflows=ALL, publisher=broker, max_cached_runs=0, resume_entry="asks") as engine:
        for number in range(20):
            await resume(engine, f"t {number}", "new:2")
        for number in range(20):
            await answer(engine, f"t {number}", number)
            await answer(engine, f"t {number}", -number)
        await engine.settled()
        await engine.start(on_demand, id="open")

    assert sorted(broker.ends) == sorted((RESULT, f"t {n}", orjson.dumps([n, -n])) for n in range(20))
