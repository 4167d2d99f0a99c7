"""Case about traces: a chain of runs that never ends must not be one trace that never ends."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from holdfast import ActivityContext, WorkflowContext
from tests.patch_notes.homes import Home, life

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TURNS = 30
STEPS = 3


async def test_26_each_run_of_a_chain_has_a_trace_and_a_history_of_its_own(home: Home) -> None:
    traces: defaultdict[int, list[str]] = defaultdict(list)

    async def step(turn: int, context: ActivityContext) -> None:
        traces[turn].append(context.traceparent)

    async def turns(ctx: WorkflowContext, turn: int) -> int:
        for _ in range(STEPS):
            await ctx.execute_activity(step, turn)
        if turn == TURNS // 2:
            await ctx.receive_signal("go on")
        return turn if turn == TURNS else ctx.continue_as_new(turn + 1)

    options: dict[str, Any] = {"workflows": [turns], "activities": [step]}
    async with life(home.store(), dies=True, **options) as before:
        first = await before.engine.start(turns, 1, id="a", trace=PARENT)
        await before.settled()
    async with life(home.store(), **options) as after:
        await after.engine.signal("a", "go on")
        assert await after.handle("a").result() == TURNS

        assert [len(set(seen)) for _, seen in sorted(traces.items())] == [1] * TURNS
        own = [seen[0].split("-")[1] for _, seen in sorted(traces.items())]
        assert own[0] == PARENT.split("-")[1]
        assert len(set(own)) == TURNS
        assert (await after.engine.describe("a")).trace_id == own[-1]
        for run_id in (first.run_id, None):
            events = await after.engine.history("a", run_id=run_id)
            assert [event.type.value for event in events].count("activity_completed") == STEPS
