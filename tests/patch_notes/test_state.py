"""Cases about what is stored: damage, large values, long histories, purges."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from holdfast import ActivityContext, ActivityError, CorruptDocumentError, RunStatus, WorkflowContext
from tests.patch_notes.homes import Home, Watched, change, is_at_rest, life, stored
from tests.play import Anything
from tests.unit.engine.kit import collect, echo, eventually, parked, steps

hanging: list[str] = []


async def hang(context: ActivityContext) -> None:
    hanging.append(context.workflow_id)
    await asyncio.Event().wait()


async def busy(ctx: WorkflowContext) -> None:
    """Have a page, a blob, and an attempt that never ends."""
    await ctx.execute_activity(echo, "x" * 3_000)
    for number in range(20):
        await ctx.execute_activity(echo, number)
    await ctx.execute_activity(hang)


def flipped(raw: bytes) -> bytes:
    return raw[:40] + bytes([raw[40] ^ 1]) + raw[41:]


def cut(raw: bytes) -> bytes:
    return raw[: len(raw) // 2]


def gone(_raw: bytes) -> None:
    """Leave nothing."""


DAMAGES: dict[str, Anything] = {
    "flipped": ("run:{id}", flipped),
    "cut": ("run:{id}", cut),
    "gone": ("run:{id}", gone),
    "page-cut": ("page:{run_id}:0", cut),
    "page-gone": ("page:{run_id}:0", gone),
    "blob-gone": ("blob:{run_id}:0", gone),
}


async def test_01_a_run_whose_state_is_damaged_or_gone_is_quarantined_and_nobody_keeps_asking_for_it(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, logger="holdfast")
    hanging.clear()
    options: dict[str, Any] = {"workflows": [busy, collect], "activities": [echo, hang]}
    async with life(home.store(), dies=True, **options) as first:
        run_ids = {name: (await first.start(busy, id=name)).run_id for name in DAMAGES}
        await first.start(collect, 1, id="good")
        await eventually(lambda: len(hanging) == len(DAMAGES))
    for name, (key, damage) in DAMAGES.items():
        await change(home, key.format(id=name, run_id=run_ids[name]), damage)

    store = Watched(home.store())
    async with life(store, **options) as second:
        assert await is_at_rest(second, store)
        for name in DAMAGES:
            assert (await second.engine.describe(name)).status is RunStatus.CORRUPT, name
            with pytest.raises(CorruptDocumentError):
                await second.engine.signal(name, "n", 1)
        await second.engine.signal("good", "n", 1)
        assert await second.handle("good").result() == [1]
        assert await is_at_rest(second, store)


async def huge(size: int) -> str:
    return "x" * size


def huge_on_a_thread(size: int) -> str:
    return "x" * size


async def fetches(ctx: WorkflowContext, wanted: dict[str, Any]) -> int | str:
    """Give how much was fetched, or the type of what went wrong, and take a step after it."""
    fetched: int | str
    try:
        fetched = len(await ctx.execute_activity(wanted["how"], wanted["size"], result_type=str))
    except ActivityError as error:
        fetched = error.cause.type
    await ctx.execute_activity(echo, 1)
    return fetched


async def test_05_an_activity_result_that_is_too_large_fails_its_call_and_disturbs_nobody(home: Home) -> None:
    options: dict[str, Any] = {"workflows": [fetches, steps], "activities": [huge, huge_on_a_thread, echo]}
    sizes = {1_000_000: 1_000_000, 1_100_000: "PayloadError", 5_000_000: "PayloadError"}
    async with life(home.store(), **options) as environment:
        fetching = {
            (how, size): await environment.start(fetches, {"how": how, "size": size})
            for how in ("huge", "huge_on_a_thread")
            for size in sizes
        }
        others = [await environment.start(steps, 5) for _ in range(20)]

        assert {key: await handle.result() for key, handle in fetching.items()} == {
            key: sizes[key[1]] for key in fetching
        }
        assert [await other.result() for other in others] == [[0, 1, 2, 3, 4]] * 20
        assert environment.engine.not_ready() == ""


async def heaps(ctx: WorkflowContext, results: int) -> int:
    """Have a history of some megabytes, and wait."""
    size = 0
    for _ in range(results):
        size += len(await ctx.execute_activity(huge, 900_000))
    await ctx.receive_signal("end")
    return size


async def test_13_a_history_larger_than_any_message_is_read_back_and_disturbs_nobody(home: Home) -> None:
    options: dict[str, Any] = {"workflows": [heaps, collect], "activities": [huge], "dev_replay": False}
    async with life(home.store(), dies=True, **options) as first:
        await first.start(heaps, 10, id="heaps")
        others = [await first.start(collect, 1, id=f"other-{number}") for number in range(20)]
        await first.settled()

    async with life(home.store(), **options) as second:
        await asyncio.gather(
            second.engine.signal("heaps", "end"), *(second.engine.signal(o.id, "n", 1) for o in others)
        )
        assert await second.handle("heaps").result() == 9_000_000
        assert [await second.handle(other.id).result() for other in others] == [[1]] * 20
        history = await second.engine.history("heaps")
        assert sum(len(event.value) for event in history if event.type == "activity_completed") == 9_000_000


async def full(ctx: WorkflowContext, turn: int = 0) -> None:
    """Leave every kind of document behind: pages, blobs, sealed ids, past runs, a child, a time-out."""
    ctx.start_child(parked, id=f"child-{turn}", parent_close="terminate")
    await ctx.execute_activity(echo, "x" * 3_000)
    for number in range(20):
        await ctx.execute_activity(echo, number)
    for _ in range(300):
        await ctx.receive_signal("n", timeout=3_600)
    if turn < 1:
        ctx.continue_as_new(turn + 1)


@pytest.mark.parametrize("cut_short", [False, True], ids=["whole", "cut-short"])
async def test_15_a_purge_leaves_nothing_but_a_tombstone_also_where_it_is_cut_short(
    home: Home, *, cut_short: bool
) -> None:
    options: dict[str, Any] = {"workflows": [full, parked], "activities": [echo], "dev_replay": False}
    store = Watched(home.store())
    async with life(store, dies=cut_short, **options) as environment:
        engine = environment.engine
        handle = await environment.start(full, id="a")
        for turn in range(2):
            await asyncio.gather(*(engine.signal("a", "n", n, id=f"{turn}-{n}") for n in range(300)))
        await handle.result()
        await environment.settled()
        for child in ("child-0", "child-1"):
            await engine.purge(child)
        if cut_short:
            store.refuse_deletions()
            purging = asyncio.create_task(engine.purge("a"))
            await eventually(lambda: store.deletions_refused)
            purging.cancel()
        else:
            await engine.purge("a")
    written = {key for key in store.keys_written if key.startswith(("run:", "past:", "page:", "blob:", "seen:"))}
    kinds = {key.partition(":")[0] for key in written}
    assert kinds == {"run", "past", "page", "blob", "seen"}

    again = Watched(home.store())
    async with life(again, **options) as environment:
        assert await is_at_rest(environment, again)
        assert (await environment.engine.list()).items == []
    assert await stored(home, written) == {"run:a", "run:child-0", "run:child-1"}
