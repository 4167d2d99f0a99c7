"""Documents that a store refuses for good: found by halves, and nobody but their own run is disturbed."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from holdfast import PayloadError, RunStatus, StoreError, WorkflowContext
from holdfast.ports import Conflict, Guard, Write, Written
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import collect, echo, engine_on, eventually, nap, on_skipping_loop, steps
from tests.unit.engine.stores import Guarded, Picky, Store, content, documents

GUARDS: list[tuple[Guard, bool, bool]] = [
    ("key", True, False),
    ("batch", True, False),
    ("none", True, False),
    ("key", False, False),
]


def mentions(text: bytes) -> Anything:
    """Dislike the head of a run that has this in it."""
    return lambda write: write.key.startswith("run:") and text in (write.value or b"")


@pytest.mark.parametrize(("guard", "atomic", "partly"), GUARDS)
@on_skipping_loop
async def test_a_poison_document_stalls_its_run_and_no_other(guard: Guard, *, atomic: bool, partly: bool) -> None:
    store = Picky(mentions(b"poison"), guard, atomic=atomic, partly=partly)
    async with engine_on(store) as engine:
        handles = [await engine.start(collect, 1, id=f"r{n}") for n in range(30)]
        sent = [handle.signal("n", "poison" if handle.id in {"r7", "r20"} else "fine") for handle in handles]
        answers = await asyncio.gather(*sent, return_exceptions=True)

        refused = [f"r{n}" for n, answer in enumerate(answers) if isinstance(answer, StoreError)]
        assert refused == ["r7", "r20"]
        assert [await h.result() for h in handles if h.id not in refused] == [["fine"]] * 28
        assert {(await engine.describe(name)).status for name in refused} == {RunStatus.STALLED}
        assert engine.not_ready() == ""


@on_skipping_loop
async def test_a_refused_document_is_told_with_its_reason_and_the_run_is_as_it_was() -> None:
    store = Picky(mentions(b"poison"))
    async with engine_on(store) as engine:
        await engine.start(collect, 2, id="a")
        await engine.signal("a", "n", 1)
        with pytest.raises(StoreError, match="'run:a' cannot be stored"):
            await engine.signal("a", "n", "poison")

        shown = await engine.describe("a")
        assert shown.error
        assert "its change cannot be stored: 'run:a' cannot be stored" in shown.error.message
        assert await engine.query("a", "status") == "stalled"
        assert b"poison" not in b"".join(documents(store).values())


@on_skipping_loop
async def test_a_run_whose_change_was_refused_goes_on_after_a_resume_once_the_store_takes_it() -> None:
    store = Picky(mentions(b"poison"))
    async with engine_on(store) as engine:
        handle = await engine.start(collect, 2, id="a")
        with pytest.raises(StoreError):
            await engine.signal("a", "n", "poison", id="s")
        store.dislikes = lambda _write: False
        await engine.resume("a")
        await engine.signal("a", "n", "poison", id="s")
        await engine.signal("a", "n", 2)

        assert await handle.result() == ["poison", 2]


@on_skipping_loop
async def test_a_document_that_never_fits_stalls_its_run_each_time_and_the_engine_stays() -> None:
    store = Picky(mentions(b"poison"))
    async with engine_on(store) as engine:
        await engine.start(collect, 2, id="bad")
        for number in range(5):
            with pytest.raises(StoreError):
                await engine.signal("bad", "n", "poison", id=f"s{number}")
            await engine.resume("bad")
            assert await engine.execute(steps, 1, id=f"good{number}") == [0]
        assert engine.not_ready() == ""


@on_skipping_loop
async def test_a_start_that_cannot_be_stored_is_refused_and_leaves_nothing() -> None:
    store = Picky(mentions(b"poison"))
    async with engine_on(store) as engine:
        with pytest.raises(StoreError, match="'run:a' cannot be stored"):
            await engine.start(steps, 1, id="a", request_id="poison")

        assert documents(store, "run:") == {}
        assert (await engine.list()).items == []
        assert await engine.execute(steps, 1, id="a") == [0]


@on_skipping_loop
async def test_a_result_that_cannot_be_stored_is_made_again_after_a_resume() -> None:
    calls = 0

    async def make() -> str:
        nonlocal calls
        calls += 1
        return "poison"

    async def run(ctx: WorkflowContext) -> str:
        return await ctx.execute_activity(make)

    store = Picky(mentions(b"poison"))
    async with engine_on(store, workflows=[run], activities=[make]) as engine:
        handle = await engine.start(run, id="a")
        await engine.settled()
        assert (await engine.describe("a")).status is RunStatus.STALLED
        store.dislikes = lambda _write: False
        await engine.resume("a")

        assert await handle.result() == "poison"
        assert calls == 2


@on_skipping_loop
async def test_a_call_that_is_refused_after_part_of_it_was_written_costs_no_ownership() -> None:
    """Without atomic batches the record of the commit may be there when the rest is refused."""
    store = Picky(mentions(b"poison"), atomic=False, partly=True)
    async with engine_on(store) as engine:
        handles = [await engine.start(collect, 1, id=f"r{n}") for n in range(8)]
        sent = [handle.signal("n", "poison" if handle.id == "r3" else "fine") for handle in handles]
        answers = await asyncio.gather(*sent, return_exceptions=True)

        assert [n for n, answer in enumerate(answers) if isinstance(answer, StoreError)] == [3]
        assert engine.not_ready() == ""
        assert [await h.result() for h in handles if h.id != "r3"] == [["fine"]] * 7


@on_skipping_loop
async def test_a_batch_too_large_for_the_store_is_split() -> None:
    store = Store(MemoryStore(max_batch=10, max_batch_bytes=100_000, max_value_bytes=50_000))
    async with engine_on(store) as engine:
        handles = await asyncio.gather(*(engine.start(collect, 1, id=f"r{n}") for n in range(60)))
        await asyncio.gather(*(handle.signal("n", "x" * 10_000) for handle in handles))

        assert [await handle.result() for handle in handles] == [["x" * 10_000]] * 60
    assert max(map(len, store.batches)) <= 10


@on_skipping_loop
async def test_a_change_of_more_documents_than_a_batch_takes_is_sent_ahead_of_its_head() -> None:
    async def many(ctx: WorkflowContext) -> int:
        results = await asyncio.gather(*(ctx.execute_activity(echo, f"{n}" + "x" * 4_000) for n in range(50)))
        return len(results)

    store = Store(MemoryStore(max_batch=10, max_value_bytes=100_000))
    async with engine_on(store, workflows=[many]) as engine:
        assert await engine.execute(many, id="a") == 50

    first_head = next(n for n, batch in enumerate(store.batches) if "run:a" in batch)
    ahead = [key for batch in store.batches[:first_head] for key in batch if key.startswith("blob:")]
    assert len(ahead) > 30
    assert max(map(len, store.batches)) <= 10
    async with engine_on(store, workflows=[many]) as engine:
        assert await engine.handle("a").result() == 50


@on_skipping_loop
async def test_a_change_whose_early_documents_are_refused_stalls_its_run_alone() -> None:
    async def large(ctx: WorkflowContext) -> int:
        await ctx.receive_signal("go")
        await asyncio.gather(*(ctx.execute_activity(echo, f"poison{n}" + "x" * 4_000) for n in range(50)))
        return 1

    store = Picky(lambda write: b"poison7" in (write.value or b""))
    store.inner = MemoryStore(max_batch=10, max_value_bytes=100_000)
    async with engine_on(store, workflows=[large, collect]) as engine:
        await engine.start(large, id="bad")
        other = await engine.start(collect, 1, id="good")
        answers = await asyncio.gather(engine.signal("bad", "go"), other.signal("n", 5), return_exceptions=True)

        assert isinstance(answers[0], StoreError)
        assert await other.result() == [5]
        assert (await engine.describe("bad")).status is RunStatus.STALLED


@on_skipping_loop
async def test_a_head_over_its_limit_stalls_its_run_alone() -> None:
    async def wide(ctx: WorkflowContext) -> int:
        await ctx.receive_signal("go")
        await asyncio.gather(*(ctx.execute_activity("nowhere", number) for number in range(9_000)))
        return 1

    async with engine_on(Store(), workflows=[wide, collect]) as engine:
        await engine.start(wide, id="bad")
        other = await engine.start(collect, 1, id="good")
        with pytest.raises(StoreError, match=r"the head of workflow 'bad' is [\d,]+ bytes; the limit is 262,144"):
            await engine.signal("bad", "go")

        await other.signal("n", 5)
        assert await other.result() == [5]
        assert (await engine.describe("bad")).status is RunStatus.STALLED


@on_skipping_loop
async def test_a_payload_over_the_limit_is_refused_at_the_call_and_siblings_go_on() -> None:
    store = Store(MemoryStore(max_value_bytes=60_000))
    limit = 60_000 - 16 * 1024

    async def produce(size: int) -> str:
        return "x" * size

    async def run(ctx: WorkflowContext, size: int) -> int:
        return len(await ctx.execute_activity(produce, size))

    async with engine_on(store, workflows=[run, collect], activities=[produce]) as engine:
        with pytest.raises(PayloadError, match=f"the limit is {limit:,}") as caught:
            await engine.start(collect, "x" * limit, id="a")
        assert caught.value.too_large
        await engine.start(collect, 1, id="b")
        with pytest.raises(PayloadError):
            await engine.signal("b", "n", "x" * limit)

        assert await engine.execute(run, limit - 2, id="fits") == limit - 2
        with pytest.raises(Exception, match=f"result of activity 'produce' is {limit + 1:,} bytes"):
            await engine.execute(run, limit - 1, id="over")
        await engine.signal("b", "n", "x" * (limit - 4))
        assert await engine.handle("b").result() == ["x" * (limit - 4)]


class Contrary(Guarded):
    """Sees conflicts that it does not have, for the head of one run."""

    async def apply(self, writes: list[Write]) -> list[Written | Conflict]:  # type: ignore[override]
        if any(
            write.key == "run:bad" and write.expected != "absent" and b'"n"' in (write.value or b"") for write in writes
        ):
            return [Conflict()] * len(writes)
        return await super().apply(writes)


@on_skipping_loop
async def test_a_store_that_reports_conflicts_it_does_not_have_is_given_up_on_after_a_while() -> None:
    store = Contrary()
    async with engine_on(store) as engine:
        await engine.start(collect, 1, id="bad")
        with pytest.raises(StoreError, match="conflicts that it does not have"):
            await engine.signal("bad", "n", 1)
        assert await engine.execute(steps, 1, id="good") == [0]


@on_skipping_loop
async def test_a_document_that_somebody_else_changed_is_adopted_and_what_came_is_applied_to_it() -> None:
    store = Store()
    async with engine_on(store, max_cached_runs=10) as engine:
        handle = await engine.start(collect, 2, id="a")
        await engine.signal("a", "n", 1)
        value, _ = store.inner._documents["run:a"]  # noqa: SLF001 - another process, as far as the engine can see
        store.inner._documents["run:a"] = (value, "999999")  # noqa: SLF001
        await engine.signal("a", "n", 2)

        assert await handle.result() == [1, 2]


@on_skipping_loop
async def test_timers_and_other_runs_go_on_while_one_is_stalled() -> None:
    store = Picky(mentions(b"poison"))
    async with engine_on(store) as engine:
        await engine.start(collect, 2, id="bad")
        resting = await engine.start(nap, 30, id="nap")
        with pytest.raises(StoreError):
            await engine.signal("bad", "n", "poison")

        assert await resting.result() == "rested"


@on_skipping_loop
async def test_a_chore_that_is_refused_does_not_stop_the_runs() -> None:
    store = Picky(lambda write: write.key.startswith("index:"))
    async with engine_on(store, checkpoint_commits=3) as engine:
        for number in range(20):
            assert await engine.execute(steps, 1, id=f"r{number}") == [0]
        store.dislikes = lambda _write: False
        for number in range(20, 30):
            await engine.execute(steps, 1, id=f"r{number}")
        await eventually(lambda: documents(store, "index:"))
    async with engine_on(store) as again:
        assert len((await again.list(limit=100)).items) == 30


class Gated(Picky):
    """Holds each call back until the gate is open, and then refuses what it dislikes."""

    def __init__(self, dislikes: Callable[[Write], bool]) -> None:
        super().__init__(dislikes)
        self.gate = asyncio.Event()
        self.gate.set()

    async def apply(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        await self.gate.wait()
        return await super().apply(writes)


@on_skipping_loop
async def test_a_refused_batch_of_runs_and_chores_is_taken_apart_and_the_rest_of_both_is_written() -> None:
    store = Gated(mentions(b"poison"))
    async with engine_on(store) as engine:
        for name in ("ahead", "fine", "bad"):
            await engine.start(collect, 1, id=name)
        before = content(store, "owner:0")["renewals"]
        store.gate.clear()
        ahead = asyncio.create_task(engine.signal("ahead", "n", 0))
        await asyncio.sleep(1)
        words = {"fine": "x", "bad": "poison"}
        both = [asyncio.create_task(engine.signal(name, "n", word)) for name, word in words.items()]
        await asyncio.sleep(4)  # long enough for a renewal to join them
        store.gate.set()
        await ahead
        fine, bad = await asyncio.gather(*both, return_exceptions=True)

        assert any({"run:fine", "run:bad", "owner:0"} <= set(batch) for batch in store.batches)
        assert fine is None
        assert isinstance(bad, StoreError)
        assert content(store, "owner:0")["renewals"] != before
        assert engine.not_ready() == ""
