"""A hundred readings are cleaned a few at a time, each once, and the bad ones do no harm."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from examples.data_pipeline import (
    PipelineResult,
    Reading,
    activities,
    clean,
    clean_shard,
    data_pipeline,
    workflows,
)
from holdfast import RunStatus, WorkflowCanceledError
from holdfast.ports import StateStore
from holdfast.stores import SqliteStore
from holdfast.testing import TestEnvironment
from tests.examples.kit import read, replays

BAD = ["S013: 'n/a' is no temperature", "S047: 999.9 degrees cannot be", "S080: '' is no temperature"]


def environment(*, store: StateStore | None = None, drain: float = 10.0) -> TestEnvironment:
    return TestEnvironment(workflows=workflows, activities=activities, store=store, drain=drain)


class Probe:
    """Plays `clean`, and counts."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.at_once = 0
        self.most_at_once = 0

    async def __call__(self, reading: Reading) -> float:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        for _ in range(3):
            await asyncio.sleep(0)
        self.at_once -= 1
        self.done[reading.sensor] += 1
        return await clean(reading)


async def test_a_hundred_readings_are_cleaned_by_four_children(tmp_path: Path) -> None:
    async with environment() as env:
        run = await env.start(data_pipeline, read("pipeline.json"), id="pipeline")

        result = await run.result()

        assert isinstance(result, PipelineResult)
        assert result.cleaned == 97
        assert result.mean_celsius is not None
        assert 18 <= result.mean_celsius <= 24
        assert result.failures == BAD
        children = (await env.engine.list(workflow="clean_shard")).items
        assert [child.status for child in children] == [RunStatus.COMPLETED] * 4
        assert {child.attributes["shard"] for child in children} == {0, 1, 2, 3}
        assert await replays(env, data_pipeline, "pipeline", tmp_path) is RunStatus.COMPLETED
        assert await replays(env, clean_shard, children[0].workflow_id, tmp_path) is RunStatus.COMPLETED


async def test_each_reading_is_cleaned_once_and_never_more_at_once_than_allowed() -> None:
    probe = Probe()
    async with environment() as env:
        env.stub(clean, probe)

        await env.execute(data_pipeline, read("pipeline.json", shards=1, at_a_time=8), id="pipeline")

        assert len(probe.done) == 100
        assert set(probe.done.values()) == {1}
        assert probe.most_at_once == 8


async def test_a_shard_that_fails_as_a_whole_does_not_stop_the_others() -> None:
    reached = asyncio.Event()

    async def hang_at_two(reading: Reading) -> float:
        if reading.sensor == "S002":
            reached.set()
            await asyncio.Event().wait()
        return await clean(reading)

    async with environment() as env:
        env.stub(clean, hang_at_two)
        run = await env.start(data_pipeline, read("pipeline.json"), id="pipeline")
        await reached.wait()
        child = (await env.engine.list(attributes={"shard": 2})).items[0]

        await env.engine.terminate(child.workflow_id, reason="its disk is full")

        result = await run.result()
        assert result.cleaned == 72
        assert result.failures == [*BAD, "shard 2: its disk is full"]


async def test_progress_can_be_asked_for_and_the_pipeline_found_by_its_dataset() -> None:
    async with environment() as env:
        await env.execute(data_pipeline, read("pipeline.json"), id="pipeline")

        assert await env.engine.query("pipeline", "progress") == {"shards_done": 4, "shards": 4, "cleaned": 97}
        page = await env.engine.list(workflow="data_pipeline", attributes={"dataset": "greenhouse", "state": "done"})
        assert [(run.workflow_id, run.attributes["failures"]) for run in page.items] == [("pipeline", 3)]


async def test_cancelling_the_pipeline_cancels_its_children() -> None:
    started = asyncio.Event()

    async def hang(reading: Reading) -> float:
        started.set()
        await asyncio.Event().wait()
        return await clean(reading)

    async with environment() as env:
        env.stub(clean, hang)
        run = await env.start(data_pipeline, read("pipeline.json"), id="pipeline")
        await started.wait()

        await run.cancel()

        with pytest.raises(WorkflowCanceledError):
            await run.result()
        await env.settled()
        children = (await env.engine.list(workflow="clean_shard")).items
        assert {child.status for child in children} == {RunStatus.CANCELED}


async def test_a_restart_in_the_middle_repeats_only_what_had_no_result(tmp_path: Path) -> None:
    half = asyncio.Event()
    before = Probe()
    after = Probe()

    async def stop_half_way(reading: Reading) -> float:
        if before.done.total() >= 50:
            half.set()
            await asyncio.Event().wait()
        return await before(reading)

    async with environment(store=SqliteStore(tmp_path / "runs.db"), drain=0) as env:
        env.stub(clean, stop_half_way)
        await env.start(data_pipeline, read("pipeline.json"), id="pipeline")
        await half.wait()

    async with environment(store=SqliteStore(tmp_path / "runs.db")) as env:
        env.stub(clean, after)
        result = await env.handle("pipeline").result()

        assert result.cleaned == 97
        assert result.failures == BAD
        twice = {sensor for sensor, times in (before.done + after.done).items() if times > 1}
        assert len(before.done | after.done) == 100
        assert len(twice) <= 32, "only readings that were under way may be cleaned again"
