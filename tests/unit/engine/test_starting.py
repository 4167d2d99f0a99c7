"""Starting runs: under which id, what happens where it is taken, and the same request twice."""

import asyncio
import contextlib
import gc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from holdfast import (
    Engine,
    InvalidIdError,
    PayloadError,
    RequestConflictError,
    RunStatus,
    StoreError,
    UpdateRejectedError,
    WorkflowAlreadyStartedError,
    WorkflowContext,
    WorkflowNotFoundError,
    WorkflowTerminatedError,
    workflow,
)
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import collect, engine_on, nap, on_skipping_loop, parked, steps, types_of


@dataclass
class Order:
    sku: str
    quantity: int = 1


@workflow(name="order")
async def order(ctx: WorkflowContext, order: Order) -> Order:
    return Order(order.sku, order.quantity + 1)


@on_skipping_loop
async def test_a_run_is_started_by_function_or_name_and_gives_its_typed_result() -> None:
    async with engine_on(workflows=[order]) as engine:
        handle = await engine.start(order, Order("a", 2), id="order-1")

        assert (handle.id, len(handle.run_id) > 0) == ("order-1", True)
        assert await handle.result() == Order("a", 3)
        assert await engine.execute("order", {"sku": "b"}) == Order("b", 2)
        assert await engine.handle("order-1").result() == Order("a", 3)


@on_skipping_loop
async def test_what_a_start_acknowledges_is_durable() -> None:
    store = MemoryStore()
    engine = engine_on(store)
    await engine.open()
    await engine.start(parked, id="a")

    assert "run:a" in store._documents  # noqa: SLF001
    await engine.close()


@pytest.mark.parametrize("bad", ["", "a b", "a/b", "x" * 65, "a\n", "..", "a||b", "ä"])
@on_skipping_loop
async def test_an_id_that_no_store_could_keep_is_refused_by_every_call(bad: str) -> None:
    async with engine_on() as engine:
        calls: list[Any] = [
            lambda: engine.start(parked, id=bad),
            lambda: engine.signal(bad, "n"),
            lambda: engine.signal_with_start(parked, id=bad, signal="n"),
            lambda: engine.query(bad, "status"),
            lambda: engine.update(bad, "u"),
            lambda: engine.cancel(bad),
            lambda: engine.terminate(bad),
            lambda: engine.pause(bad),
            lambda: engine.resume(bad),
            lambda: engine.rerun(bad),
            lambda: engine.purge(bad),
            lambda: engine.describe(bad),
            lambda: engine.history(bad),
        ]
        for call in calls:
            with pytest.raises(InvalidIdError):
                await call()
        with pytest.raises(InvalidIdError):
            engine.handle(bad)
        assert (await engine.list()).items == []


@pytest.mark.parametrize(
    ("value", "field", "text"),
    [
        ({"quantity": 1}, "sku", "input of workflow 'order': field 'sku': Field required"),
        ({"sku": "a", "quantity": "x"}, "quantity", "field 'quantity'"),
        (None, "", "input of workflow 'order'"),
        (object(), "", "input of workflow 'order' cannot be written as JSON"),
    ],
)
@on_skipping_loop
async def test_an_input_that_does_not_fit_is_refused_before_anything_is_stored(
    value: Anything, field: str, text: str
) -> None:
    store = MemoryStore()
    async with engine_on(store, workflows=[order]) as engine:
        with pytest.raises(PayloadError, match=text) as caught:
            await engine.start(order, value, id="a")

        assert caught.value.field == field
        assert "run:a" not in store._documents  # noqa: SLF001


@on_skipping_loop
async def test_a_workflow_without_input_takes_none() -> None:
    async def bare(ctx: WorkflowContext) -> int:
        return 1

    async with engine_on(workflows=[bare]) as engine:
        assert await engine.execute(bare) == 1
        with pytest.raises(PayloadError, match=r"it takes none|takes no input"):
            await engine.start(bare, 5)


@on_skipping_loop
async def test_an_unknown_workflow_lists_those_that_are_known() -> None:
    async with engine_on() as engine:
        with pytest.raises(WorkflowNotFoundError, match=r"no workflow 'x' .* known: collect, nap, parked, steps"):
            await engine.start("x")


@on_skipping_loop
async def test_an_open_id_is_refused_by_default() -> None:
    async with engine_on() as engine:
        first = await engine.start(parked, id="a")
        with pytest.raises(WorkflowAlreadyStartedError, match="'a' is already started: it is running") as caught:
            await engine.start(parked, id="a")

        assert (caught.value.workflow_id, caught.value.run_id) == ("a", first.run_id)


