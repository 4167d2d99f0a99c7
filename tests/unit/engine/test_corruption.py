"""Damaged documents: every flipped byte and every truncation is found, and only its own run is out of order."""

import asyncio
import itertools
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from holdfast import CorruptDocumentError, Engine, QueryError, RunStatus, StoreError, WorkflowContext
from holdfast.engine.records.documents import seal_object, unseal
from holdfast.stores import MemoryStore
from tests.unit.engine.kit import collect, died, echo, engine_on, eventually, on_skipping_loop, parked, steps
from tests.unit.engine.stores import documents, put


async def heavy(ctx: WorkflowContext, size: int) -> int:
    """Have pages, blobs and sealed ids."""
    ctx.set_query_handler("x", lambda: 1)
    for number in range(20):
        await ctx.execute_activity(echo, number)
    await ctx.execute_activity(echo, "x" * size)
    taken = 0
    async for _ in ctx.signal_channel("n"):
        taken += 1
        if taken == 300:
            break
    await ctx.receive_signal("end")
    return taken


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="holdfast")


async def filled() -> MemoryStore:
    """Make a store with a run that has every kind of document, and one beside it."""
    store = MemoryStore()
    engine = engine_on(store, workflows=[heavy, collect, steps, parked])
    await engine.open()
    await engine.start(heavy, 3_000, id="bad")
    await asyncio.gather(*(engine.signal("bad", "n", 1, id=f"s{number}") for number in range(300)))
    await engine.settled()
    await engine.start(collect, 1, id="good")
    await died(engine)
    return store


def reopened(store: MemoryStore) -> Engine:
    return engine_on(store, workflows=[heavy, collect, steps, parked])


def damages(raw: bytes, step: int) -> Iterator[bytes]:
    """Flip a bit of every nth byte, and cut at every nth place."""
    for place in range(0, len(raw), step):
        yield raw[:place] + bytes([raw[place] ^ (1 << place % 8)]) + raw[place + 1 :]
    for length in range(0, len(raw), step):
        yield raw[:length]
    yield raw + b" "
    yield b""
    yield b"null"


@pytest.mark.parametrize(("prefix", "step"), [("run:bad", 11), ("page:", 61), ("blob:", 97), ("seen:", 53)])
@on_skipping_loop
async def test_every_flipped_byte_and_every_truncation_is_found_and_quarantined_alone(prefix: str, step: int) -> None:
    store = await filled()
    key = min(documents(store, prefix))
    whole = documents(store)[key]
    missed = []
    async with reopened(store) as engine:
        for number, damaged in enumerate(damages(whole, step)):
            engine._parts.runtime.live.pop("bad", None)  # noqa: SLF001 - so that it is read again
            put(store, key, damaged)
            try:
                await engine.signal("bad", "n", 1)
                missed.append(number)
            except CorruptDocumentError as error:
                assert repr(key) in str(error) or "gap" in str(error)  # noqa: PT017
        put(store, key, whole)

        await engine.signal("good", "n", 5)
        assert await engine.handle("good").result() == [5]
        assert engine.not_ready() == ""
    assert missed == []


@pytest.mark.parametrize("prefix", ["page:", "blob:", "seen:"])
@on_skipping_loop
async def test_a_document_that_is_gone_is_found(prefix: str) -> None:
    store = await filled()
    key = min(documents(store, prefix))
    put(store, key, None)

    async with reopened(store) as engine:
        with pytest.raises(CorruptDocumentError, match=f"document '{key}' is missing"):
            await engine.signal("bad", "n", 1)
        assert (await engine.describe("bad")).status is RunStatus.CORRUPT


async def corrupted() -> MemoryStore:
    store = await filled()
    raw = documents(store)["run:bad"]
    put(store, "run:bad", raw[:50] + b"#" + raw[51:])
    return store


@on_skipping_loop
async def test_a_corrupt_run_is_shown_as_what_it_is() -> None:
    async with reopened(await corrupted()) as engine:
        shown = await engine.describe("bad")
        assert (shown.status, shown.workflow) == (RunStatus.CORRUPT, "heavy")
        assert shown.error is not None
        assert "damaged: its checksum does not match" in shown.error.message
        assert shown.waiting_for == ["a repair of its documents, or a purge"]

        listed = {item.workflow_id: item.status for item in (await engine.list()).items}
        assert listed == {"bad": RunStatus.CORRUPT, "good": RunStatus.RUNNING}
        assert [item.workflow_id for item in (await engine.list(status="corrupt")).items] == ["bad"]
        assert engine.stats().runs["corrupt"] == 1


@on_skipping_loop
async def test_of_a_corrupt_run_the_built_in_queries_answer_and_no_others() -> None:
    async with reopened(await corrupted()) as engine:
        assert await engine.query("bad", "status") == "corrupt"
        assert await engine.query("bad", "result") is None
        assert await engine.query("bad", "stack") == ["a repair of its documents, or a purge"]
        with pytest.raises(QueryError):
            await engine.query("bad", "x")


@pytest.mark.parametrize("call", ["signal", "update", "cancel", "terminate", "pause", "history", "start"])
@on_skipping_loop
async def test_whatever_is_asked_of_a_corrupt_run_is_refused_and_nothing_is_overwritten(call: str) -> None:
    store = await corrupted()
    before = documents(store)["run:bad"]
    async with reopened(store) as engine:
        calls: dict[str, Any] = {
            "signal": lambda: engine.signal("bad", "n", 1),
            "update": lambda: engine.update("bad", "u", 1),
            "cancel": lambda: engine.cancel("bad"),
            "terminate": lambda: engine.terminate("bad"),
            "pause": lambda: engine.pause("bad"),
            "history": lambda: engine.history("bad"),
            "start": lambda: engine.start(steps, 1, id="bad", on_conflict="terminate_existing"),
        }
        for _ in range(2):
            with pytest.raises(CorruptDocumentError, match="'run:bad'"):
                await calls[call]()

    assert documents(store)["run:bad"] == before


