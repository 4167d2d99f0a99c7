"""Outputs through a real sidecar and Redis: what arrives, in which order, and what an outage does to it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from holdfast import Engine, PublishError, WorkflowContext, workflow
from holdfast.ports import Record
from holdfast.publishers.dapr import DaprPublisher
from holdfast.stores import SqliteStore
from tests.integration.conftest import StartSidecar
from tests.integration.listener import Listener
from tests.integration.processes import SECONDS, Backend, until
from tests.integration.redis_streams import ask, events_of
from tests.integration.sidecar import Sidecar, StateComponent
from tests.play import Code
from tests.service.kit import Process
from tests.unit.engine.kit import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

APP = "speaker"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
RUNS, EACH = 60, 12


NUMBERS, FORMS, SECRET = "out-numbers", "out-forms", "out-secret"


@workflow(outputs=[NUMBERS])
async def counts(ctx: WorkflowContext, pause: float = 0.0) -> int:
    """Publish some numbers, one after the other, with or without a step in between."""
    for number in range(EACH):
        ctx.output_json(NUMBERS, {"run": ctx.workflow_id, "number": number})
        if pause:
            await ctx.sleep(pause)
    return EACH


@workflow(outputs=[FORMS])
async def forms(ctx: WorkflowContext) -> None:
    ctx.output(FORMS, "0")
    ctx.output(FORMS, b"\xff\x00", key="other")
    ctx.output_json(FORMS, {"big": 12345678901234567, "small": 0.1, "text": "<naïve>"})
    ctx.output(FORMS, "x" * 700_000)


@workflow(outputs=[NUMBERS, SECRET])
async def tells_secrets(ctx: WorkflowContext) -> None:
    ctx.output(SECRET, "s")
    ctx.output_json(NUMBERS, {"run": ctx.workflow_id, "number": 0})


@pytest.fixture
def pubsub(redis: Backend) -> StateComponent:
    _, port = redis
    address = {"redisHost": f"127.0.0.1:{port}", "redisPassword": ""}
    return StateComponent("pubsub", "pubsub.redis", {**address, "protectedTopics": SECRET})


@pytest.fixture
def speaker(start_sidecar: StartSidecar, pubsub: StateComponent) -> Sidecar:
    return start_sidecar(pubsub, app_id=APP)


@pytest.fixture
def streams(redis: Backend) -> Callable[[str], list[dict[str, Any]]]:
    """Give the events of a topic."""
    return partial(events_of, redis[1])


@pytest.fixture(autouse=True)
def fresh(redis: Backend) -> None:
    """Begin each test with empty topics."""
    ask(redis[1], "DEL", NUMBERS, FORMS, SECRET)


def engine_on(folder: Path, sidecar: Sidecar) -> Engine:
    publisher = DaprPublisher(address=sidecar.address, timeout=3.0)
    workflows: list[Code] = [counts, forms, tells_secrets]
    return Engine(SqliteStore(folder / "runs.db"), workflows=workflows, publisher=publisher, instance="one")


async def all_left(engine: Engine) -> None:
    await eventually(lambda: engine.stats().outputs == 0, SECONDS)


def check_numbers(events: list[dict[str, Any]], names: list[str], *, each_once: bool) -> None:
    """Hold what is in the stream against what the runs have asked for: complete, in order, known by its ids."""
    by_id: dict[str, dict[str, Any]] = {}
    for event in events:
        assert by_id.setdefault(event["id"], event)["data"] == event["data"], "one id, two events"
    assert len(events) == len(by_id) or not each_once
    first_seen: dict[str, list[int]] = {name: [] for name in names}
    for event in by_id.values():  # in the order in which each came first
        assert event["subject"] == event["data"]["run"] == event["id"].partition("/")[0]
        first_seen[event["subject"]].append(event["data"]["number"])
    assert first_seen == {name: list(range(EACH)) for name in names}


async def test_every_form_of_value_arrives_as_an_event_of_ours(
    tmp_path: Path, speaker: Sidecar, streams: Callable[[str], list[dict[str, Any]]]
) -> None:
    async with engine_on(tmp_path, speaker) as engine:
        handle = await engine.start(forms, id="f", trace=f"{TRACE} vendor=1")
        await handle.result()
        await all_left(engine)

    events = streams(FORMS)
    assert [event["id"] for event in events] == [f"f/{handle.run_id}/{number}" for number in (1, 2, 3, 4)]
    for event in events:
        assert (event["specversion"], event["type"], event["source"]) == ("1.0", "holdfast.output", APP)
        assert (event["subject"], event["topic"], event["pubsubname"]) == ("f", FORMS, "pubsub")
        assert (event["traceparent"], event["tracestate"]) == (TRACE, "vendor=1")
    assert [event["datacontenttype"] for event in events[:3]] == [
        "text/plain",
        "application/octet-stream",
        "application/json",
    ]
    assert events[0]["data"] == "0"
    assert base64.b64decode(events[1]["data_base64"]) == b"\xff\x00"
    assert events[2]["data"] == {"big": 12345678901234567, "small": 0.1, "text": "<naïve>"}
    assert events[3]["data"] == "x" * 700_000


async def test_outputs_of_many_runs_arrive_once_and_each_runs_own_in_its_order(
    tmp_path: Path, speaker: Sidecar, streams: Callable[[str], list[dict[str, Any]]]
) -> None:
    names = [f"run-{number}" for number in range(RUNS)]
    async with engine_on(tmp_path, speaker) as engine:
        await asyncio.gather(*(engine.execute(counts, id=name) for name in names))
        await all_left(engine)
        commits = engine.stats().commits

    check_numbers(streams(NUMBERS), names, each_once=True)
    assert commits < RUNS * EACH, "outputs share their commits"


async def test_another_application_hears_them(
    tmp_path: Path, speaker: Sidecar, start_sidecar: StartSidecar, pubsub: StateComponent
) -> None:
    names = [f"run-{number}" for number in range(10)]
    with Listener(start_sidecar(pubsub, app_id="listener"), "pubsub", NUMBERS) as listener:
        async with engine_on(tmp_path, speaker) as engine:
            await asyncio.gather(*(engine.execute(counts, id=name) for name in names))
            await eventually(lambda: len(listener.ids()) >= 10 * EACH, SECONDS)

        assert {id for id, _ in listener.heard} == listener.ids()
        assert all(data["run"] == id.partition("/")[0] for id, data in listener.heard)


def has_published(engine: Engine, least: int) -> bool:
    return engine.stats().published >= least


@pytest.mark.parametrize("what", ["sidecar", "redis"])
async def test_nothing_is_lost_and_no_order_changed_when_the_way_is_cut_again_and_again(
    what: str, tmp_path: Path, speaker: Sidecar, redis: Backend, streams: Callable[[str], list[dict[str, Any]]]
) -> None:
    server = speaker if what == "sidecar" else redis[0]
    names = [f"run-{number}" for number in range(RUNS)]
    async with engine_on(tmp_path, speaker) as engine:
        running = [asyncio.create_task(engine.execute(counts, 0.3, id=name)) for name in names]
        for number in range(1, 6):
            await eventually(partial(has_published, engine, number * RUNS * EACH // 8), SECONDS)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        await asyncio.gather(*running)
        await all_left(engine)

    check_numbers(streams(NUMBERS), names, each_once=False)


async def test_what_waits_while_the_sidecar_is_away_is_published_by_the_next_process(
    tmp_path: Path, speaker: Sidecar, streams: Callable[[str], list[dict[str, Any]]]
) -> None:
    names = [f"run-{number}" for number in range(RUNS)]
    async with engine_on(tmp_path, speaker) as engine:
        speaker.kill()
        await asyncio.gather(*(engine.execute(counts, id=name) for name in names))
        description = await engine.describe("run-0")
        assert engine.not_ready() == "", "runs go on"
        assert engine.stats().outputs == RUNS * (EACH + 1), "the record of its end is the last of each run"
    assert f"{EACH + 1} outputs to leave" in description.waiting_for[0]
    assert streams(NUMBERS) == []

    speaker.start()
    async with engine_on(tmp_path, speaker) as engine:
        await all_left(engine)
    check_numbers(streams(NUMBERS), names, each_once=True)


async def test_a_topic_that_the_sidecar_does_not_allow_holds_up_nobody_else(
    tmp_path: Path, speaker: Sidecar, streams: Callable[[str], list[dict[str, Any]]]
) -> None:
    async with engine_on(tmp_path, speaker) as engine:
        await engine.execute(tells_secrets, id="spy")
        await eventually(lambda: engine.stats().stuck, SECONDS)
        await engine.execute(counts, id="honest")
        await eventually(lambda: engine.stats().outputs == 3, SECONDS)
        waits = (await engine.describe("spy")).waiting_for

        assert engine.stats().stuck == 1
        assert f"3 outputs to leave (topic {SECRET!r}: PERMISSION_DENIED: topic {SECRET} is not allowed" in waits[0]
    check_numbers(streams(NUMBERS), ["honest"], each_once=True)
    assert streams(SECRET) == []


async def test_a_component_that_vanishes_and_comes_back_is_an_outage(
    tmp_path: Path, speaker: Sidecar, pubsub: StateComponent, streams: Callable[[str], list[dict[str, Any]]]
) -> None:
    async with engine_on(tmp_path, speaker) as engine:
        speaker.remove(pubsub)
        while await has_component(speaker):
            pass  # the sidecar takes a moment to see that the file is gone
        await engine.execute(counts, id="a")
        await eventually(lambda: engine._parts.runtime.world.publisher_trouble, SECONDS)  # noqa: SLF001
        speaker.add(pubsub)
        await all_left(engine)
    check_numbers(streams(NUMBERS), ["a"], each_once=True)


async def has_component(sidecar: Sidecar) -> bool:
    publisher = DaprPublisher(address=sidecar.address)
    try:
        await publisher.open()
    except PublishError:
        return False
    await publisher.close()
    return True


async def test_a_record_that_comes_twice_has_one_id(
    speaker: Sidecar, streams: Callable[[str], list[dict[str, Any]]]
) -> None:
    publisher = DaprPublisher(address=speaker.address)
    await publisher.open()
    record = Record(FORMS, None, b"1", "a/b/1", "application/json")
    await publisher.publish([record])
    await publisher.publish([record])
    await publisher.close()

    first, second = streams(FORMS)
    assert {name: first[name] for name in ("id", "source", "data")} == {
        name: second[name] for name in ("id", "source", "data")
    }


def test_the_service_publishes_to_the_component_that_its_setting_names(
    speaker: Sidecar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redis: Backend
) -> None:
    monkeypatch.setenv("DAPR_GRPC_PORT", speaker.address.rpartition(":")[2])
    settings = {"publisher": "dapr:pubsub", "workflows": "tests.unit.engine.publishers"}
    service = Process(tmp_path / "service", **settings).ready()
    try:
        body = {"id": "hello", "input": 3}
        started = requests.post(f"{service.url}/v1/workflows/counts/runs?wait=20s", json=body, timeout=30)
        assert started.status_code == 201
        until(lambda: len(events_of(redis[1], "numbers")) == 3, "the events are there")
        assert [event["data"] for event in events_of(redis[1], "numbers")] == [0, 1, 2]
    finally:
        service.stop()
