"""Starts that come more than once: the same request again, and a signal that brings its run along."""

from typing import Any

import pytest

from holdfast import PayloadError, RequestConflictError, WorkflowAlreadyStartedError, WorkflowNotFoundError
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import collect, engine_on, on_skipping_loop, parked, steps


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
