"""A store that does not answer: the same bytes are tried again until one outcome is proved; nothing is done before."""

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.ports import Guard
from tests.unit.engine.kit import collect, engine_on, eventually, on_skipping_loop, parked, steps, types_of
from tests.unit.engine.stores import Unsure, content, documents

GUARDS: list[tuple[Guard, bool]] = [("key", True), ("key", False), ("batch", True), ("none", True)]
SEVEN = [
    "workflow_started", "activity_started", "activity_completed", "activity_started", "activity_completed",
    "activity_started", "activity_completed", "workflow_completed",
]  # fmt: skip


@pytest.mark.parametrize(("guard", "atomic"), GUARDS)
@pytest.mark.parametrize("outcome", ["lost", "applied"])
@on_skipping_loop
async def test_every_write_may_go_unanswered_and_each_step_happens_once(
    guard: Guard, outcome: str, *, atomic: bool
) -> None:
    calls = 0

    async def echo(value: int) -> int:
        nonlocal calls
        calls += 1
        return value

    store = Unsure(itertools.cycle([outcome, "ok"]), guard, atomic=atomic)
    async with engine_on(store, activities=[echo]) as engine:
        handle = await engine.start(steps, 3, id="a")

        assert await handle.result() == [0, 1, 2]
        assert await types_of(engine, "a") == SEVEN

    assert calls == 3


@pytest.mark.parametrize(("guard", "atomic"), GUARDS)
@on_skipping_loop
async def test_the_retry_is_byte_for_byte_the_same(guard: Guard, *, atomic: bool) -> None:
    store = Unsure((), guard, atomic=atomic)
    async with engine_on(store) as engine:
        store.sent.clear()
        store.plan = iter(["lost", "lost", "applied", "lost"])

        await engine.start(steps, 0, id="a")
        first = store.sent[:5]

    assert len(set(first)) == 1


@on_skipping_loop
async def test_nothing_is_acknowledged_or_dispatched_before_it_is_durable() -> None:
    ran: list[int] = []

    async def echo(value: int) -> int:
        ran.append(value)
        return value

    store = Unsure()
    async with engine_on(store, activities=[echo]) as engine:
        store.plan = itertools.repeat("lost")
        starting = asyncio.create_task(engine.start(steps, 1, id="a"))
        await asyncio.sleep(60)
        assert not starting.done()
        assert ran == []
        assert documents(store, "run:") == {}
        assert engine.not_ready().startswith("the store does not answer: ")

        store.plan = iter(())
        handle = await starting
        assert await handle.result() == [0]
        assert engine.not_ready() == ""


@on_skipping_loop
async def test_an_outage_freezes_runs_and_fails_none() -> None:
    store = Unsure()
    async with engine_on(store) as engine:
        handles = [await engine.start(collect, 2, id=f"r{n}") for n in range(20)]
        store.plan = itertools.repeat("lost")
        sent = [asyncio.create_task(handle.signal("n", 1, id=f"s{handle.id}")) for handle in handles]
        await asyncio.sleep(600)
        assert not any(task.done() for task in sent)

        store.plan = iter(())
        await asyncio.gather(*sent)
        for handle in handles:
            await handle.signal("n", 2)
        assert [await handle.result() for handle in handles] == [[1, 2]] * 20


@on_skipping_loop
async def test_what_comes_during_an_outage_waits_its_turn_and_one_batch_is_in_flight() -> None:
    store = Unsure()
    async with engine_on(store) as engine:
        await engine.start(collect, 3, id="a")
        store.batches.clear()
        store.plan = iter(["lost"] * 5)
        first = asyncio.create_task(engine.signal("a", "n", 0))
        await eventually(lambda: store.batches)
        await asyncio.gather(first, *(engine.signal("a", "n", number) for number in (1, 2)))

        assert await engine.handle("a").result() == [0, 1, 2]
        heads = [batch for batch in store.batches if "run:a" in batch]
        assert len(heads) == 7  # six tries of the first, and one more for all that came meanwhile


@on_skipping_loop
async def test_a_retry_pauses_as_long_as_the_store_asks_for() -> None:
    store = Unsure()
    async with engine_on(store) as engine:
        loop = asyncio.get_running_loop()
        store.plan = iter(["lost"] * 20)
        before = loop.time()
        await engine.start(steps, 0, id="a")
        assert 20 < loop.time() - before < 120  # it backs off: hundreds of calls would hammer the store


@pytest.mark.parametrize("outcomes", [["applied", "ok"], ["applied", "ok", "ok"]])
@on_skipping_loop
async def test_a_checkpoint_whose_answer_is_lost_is_finished_and_others_follow(outcomes: list[str]) -> None:
    store = Unsure()
    async with engine_on(store, checkpoint_commits=5) as engine:
        store.plan = itertools.cycle(outcomes)
        for number in range(40):
            await engine.execute(steps, 0, id=f"r{number}")
        await engine.settled()
        newest = content(store, "checkpoint:0")["seq"]
        assert isinstance(newest, int)
        assert newest > 30
        assert len(documents(store, "commit:0:")) < 20


@on_skipping_loop
async def test_the_sweep_of_a_purge_whose_answer_is_lost_comes_to_its_end() -> None:
    store = Unsure()
    async with engine_on(store) as engine:
        await engine.execute(steps, 40, id="a")
        store.plan = itertools.cycle(["applied", "ok"])
        await engine.purge("a")
        await engine.settled()
        await eventually(lambda: not documents(store, "page:"))
        await engine.settled()
        assert content(store, "run:a")["pages"] == 0


@on_skipping_loop
async def test_taking_ownership_survives_a_lost_answer() -> None:
    for outcome in ("lost", "applied"):
        store = Unsure([outcome, outcome])
        async with engine_on(store) as engine:
            assert await engine.execute(steps, 1) == [0]
        assert content(store, "owner:0")["released"] is True


@settings(max_examples=40)
@given(
    plan=st.lists(st.sampled_from(["ok", "ok", "lost", "applied"]), max_size=40),
    setup=st.sampled_from(GUARDS),
)
def test_whatever_goes_unanswered_each_signal_counts_once(plan: list[str], setup: tuple[Guard, bool]) -> None:
    @on_skipping_loop
    async def run() -> None:
        store = Unsure(plan, setup[0], atomic=setup[1])
        async with engine_on(store) as engine:
            handles = [await engine.start(collect, 4, id=f"r{n}") for n in range(3)]
            await asyncio.gather(*(h.signal("n", n, id=f"{n}") for h in handles for n in range(4) for _ in range(2)))
            assert [await handle.result() for handle in handles] == [[0, 1, 2, 3]] * 3
        async with engine_on(store) as again:
            assert [await again.handle(f"r{n}").result() for n in range(3)] == [[0, 1, 2, 3]] * 3

    run()


@on_skipping_loop
async def test_an_outage_is_logged_once_with_its_cause_and_once_when_it_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Unsure()
    async with engine_on(store) as engine:
        store.plan = iter(["lost"] * 5)
        await engine.start(parked, id="a")
        await engine.settled()

    said = [record.getMessage() for record in caplog.records if "the store" in record.getMessage()]
    assert len(said) == 2
    assert said[0].startswith("the store does not answer, and is asked until it does: ")
    assert said[1] == "the store answers again, after 5 calls that failed"
