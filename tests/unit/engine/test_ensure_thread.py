"""Threads that runs start: by a key of any form, once, and never lost."""

import asyncio
from collections.abc import Sequence

import pytest

from holdfast import PayloadError, PublishError, WorkflowContext, workflow
from holdfast.core.outputs import MAX_OUTBOX, RESUME_TOPIC
from holdfast.core.threads import thread_id
from holdfast.engine.bus import LocalBus
from holdfast.ports import Conflict, Write, Written
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import WORKFLOWS, died, engine_on, eventually, on_skipping_loop, types_of
from tests.unit.engine.publishers import Broker
from tests.unit.engine.resuming import RESUMING, answer, asks, ends_with, parent, reasons
from tests.unit.engine.stores import Halting, Store, content, documents, put

ALL = [*WORKFLOWS, *RESUMING]


@workflow
async def ensures(ctx: WorkflowContext, what: list[Anything]) -> list[str]:
    """Ensure threads, each given as key, input and workflow, and say what could not be."""
    troubles = []
    for key, value, name in what:
        try:
            ctx.ensure_thread(key, value, workflow=name)
        except PayloadError as error:
            troubles.append(str(error))
    return troubles


ENSURING = [*ALL, ensures]


@pytest.mark.parametrize("key", ["order-1", "order 1", "straße/7|✓", "a" * 64, "a" * 65, "x" * 1_024, "é" * 512])
@on_skipping_loop
async def test_a_key_may_be_any_text_of_1024_bytes(key: str) -> None:
    broker = Broker()
    async with engine_on(workflows=ENSURING, publisher=broker) as engine:
        assert await engine.execute(ensures, [[key, "done", "ends_with"]]) == []
        await engine.settled()
        run = await engine.describe(thread_id(key))

    assert (run.status, run.workflow, run.result) == ("completed", "ends_with", "done")
    assert broker.ends == [("workflow-result", key, b'"done"')], "on topics it is named by its key"


@pytest.mark.parametrize(
    ("key", "words"),
    [("", "must not be empty"), ("é" * 513, "has 1,026 bytes"), ("x" * 1_025, "has 1,025"), (7, "must be a text")],
)
@on_skipping_loop
async def test_a_key_that_cannot_be_kept_raises_at_the_call(key: object, words: str) -> None:
    async with engine_on(workflows=ENSURING) as engine:
        (trouble,) = await engine.execute(ensures, [[key, None, "ends_with"]])

    assert words in trouble


def test_the_id_of_a_key_is_the_key_if_it_is_one_and_else_follows_from_it() -> None:
    found = thread_id("order 1")

    assert thread_id("order-1") == "order-1"
    assert found == "t-6plpbvk3au755marnqxk77lu5e" == thread_id("order 1")
    assert len({thread_id(f"order {number}") for number in range(1_000)}) == 1_000


@on_skipping_loop
async def test_code_reads_its_key_and_its_refs_are_addressed_by_it() -> None:
    @workflow
    async def looks(ctx: WorkflowContext) -> list[str]:
        return [ctx.workflow_id, ctx.thread_key, ctx.ref_id("r").key, ctx.ref_id("s", "other").key]

    broker = Broker()
    async with engine_on(workflows=[*ENSURING, looks], publisher=broker, dev_replay=True) as engine:
        await engine.execute(ensures, [["a b", None, "looks"]])
        await engine.settled()
        found = (await engine.describe(thread_id("a b"))).result
        assert await engine.execute(looks, id="plain") == ["plain", "plain", 'plain|{"ref":"r"}', 'other|{"ref":"s"}']

    assert found == [thread_id("a b"), "a b", 'a b|{"ref":"r"}', 'other|{"ref":"s"}']


@on_skipping_loop
async def test_a_thread_is_of_the_callers_own_workflow_unless_told_otherwise() -> None:
    @workflow
    async def hands_on(ctx: WorkflowContext, rest: int = 2) -> int:
        if rest:
            ctx.ensure_thread(f"hands-on-{rest - 1}", rest - 1)
        return rest

    async with engine_on(workflows=[hands_on]) as engine:
        await engine.execute(hands_on)
        await engine.settled()
        found = [await engine.describe(f"hands-on-{number}") for number in (1, 0)]

    assert [(run.workflow, run.result) for run in found] == [("hands_on", 1), ("hands_on", 0)]


