"""Clean a hundred readings in parallel, and carry on where some are bad.

The pipeline cuts its input into shards and gives each to a child run. A child cleans its readings, one activity each,
a few at a time. A reading that cannot be cleaned is noted and left out; a shard that fails as a whole is noted too.

    POST /v1/workflows/data_pipeline/runs             {"id": "pipeline-1", "input": ...}   (examples/data/pipeline.json)
    GET  /v1/runs/pipeline-1/queries/progress
    GET  /v1/runs?workflow=clean_shard                the children
"""

import asyncio
from dataclasses import dataclass, field

from pydantic import BaseModel, Field

from holdfast import ActivityError, ChildWorkflowError, NonRetryableError, WorkflowContext, activity, workflow


class Reading(BaseModel):
    """One line of the input: what a sensor wrote down, as it wrote it."""

    sensor: str
    celsius: str


class Pipeline(BaseModel):
    """What to clean, and how much of it at a time."""

    dataset: str
    readings: list[Reading]
    shards: int = Field(default=4, ge=1, le=100)
    at_a_time: int = Field(default=8, ge=1, le=100)


class Shard(BaseModel):
    """The part of one child."""

    dataset: str
    number: int
    readings: list[Reading]
    at_a_time: int


@dataclass
class Summary:
    """What came of it."""

    cleaned: int = 0
    sum_celsius: float = 0.0
    failures: list[str] = field(default_factory=list)

    def add(self, other: "Summary") -> None:
        """Take another part in."""
        self.cleaned += other.cleaned
        self.sum_celsius = round(self.sum_celsius + other.sum_celsius, 2)
        self.failures += other.failures


@dataclass(frozen=True)
class PipelineResult:
    """The report."""

    cleaned: int
    mean_celsius: float | None
    failures: list[str]


@activity
async def clean(reading: Reading) -> float:
    """Turn a reading into degrees. A bad one stays bad, so it is not tried again."""
    try:
        celsius = float(reading.celsius.replace(",", "."))
    except ValueError:
        raise NonRetryableError(f"{reading.sensor}: {reading.celsius!r} is no temperature") from None
    if not -60 <= celsius <= 60:
        raise NonRetryableError(f"{reading.sensor}: {celsius} degrees cannot be")
    return celsius


@workflow
async def clean_shard(ctx: WorkflowContext, shard: Shard) -> Summary:
    """Clean the readings of one shard, at most `at_a_time` of them at once."""
    ctx.set_attributes(dataset=shard.dataset, shard=shard.number)
    places = asyncio.Semaphore(shard.at_a_time)
    summary = Summary()

    async def clean_one(reading: Reading) -> None:
        async with places:
            try:
                celsius = await ctx.execute_activity(clean, reading)
            except ActivityError as error:
                summary.failures.append(error.cause.message)
            else:
                summary.add(Summary(cleaned=1, sum_celsius=celsius))

    await asyncio.gather(*(clean_one(reading) for reading in shard.readings))
    return summary


@workflow
async def data_pipeline(ctx: WorkflowContext, pipeline: Pipeline) -> PipelineResult:
    """Give each shard to a child run, and add up what they report."""
    total = Summary()
    shards_done = 0
    ctx.set_query_handler(
        "progress", lambda: {"shards_done": shards_done, "shards": pipeline.shards, "cleaned": total.cleaned}
    )
    ctx.set_attributes(dataset=pipeline.dataset, state="running")

    async def run_shard(number: int) -> None:
        nonlocal shards_done
        readings = pipeline.readings[number :: pipeline.shards]
        shard = Shard(dataset=pipeline.dataset, number=number, readings=readings, at_a_time=pipeline.at_a_time)
        try:
            total.add(await ctx.execute_child(clean_shard, shard))
        except ChildWorkflowError as error:
            total.failures.append(f"shard {number}: {error.cause.message}")
        shards_done += 1

    await asyncio.gather(*(run_shard(number) for number in range(pipeline.shards)))
    ctx.set_attributes(state="done", failures=len(total.failures))
    mean = round(total.sum_celsius / total.cleaned, 2) if total.cleaned else None
    return PipelineResult(total.cleaned, mean, sorted(total.failures))


workflows = (data_pipeline, clean_shard)
activities = (clean,)