@on_skipping_loop
async def test_a_corrupt_run_goes_on_once_its_documents_are_repaired() -> None:
    store = await filled()
    whole = documents(store)["run:bad"]
    put(store, "run:bad", whole[:-1])
    async with reopened(store) as engine:
        with pytest.raises(CorruptDocumentError):
            await engine.signal("bad", "end")
        put(store, "run:bad", whole)
        await engine.signal("bad", "end")

        assert await engine.handle("bad").result() == 300
        assert (await engine.list(status="corrupt")).items == []


@on_skipping_loop
async def test_a_corrupt_run_can_be_purged_and_its_id_used_again() -> None:
    store = await corrupted()
    async with reopened(store) as engine:
        await engine.describe("bad")
        await engine.purge("bad")
        await engine.settled()

        assert [item.workflow_id for item in (await engine.list()).items] == ["good"]
        assert await engine.execute(steps, 1, id="bad") == [0]


@on_skipping_loop
async def test_a_corrupt_run_with_work_is_found_at_the_start_and_the_others_go_on() -> None:
    store = MemoryStore()

    async def hang() -> None:
        await asyncio.Event().wait()

    async def works(ctx: WorkflowContext) -> None:
        await ctx.execute_activity(hang)

    first = engine_on(store, workflows=[works, collect], activities=[hang])
    await first.open()
    for number in range(5):
        await first.start(works, id=f"w{number}")
    await asyncio.sleep(1)
    await died(first)
    put(store, "run:w2", documents(store)["run:w2"][:-5])

    async with engine_on(store, workflows=[works, collect], activities=[hang]) as second:
        await eventually(lambda: second.stats().attempts == 4)
        assert second.stats().runs["corrupt"] == 1


@on_skipping_loop
async def test_a_parent_of_a_corrupt_child_is_not_drawn_in() -> None:
    async def parent(ctx: WorkflowContext) -> list[Any]:
        handle = ctx.start_child(parked, id="child")
        await ctx.receive_signal("go")
        handle.cancel()
        return [await ctx.receive_signal("other")]

    store = MemoryStore()
    first = engine_on(store, workflows=[parent, parked])
    await first.open()
    await first.start(parent, id="parent")
    await first.settled()
    await died(first)
    put(store, "run:child", documents(store)["run:child"][:-5])

    async with engine_on(store, workflows=[parent, parked]) as second:
        await second.signal("parent", "go")
        await second.signal("parent", "other", 5)
        assert await second.handle("parent").result() == [5]


@on_skipping_loop
async def test_a_document_of_a_newer_release_is_refused_politely_and_not_overwritten() -> None:
    store = await filled()
    head = unseal("run:bad", documents(store)["run:bad"])
    head.pop("crc")
    newer = seal_object({**head, "schema": 99})
    put(store, "run:bad", newer)

    async with reopened(store) as engine:
        with pytest.raises(
            CorruptDocumentError, match=r"was written by a newer release \(schema 99, this one knows 1\)"
        ):
            await engine.signal("bad", "n", 1)
        await engine.signal("good", "n", 5)
        assert await engine.handle("good").result() == [5]
    assert documents(store)["run:bad"] == newer


FORMS: list[Any] = [
    {"schema": 1, "id": "bad"},
    {"schema": 1, "status": "running", "run_id": "x", "pages": 0, "events": 0, "tail": {}},
    {"status": "dancing"},
    {"tail": [{"seq": 1, "type": "x", "at": 1}], "pages": 0, "blobs": 0, "events": 1},
    {"tail": 5},
]


def reshaped(store: MemoryStore, name: str, form: dict[str, Any]) -> bytes:
    head = unseal(f"run:{name}", documents(store)[f"run:{name}"])
    head.pop("crc")
    return seal_object(form if "schema" in form else {**head, **form})


@pytest.mark.parametrize("form", FORMS)
@on_skipping_loop
async def test_a_head_with_a_right_checksum_and_an_unknown_form_is_quarantined(form: dict[str, Any]) -> None:
    store = await filled()
    put(store, "run:bad", reshaped(store, "bad", form))

    async with reopened(store) as engine:
        with pytest.raises(StoreError):
            await engine.signal("bad", "n", 1)
        assert (await engine.describe("bad")).status is RunStatus.CORRUPT
        await engine.signal("good", "n", 5)
        assert await engine.handle("good").result() == [5]


@pytest.mark.parametrize("form", FORMS)
@on_skipping_loop
async def test_a_run_of_unknown_form_with_work_does_not_keep_the_engine_from_opening(form: dict[str, Any]) -> None:
    store = MemoryStore()

    async def hang() -> None:
        await asyncio.Event().wait()

    async def works(ctx: WorkflowContext) -> None:
        await ctx.execute_activity(hang)

    first = engine_on(store, workflows=[works, collect], activities=[hang])
    await first.open()
    await first.start(works, id="bad")
    await first.start(collect, 1, id="good")
    await asyncio.sleep(1)
    await died(first)
    put(store, "run:bad", reshaped(store, "bad", form))

    async with engine_on(store, workflows=[works, collect], activities=[hang]) as second:
        await second.signal("good", "n", 5)
        assert await second.handle("good").result() == [5]
        assert (await second.describe("bad")).status is RunStatus.CORRUPT


def test_the_damages_are_all_different() -> None:
    assert len(set(itertools.islice(damages(b"0123456789" * 20, 3), 500))) > 130