@on_skipping_loop
async def test_the_key_of_a_thread_goes_along_when_it_continues_as_new_and_when_it_is_rerun() -> None:
    @workflow
    async def chain(ctx: WorkflowContext, number: int = 0) -> list[Anything]:
        if number < 2:
            ctx.continue_as_new(number + 1)
        await ctx.sleep(1)
        return [ctx.thread_key, number]

    broker = Broker()
    async with engine_on(workflows=[*ENSURING, chain], publisher=broker) as engine:
        await engine.execute(ensures, [["a b", 0, "chain"]])
        await engine.settled()
        await asyncio.sleep(2)
        again = await engine.rerun(thread_id("a b"))
        await again.result()
        await engine.settled()

    assert broker.ends == [("workflow-result", "a b", b'["a b",2]')] * 2


# A key that has a run.


@on_skipping_loop
async def test_an_open_thread_is_left_alone() -> None:
    async with engine_on(workflows=ENSURING) as engine:
        first = await engine.start(asks, id="key")
        await engine.execute(ensures, [["key", 5, "ends_with"], ["key", 6, "ends_with"]])
        await engine.settled()

        assert (await engine.describe("key")).run_id == first.run_id
        assert await reasons(engine) == []


@on_skipping_loop
async def test_a_thread_that_has_ended_is_started_again() -> None:
    async with engine_on(workflows=ENSURING) as engine:
        for value in ("first", "second"):
            await engine.execute(ensures, [["key", value, "ends_with"]])
            await engine.settled()
            assert (await engine.describe("key")).result == value


@on_skipping_loop
async def test_a_run_may_ensure_itself() -> None:
    @workflow
    async def me(ctx: WorkflowContext) -> str:
        ctx.ensure_thread(ctx.workflow_id)
        await ctx.receive_signal("end")
        return "me"

    async with engine_on(workflows=[me]) as engine:
        handle = await engine.start(me, id="me")
        await engine.settled()
        await handle.signal("end")
        assert await handle.result() == "me"
        await engine.settled()
        assert (await engine.describe("me")).run_id == handle.run_id


# One that cannot be started.


@pytest.mark.parametrize(
    ("value", "name", "words"),
    [(1, "nobody", "no workflow 'nobody' is registered here"), ("five", "asks", "integer")],
)
@on_skipping_loop
async def test_a_thread_that_cannot_be_started_is_a_dead_letter_with_its_reason(
    value: Anything, name: str, words: str
) -> None:
    store = MemoryStore()
    async with engine_on(store, workflows=ENSURING) as engine:
        await engine.execute(ensures, [["a b", value, name]], id="a")
        await engine.settled()
        (letter,) = (await engine.dead_letters()).items

        assert (letter.topic, letter.key) == (RESUME_TOPIC, "a b")
        assert words in letter.reason
        assert "outbox" not in content(store, "run:a"), "it is not tried again"


@on_skipping_loop
async def test_that_dead_letter_starts_the_thread_once_the_code_is_there() -> None:
    @workflow(name="later")
    async def later(ctx: WorkflowContext, value: dict[str, Anything]) -> list[Anything]:
        return [ctx.thread_key, value]

    store, broker = MemoryStore(), Broker()
    async with engine_on(store, workflows=ENSURING) as engine:
        await engine.execute(ensures, [["a b", {"text": 'new:"quoted" é'}, "later"]], id="a")
        await engine.settled()
    async with engine_on(store, workflows=[*ENSURING, later], publisher=broker) as engine:
        (letter,) = (await engine.dead_letters()).items
        assert await engine.replay_dead_letter(letter.number) == "applied"
        await engine.settled()
        assert (await engine.dead_letters()).items == []

    assert broker.ends == [("workflow-result", "a b", '["a b",{"text":"new:\\"quoted\\" é"}]'.encode())]


@on_skipping_loop
async def test_a_thread_whose_document_is_damaged_is_a_dead_letter_and_holds_nobody_up() -> None:
    store = MemoryStore()
    async with engine_on(store, workflows=ENSURING, max_cached_runs=0) as engine:
        await engine.start(asks, id="key")
        await eventually(lambda: not engine.stats().live)
        put(store, "run:key", b"{broken")
        await engine.execute(ensures, [["key", 1, "asks"], ["other", "fine", "ends_with"]], id="a")
        await engine.settled()

        assert (await engine.describe("other")).result == "fine"
        assert ["run:key" in reason for reason in await reasons(engine)] == [True]
        await eventually(lambda: "outbox" not in content(store, "run:a"))


# Once.


