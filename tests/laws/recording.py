"""Running a case for real, on an engine whose time stands still while anybody is busy, and keeping its histories."""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from holdfast import ActivityContext, Engine, HoldfastError
from holdfast.core.definitions import ActivityDefinition
from holdfast.stores import MemoryStore
from tests.laws.case import Case, Story
from tests.play import Code
from tests.unit.engine.kit import LoopClock, SkippingLoop, counter, engine_on
from tests.unit.engine.stores import content, documents

_LAGS = (0, 0, 1, 1, 2, 3, 5)
_AFTERMATH_SECONDS = 60


def record(case: Case, seed: int = 0, **options: Any) -> tuple[Story, ...]:  # noqa: ANN401 - those of an engine
    """Run a case once.

    Args:
        case: What to run.
        seed: Decides how long each activity takes, so in which order those end that run at the same time.
        options: Of the engine.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.dict(os.environ, HOLDFAST_EXAMPLES_LEDGER=str(Path(folder) / "ledger.jsonl")),
        asyncio.Runner(loop_factory=SkippingLoop, debug=False) as runner,
    ):
        return runner.run(_record(case, seed, {**case.options, **options}))


async def _record(case: Case, seed: int, options: dict[str, Any]) -> tuple[Story, ...]:
    store = MemoryStore()
    fraction = random.Random(seed).random()
    engine = engine_on(
        store,
        workflows=case.workflows,
        activities=case.activities,
        clock=LoopClock(),
        ids=counter("id"),
        chance=lambda: fraction,
        **options,
    )
    for activity in case.activities:
        engine.replace_activity(_lagging(activity, seed))
    async with engine:
        handle = await engine.start(case.workflow, case.input, id=case.name, timeout=case.timeout)
        outside = asyncio.create_task(_do_deeds(engine, case))
        with suppress(HoldfastError, TimeoutError):
            await handle.result(timeout=case.within)
        await asyncio.sleep(_AFTERMATH_SECONDS)
        await outside
        return tuple([Story.of(case, await engine.history(id, run_id=run_id)) for id, run_id in _all_runs(store)])


def _lagging(activity: Code, seed: int) -> ActivityDefinition:
    """Let an activity take a while, which follows from the seed and the call alone; nothing runs on a thread."""
    real = ActivityDefinition.of(activity)

    async def invoke(raw: bytes, context: ActivityContext | None) -> Any:  # noqa: ANN401 - whatever it gives
        assert context is not None
        lag = random.Random(f"{seed}/{context.workflow_id}/{context.activity_id}/{context.attempt}").choice(_LAGS)
        await asyncio.sleep(lag)
        answer = real.invoke(raw, context)
        return await answer if real.is_async else answer

    return replace(real, is_async=True, wants_context=True, invoke=invoke)


async def _do_deeds(engine: Engine, case: Case) -> None:
    """Do what is due, one thing after the other at each instant; what comes too late is refused, and that is fine."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    waiting: list[asyncio.Task[None]] = []
    for at, act in case.deeds:
        await asyncio.sleep(began + at - loop.time())
        waiting.append(asyncio.create_task(_do(act(engine, case.name))))
    await asyncio.gather(*waiting)


async def _do(what: Awaitable[Any]) -> None:
    with suppress(HoldfastError):
        await what


def _all_runs(store: MemoryStore) -> list[tuple[str, str]]:
    """List every run there is, as workflow id and run id."""
    heads = [content(store, key) for prefix in ("run:", "past:") for key in documents(store, prefix)]
    return sorted((str(head["id"]), str(head["run_id"])) for head in heads)