@on_skipping_loop
async def test_an_open_run_may_be_used_instead() -> None:
    async with engine_on() as engine:
        first = await engine.start(parked, 1, id="a")
        again = await engine.start(parked, 2, id="a", on_conflict="use_existing")
        await engine.signal("a", "end")

        assert again.run_id == first.run_id
        assert await again.result() == 1


@on_skipping_loop
async def test_an_open_run_may_be_replaced_in_one_commit() -> None:
    async with engine_on() as engine:
        first = await engine.start(parked, 1, id="a")
        commits = engine.stats().commits
        second = await engine.start(parked, 2, id="a", on_conflict="terminate_existing")
        assert engine.stats().commits == commits + 1
        await engine.signal("a", "end")

        assert await second.result() == 2
        with pytest.raises(WorkflowTerminatedError, match="replaced by a new run of the same id"):
            await engine.handle("a", first.run_id).result()
        assert (await engine.describe("a", run_id=first.run_id)).status is RunStatus.TERMINATED


@on_skipping_loop
async def test_an_unknown_policy_is_refused() -> None:
    async with engine_on() as engine:
        with pytest.raises(ValueError, match="on_conflict must be one of fail, use_existing, terminate_existing"):
            await engine.start(parked, on_conflict="ignore")  # type: ignore[arg-type]


@on_skipping_loop
async def test_a_finished_id_may_be_used_again_unless_reuse_is_off() -> None:
    async with engine_on() as engine:
        first = await engine.start(steps, 1, id="a")
        await first.result()
        with pytest.raises(WorkflowAlreadyStartedError, match="was started before: it is completed, and reuse is off"):
            await engine.start(steps, 1, id="a", reuse=False)
        second = await engine.start(steps, 2, id="a")

        assert await second.result() == [0, 1]
        assert await engine.handle("a", first.run_id).result() == [0]
        assert await types_of(engine, "a") != []
        assert [item.run_id for item in (await engine.list()).items] == [second.run_id]


@pytest.mark.parametrize("apart", [False, True])
@on_skipping_loop
async def test_of_many_starts_of_one_id_one_makes_the_run(*, apart: bool) -> None:
    async with engine_on() as engine:
        starts = []
        for _ in range(50):
            starts.append(asyncio.create_task(engine.start(parked, id="a")))
            await asyncio.sleep(0) if apart else None
        answers = await asyncio.gather(*starts, return_exceptions=True)

        assert [isinstance(answer, WorkflowAlreadyStartedError) for answer in answers].count(False) == 1


@on_skipping_loop
async def test_the_same_request_again_gets_the_same_answer() -> None:
    async with engine_on() as engine:
        first = await engine.start(parked, 1, id="a", request_id="req")
        again = await engine.start(parked, 1, id="a", request_id="req")
        await engine.signal("a", "end")
        await first.result()
        later = await engine.start(parked, 1, id="a", request_id="req")

        assert first.run_id == again.run_id == later.run_id
        assert await later.result() == 1


@on_skipping_loop
async def test_the_same_request_again_after_a_restart_gets_the_same_answer() -> None:
    store = MemoryStore()
    async with engine_on(store) as engine:
        first = await engine.start(parked, 1, request_id="req")
    async with engine_on(store) as engine:
        again = await engine.start(parked, 1, request_id="req")

    assert (first.id, first.run_id) == (again.id, again.run_id)


@pytest.mark.parametrize(
    "change",
    [
        {"input": 2},
        {"timeout": 60},
        {"on_conflict": "use_existing"},
        {"workflow": collect},
        {"reuse": False},
    ],
)
@on_skipping_loop
async def test_a_request_id_with_another_body_is_refused(change: dict[str, Anything]) -> None:
    body: dict[str, Any] = {"workflow": parked, "input": 1, "request_id": "req"}
    async with engine_on() as engine:
        await engine.start(**body)
        with pytest.raises(RequestConflictError, match="request 'req' was used before, for another request"):
            await engine.start(**{**body, **change})


@on_skipping_loop
async def test_a_request_that_meets_another_one_on_its_id_is_a_conflict_of_ids() -> None:
    async with engine_on() as engine:
        await engine.start(parked, 1, id="a", request_id="one")
        with pytest.raises(WorkflowAlreadyStartedError):
            await engine.start(parked, 1, id="a", request_id="two")


@on_skipping_loop
async def test_a_request_is_known_again_after_later_requests_for_the_same_id() -> None:
    async with engine_on() as engine:
        first = await engine.start(steps, 1, id="a", request_id="one")
        await first.result()
        second = await engine.start(steps, 2, id="a", request_id="two")
        await second.result()
        again = await engine.start(steps, 1, id="a", request_id="one")

        assert again.run_id == first.run_id
        assert (await engine.describe("a")).run_id == second.run_id