@on_skipping_loop
async def test_a_start_that_is_delivered_again_starts_nothing_even_after_the_thread_has_ended() -> None:
    """The process dies between the commit of the thread and that of its parent, over and over."""

    class Forgetting(Store):
        held = 0

        async def apply(self, writes: Sequence[Write]) -> list[Written | Conflict]:
            if self.held >= 0 and any(write.key == "run:p" for write in writes) and documents(self, "run:p"):
                self.held += 1
                await asyncio.Event().wait()
            return await super().apply(writes)

    store, broker = Forgetting(), Broker()
    for deaths in range(3):
        engine = engine_on(store, workflows=ALL, publisher=broker)
        await engine.open()
        if not deaths:
            await engine.start(parent, "key", id="p")
        await eventually(lambda: store.held > deaths)  # noqa: B023 - awaited here
        assert "run:key" in documents(store)
        await died(engine)
    store.held = -1
    async with engine_on(store, workflows=ALL, publisher=broker) as engine:
        await engine.settled()
        first = (await engine.describe("key")).run_id
        await answer(engine, "key", 1)
        await engine.settled()
        await engine.signal("p", "end")
        await engine.settled()

        assert (await engine.describe("key")).run_id == first
    assert broker.ends == [("workflow-result", "key", b"[1]")]


@on_skipping_loop
async def test_a_process_that_dies_before_the_thread_is_durable_leaves_it_to_the_next() -> None:
    store = Halting()
    engine = engine_on(store, workflows=ALL)
    await engine.open()
    await engine.start(parent, "key", id="p")
    store.gate.clear()
    await eventually(lambda: store.waiting)
    await died(engine)
    assert list(documents(store, "run:")) == ["run:p"]

    async with engine_on(store.inner, workflows=ALL) as engine:
        await engine.settled()
        assert (await engine.describe("key")).status == "running"
        assert (await types_of(engine, "p")).count("thread_ensured") == 1


@on_skipping_loop
async def test_a_rerun_does_not_start_threads_again() -> None:
    async with engine_on(workflows=ALL) as engine:
        first = await engine.start(parent, "key", id="p")
        await engine.settled()
        await answer(engine, "key", 1)
        await first.signal("end")
        await engine.settled()
        before = (await engine.describe("key")).run_id
        again = await engine.rerun("p", from_event=2)
        await again.signal("end")
        await engine.settled()

        assert (await engine.describe("key")).run_id == before


# How many.


@on_skipping_loop
async def test_threads_and_outputs_share_the_room_of_the_outbox_and_what_is_over_raises_on_replay_too() -> None:
    @workflow(outputs=["numbers"])
    async def floods(ctx: WorkflowContext) -> list[int]:
        taken = [0, 0]
        try:
            for number in range(MAX_OUTBOX):
                ctx.output("numbers", str(number))
                taken[0] += 1
                ctx.ensure_thread(f"t{number}", workflow=ends_with)
                taken[1] += 1
        except PayloadError as error:
            assert "1,000 effects of this run have not been carried out yet" in str(error)  # noqa: PT017 - a workflow
        await ctx.receive_signal("end")
        return taken

    store, broker = MemoryStore(), Broker()
    broker.raises = lambda _records: PublishError("away")
    async with engine_on(store, workflows=[*ALL, floods], publisher=broker, dev_replay=True) as engine:
        await engine.start(floods, id="a")
        assert (await types_of(engine, "a")).count("output_refused") == 1
    broker.raises = lambda _records: None
    async with engine_on(store, workflows=[*ALL, floods], publisher=broker, dev_replay=True) as engine:
        await engine.settled()
        await engine.signal("a", "end")
        assert await engine.handle("a").result() == [500, 500]
        await engine.settled()

    assert len(broker.values) == 500
    assert len(broker.ends) == 501


@on_skipping_loop
async def test_a_thousand_threads_of_one_run_all_begin() -> None:
    broker = LocalBus(keep=10_000)
    async with engine_on(workflows=ENSURING, publisher=broker) as engine:
        assert await engine.execute(ensures, [[f"key {n}", n, "ends_with"] for n in range(MAX_OUTBOX)]) == []
        await engine.settled()

    ends = [(record.key, record.value) for record in broker.records]
    assert sorted(ends) == sorted((f"key {n}", b"%d" % n) for n in range(MAX_OUTBOX))


@on_skipping_loop
async def test_two_runs_that_ensure_one_key_at_once_get_one_thread() -> None:
    broker = Broker()
    async with engine_on(workflows=ENSURING, publisher=broker) as engine:
        await asyncio.gather(*(engine.execute(ensures, [["a b", 1, "asks"]]) for _ in range(20)))
        await engine.settled()
        await answer(engine, "a b", "once")
        await engine.settled()

    assert broker.ends == [("workflow-result", "a b", b'["once"]')]
