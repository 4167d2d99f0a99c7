"""What the tests of threads and refs share: workflows that wait for answers, and records that give them."""

from __future__ import annotations

import orjson

from holdfast import Delivery, Engine, RefError, WorkflowContext, workflow
from holdfast.core.outputs import RESUME_TOPIC
from holdfast.core.threads import thread_id
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import WORKFLOWS, engine_on


@workflow
async def asks(ctx: WorkflowContext, count: int = 1) -> list[Anything]:
    """Wait for some answers, one after the other."""
    answers: list[Anything] = []
    ctx.set_query_handler("answers", lambda: answers)
    for _ in range(count):
        answers.append(await ctx.ref_id("answer"))  # noqa: PERF401 - queries see how far it is
    return answers


@workflow
async def asks_by_own_ref(ctx: WorkflowContext) -> Anything:
    """Make a ref, say which, and wait for its answer and then for the end."""
    ref = ctx.ref("mine")
    ctx.set_query_handler("ref", lambda: ref.id)
    ctx.set_query_handler("done", lambda: ref.done)
    answer = await ref
    await ctx.receive_signal("end")
    return answer


@workflow
async def opens_late(ctx: WorkflowContext) -> Anything:
    """Make a ref after a signal."""
    await ctx.receive_signal("open")
    return await ctx.ref_id("answer")


@workflow
async def loses_interest(ctx: WorkflowContext) -> Anything:
    """Wait for an answer for a second, for a signal, and for an answer of that id again."""
    try:
        await ctx.race(ctx.ref_id("answer"), ctx.sleep(1))
    finally:
        await ctx.receive_signal("again")
    return await ctx.ref_id("answer")


@workflow
async def bears_errors(ctx: WorkflowContext) -> Anything:
    """Give what a ref raises."""
    try:
        return await ctx.ref_id("answer")
    except RefError as error:
        return {"raised": error.value}


@workflow
async def ends_with(ctx: WorkflowContext, value: Anything = None) -> Anything:
    """End at once, with the input."""
    return value


@workflow
async def parent(ctx: WorkflowContext, key: str) -> str:
    """Ensure a thread, and stay until told to end."""
    ctx.ensure_thread(key, 1, workflow=asks)
    await ctx.receive_signal("end")
    return "parent"


RESUMING = [asks, asks_by_own_ref, opens_late, loses_interest, bears_errors, ends_with, parent]


def open_engine(store: MemoryStore | None = None, **options: Anything) -> Engine:
    """An engine whose records start ``asks``, and that replays each run after each step."""
    return engine_on(
        store, **{"workflows": [*WORKFLOWS, *RESUMING], "resume_entry": "asks", "dev_replay": True, **options}
    )


async def resume(engine: Engine, key: str, record: Anything, id: str = "") -> Delivery:
    """Deliver a record: a text as it is, anything else as JSON."""
    value = record.encode() if isinstance(record, str) else orjson.dumps(record)
    return await engine.deliver(RESUME_TOPIC, key, value, id=id or None)


async def answer(engine: Engine, key: str, value: Anything, ref: str = "answer", id: str = "") -> Delivery:
    return await resume(engine, key, {"ref": ref, "value": value}, id)


async def reasons(engine: Engine) -> list[str]:
    """Why messages are dead, the oldest first."""
    return [letter.reason for letter in (await engine.dead_letters(limit=1_000)).items][::-1]


async def result(engine: Engine, key: str) -> Anything:
    """What a thread has returned."""
    return (await engine.describe(thread_id(key))).result