@pytest.mark.parametrize(
    ("bad", "text"), [("", "must not be empty"), ("x" * 257, "has 257 characters; the limit is 256")]
)
@on_skipping_loop
async def test_a_request_id_has_1_to_256_characters(bad: str, text: str) -> None:
    async with engine_on() as engine:
        with pytest.raises(PayloadError, match=text):
            await engine.start(parked, request_id=bad)


@on_skipping_loop
async def test_signal_with_start_starts_once_and_signals_each_time() -> None:
    async with engine_on() as engine:
        handles = [
            await engine.signal_with_start(collect, 3, id="a", signal="n", payload=number, signal_id=f"s{number}")
            for number in (1, 2, 2, 3)
        ]

        assert len({handle.run_id for handle in handles}) == 1
        assert await handles[0].result() == [1, 2, 3]


@on_skipping_loop
async def test_signal_with_start_is_one_commit() -> None:
    async with engine_on() as engine:
        before = engine.stats().commits
        await engine.signal_with_start(collect, 3, id="a", signal="n", payload=1)

        assert engine.stats().commits == before + 1


@on_skipping_loop
async def test_a_signal_with_start_that_cannot_start_signals_nobody() -> None:
    async with engine_on() as engine:
        with pytest.raises(PayloadError):
            await engine.signal_with_start(collect, "many", id="a", signal="n", payload=1)
        with pytest.raises(WorkflowNotFoundError):
            await engine.describe("a")


@on_skipping_loop
async def test_a_handle_follows_the_newest_run_or_keeps_to_its_own() -> None:
    async with engine_on() as engine:
        first = await engine.start(steps, 1, id="a")
        await first.result()
        await engine.start(parked, 5, id="a")
        newest, own = engine.handle("a"), engine.handle("a", first.run_id)

        assert (await newest.describe()).workflow == "parked"
        assert (await own.describe()).workflow == "steps"
        assert await own.status() is RunStatus.COMPLETED
        for call in (own.signal("end"), own.cancel(), own.terminate(), own.query("x"), own.update("x")):
            with pytest.raises(WorkflowNotFoundError, match=r"has ended: its newest run is"):
                await call
        await newest.signal("end")
        assert await newest.result() == 5


@on_skipping_loop
async def test_a_wait_for_a_result_may_end_first_and_the_run_goes_on() -> None:
    async with engine_on() as engine:
        handle = await engine.start(nap, 60)
        with pytest.raises(TimeoutError):
            await handle.result(timeout=5)

        assert await handle.result(timeout=600) == "rested"


async def growth(act: Callable[[], Awaitable[object]]) -> int:
    """Say how many objects are left of doing something 200 times."""

    async def do(times: int) -> int:
        for _ in range(times):
            with contextlib.suppress(TimeoutError, UpdateRejectedError):
                await act()
        gc.collect()
        return len(gc.get_objects())

    return -await do(20) + await do(200)


@on_skipping_loop
async def test_waiting_in_short_bites_for_a_long_time_costs_no_memory() -> None:
    async with engine_on() as engine:
        handle = await engine.start(parked, id="a")

        assert await growth(lambda: handle.result(timeout=0.01)) < 100


@on_skipping_loop
async def test_refused_updates_cost_no_memory() -> None:
    async with engine_on() as engine:
        await engine.start(parked, id="a")

        assert await growth(lambda: engine.update("a", "nothing")) < 100


@on_skipping_loop
async def test_an_engine_is_opened_once_and_closed_any_number_of_times() -> None:
    engine = engine_on()
    with pytest.raises(StoreError, match="the engine is new, not open"):
        await engine.start(steps)
    await engine.open()
    with pytest.raises(StoreError, match="an engine is opened once"):
        await engine.open()
    await engine.close()
    await engine.close()
    with pytest.raises(StoreError, match="the engine is closed, not open"):
        await engine.start(steps)
    assert engine.not_ready() == "the engine is closed"


@on_skipping_loop
async def test_whoever_waits_when_the_engine_closes_is_told() -> None:
    engine = engine_on()
    await engine.open()
    handle = await engine.start(parked, id="a")
    waiting = asyncio.create_task(handle.result())
    await asyncio.sleep(1)
    await engine.close()

    done, _ = await asyncio.wait([waiting], timeout=60)
    waiting.cancel()
    assert done
    assert isinstance(waiting.exception(), StoreError)


def not_async(ctx: WorkflowContext) -> Anything:
    """Not be a workflow."""


def test_an_unknown_option_or_a_bad_function_is_refused_when_the_engine_is_made() -> None:
    with pytest.raises(TypeError, match="colour"):
        Engine(MemoryStore(), colour="red")
    with pytest.raises(TypeError, match="workflow 'not_async' must be an async def"):
        Engine(MemoryStore(), workflows=[not_async])
