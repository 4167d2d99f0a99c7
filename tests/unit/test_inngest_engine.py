"""An engine on a server over HTTP: whatever happens on the way, nothing is lost and nothing is done twice."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from holdfast import ActivityContext, Engine, WorkflowContext, activity
from tests.unit.engine.kit import died, eventually
from tests.unit.inngest_kit import Answer, Environ, Fault, Server, answers, applied_and, hangs, resets, server, store_of

RUNS = 50
WAVES = 4
STEPS = 1 + WAVES
IDS = [f"run-{number}" for number in range(RUNS)]
FAULTS: list[Fault] = [
    answers(500),
    answers(502, b"<html>bad gateway</html>"),
    answers(503, Retry_After="0"),
    answers(429, Retry_After="0.01"),
    answers(401),
    resets,
    hangs,
    applied_and(resets),
    applied_and(hangs),
    applied_and(answers(504)),
]
GAPS = (10, 150)
"""How many calls go well between two that fail, at random: of the batches of fifty documents about half fail."""


class Weather:
    """Does something to some of the calls, one thing after the other.

    Args:
        methods: Calls of these.

    Attributes:
        met: How often each fault was.
    """

    def __init__(self, *methods: str) -> None:
        self._methods = methods
        self.met: Counter[int] = Counter()
        self._faults = itertools.cycle(range(len(FAULTS)))
        self._chance = random.Random(6)
        self._left = 0
        self._lock = threading.Lock()

    def __call__(self, found: Server, environ: Environ) -> Answer | None:
        if environ["REQUEST_METHOD"] not in self._methods:
            return None
        with self._lock:
            self._left -= 1
            if self._left >= 0:
                return None
            self._left = self._chance.randint(*GAPS)
            number = next(self._faults)
            self.met[number] += 1
        return FAULTS[number](found, environ)


def counting(done: Counter[str]) -> Callable[..., Any]:
    @activity
    async def double(number: int, context: ActivityContext) -> int:
        done[context.idempotency_key] += 1
        return 2 * number

    return double


async def steps(ctx: WorkflowContext, number: int) -> Sequence[int]:
    """Take a step, and one more for each number it is told."""
    taken = [await ctx.execute_activity("double", number, result_type=int)]
    for _ in range(WAVES):
        told = await ctx.receive_signal("next", type=int)
        taken.append(await ctx.execute_activity("double", told, result_type=int))
    return taken


def engine_on(found: Server, done: Counter[str]) -> Engine:
    """An engine of the one name that all here have, so that a second one does not wait for the first."""
    store = store_of(found, timeout=0.5, connect_timeout=60)
    activities = [counting(done)]
    return Engine(store, workflows=[steps], activities=activities, instance="one", checkpoint_commits=10)


async def check_all(engine: Engine) -> None:
    for number, workflow_id in enumerate(IDS):
        result = await engine.handle(workflow_id).result(timeout=60)
        assert result == [2 * number, *(2 * (number + wave) for wave in range(WAVES))]
        events = Counter(event.type.value for event in await engine.history(workflow_id))
        assert [events[name] for name in ("activity_started", "activity_completed")] == [STEPS, STEPS]
        assert events["signal_received"] == WAVES
    page = await engine.list(limit=RUNS + 1)
    assert sorted(item.workflow_id for item in page.items) == sorted(IDS)


async def start_all(engine: Engine) -> None:
    await asyncio.gather(*(engine.start(steps, number, id=each) for number, each in enumerate(IDS)))


async def signal_all(engine: Engine) -> None:
    """Tell each run its numbers, one after the other."""
    for wave in range(WAVES):
        told = [engine.signal(each, "next", number + wave, id=f"{wave}-{each}") for number, each in enumerate(IDS)]
        await asyncio.gather(*told)


@pytest.mark.slow
async def test_nothing_is_lost_or_done_twice_when_calls_fail_in_every_way(tmp_path: Path) -> None:
    done: Counter[str] = Counter()
    weather = Weather("GET", "PUT", "DELETE")
    with server(tmp_path, fault=weather) as found:
        async with engine_on(found, done) as engine:
            await start_all(engine)
            await signal_all(engine)
            await check_all(engine)
        found.fault = None
        async with engine_on(found, done) as engine:
            await check_all(engine)

    assert len(weather.met) == len(FAULTS)
    assert sorted(done.values()) == [1] * STEPS * RUNS


@pytest.mark.slow
async def test_a_restart_finds_every_run_by_its_own_documents(tmp_path: Path) -> None:
    done: Counter[str] = Counter()
    weather = Weather("PUT", "DELETE")
    with server(tmp_path, fault=weather) as found:
        first = engine_on(found, done)
        await first.open()
        await start_all(first)
        await eventually(lambda: len(done) >= RUNS)
        await died(first)

        async with engine_on(found, done) as second:
            page = await second.list(limit=RUNS + 1)
            assert sorted(item.workflow_id for item in page.items) == sorted(IDS)
            await signal_all(second)
            await check_all(second)

    assert weather.met
    assert len(done) == STEPS * RUNS


async def test_a_server_that_ends_and_comes_back_is_waited_for(tmp_path: Path) -> None:
    done: Counter[str] = Counter()
    with server(tmp_path) as found:
        port = int(found.url.rpartition(":")[2])
        engine = engine_on(found, done)
        await engine.open()
        await start_all(engine)
    telling = asyncio.create_task(signal_all(engine))
    await eventually(engine.not_ready)
    assert not telling.done()
    with server(tmp_path, port=port):
        await telling
        await check_all(engine)
        await engine.close()

    assert sorted(done.values()) == [1] * STEPS * RUNS


async def test_a_key_that_is_changed_there_first_stops_nothing_for_good(tmp_path: Path) -> None:
    done: Counter[str] = Counter()
    with server(tmp_path) as found:
        async with engine_on(found, done) as engine:
            await start_all(engine)
            found.fault = answers(401)
            telling = asyncio.create_task(signal_all(engine))
            await eventually(engine.not_ready)
            assert "refuses the event key" in engine.not_ready()
            found.fault = None
            await telling
            await check_all(engine)
