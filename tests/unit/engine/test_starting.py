"""Starting runs: under which id, with what input, and what happens where the id is taken."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from holdfast import (
    InvalidIdError,
    PayloadError,
    RunStatus,
    WorkflowAlreadyStartedError,
    WorkflowContext,
    WorkflowNotFoundError,
    WorkflowTerminatedError,
    workflow,
)
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import engine_on, on_skipping_loop, parked, steps, types_of


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
