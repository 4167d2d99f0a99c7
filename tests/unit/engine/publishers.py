"""A broker that misbehaves on cue, and workflows that publish to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from holdfast import PublishError, WorkflowContext, workflow
from holdfast.ports import Record
from tests.unit.engine.kit import echo

ENDS = ("workflow-result", "workflow-error")


class Broker:
    """Takes records, and notes each call.

    Attributes:
        calls: The records of each call, also of those that failed.
        taken: What it has, the oldest first; a record stands there as often as it came.
        gate: Set while calls are answered.
        raises: Says what a call raises, if anything; before it takes the records.
        raises_after: The same, after it has taken them: the reply is lost.
        refuses: Says why a record is refused, or nothing.
        fails: The same for one that failed.
    """

    def __init__(self) -> None:
        self.calls: list[list[Record]] = []
        self.taken: list[Record] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.at_a_time = 0
        self.most_at_a_time = 0
        self.is_open = False
        self.raises: Callable[[Sequence[Record]], BaseException | None] = lambda _records: None
        self.raises_after: Callable[[Sequence[Record]], BaseException | None] = lambda _records: None
        self.refuses: Callable[[Record], str | None] = lambda _record: None
        self.fails: Callable[[Record], str | None] = lambda _record: None
        self.before: Callable[[], None] = lambda: None

    async def open(self) -> None:
        self.is_open = True

    async def close(self) -> None:
        self.is_open = False

    async def publish(self, records: Sequence[Record]) -> None:
        assert self.is_open
        self.before()
        self.calls.append(list(records))
        self.at_a_time += 1
        self.most_at_a_time = max(self.most_at_a_time, self.at_a_time)
        try:
            await self.gate.wait()
        finally:
            self.at_a_time -= 1
        raised = self.raises(records)
        if raised is not None:
            raise raised
        refused = {record.id: why for record in records if (why := self.refuses(record))}
        failed = {record.id: why for record in records if (why := self.fails(record))}
        self.taken += [record for record in records if record.id not in refused and record.id not in failed]
        raised = self.raises_after(records)
        if raised is not None:
            raise raised
        if refused or failed:
            message = "some are missing"
            raise PublishError(message, failed=failed, refused=refused)

    @property
    def asked_for(self) -> list[Record]:
        """The records that it has and that the code of workflows has asked for."""
        return [record for record in self.taken if record.topic not in ENDS]

    @property
    def ends(self) -> list[tuple[str, str | None, bytes]]:
        """The records that tell of the ends of runs: topic, key and value."""
        return [(record.topic, record.key, record.value) for record in self.taken if record.topic in ENDS]

    @property
    def values(self) -> list[str]:
        """What the records carry that were asked for."""
        return [record.value.decode() for record in self.asked_for]

    def of(self, workflow_id: str) -> list[str]:
        """What the records carry that were asked for under one workflow id."""
        return [record.value.decode() for record in self.asked_for if record.id.startswith(f"{workflow_id}/")]


@workflow(outputs=["numbers", "secret"])
async def counts(ctx: WorkflowContext, count: int = 3) -> int:
    """Publish some numbers at once."""
    for number in range(count):
        ctx.output_json("numbers", number)
    return count


@workflow(outputs=["numbers"])
async def counts_and_works(ctx: WorkflowContext, count: int = 3) -> int:
    """Publish a number before each of some steps."""
    for number in range(count):
        ctx.output_json("numbers", number)
        await ctx.execute_activity(echo, number)
    return count


@workflow(outputs=["numbers", "secret"])
async def on_demand(ctx: WorkflowContext) -> int:
    """Publish what signals bring: a topic and a value."""
    published = 0
    async for topic, value in ctx.signal_channel("publish"):
        if topic == "end":
            break
        ctx.output(topic, value)
        published += 1
    return published


@workflow(outputs=["numbers"])
async def chain_that_counts(ctx: WorkflowContext, number: int = 0) -> int:
    """Publish three numbers in each run of a chain of three."""
    for _ in range(3):
        ctx.output_json("numbers", number)
        number += 1
    if number < 9:
        ctx.continue_as_new(number)
    return number


PUBLISHING = [counts, counts_and_works, on_demand, chain_that_counts]
