"""Threads beside a real sidecar, killed while they run: together they emit what they emit without a death."""

from __future__ import annotations

import importlib
import json
import os
import random
import re
import signal
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from holdfast.core.definitions import WorkflowDefinition
from tests.chaos.scenarios import SCENARIOS, Emitted, Reply, Scenario
from tests.chaos.threads import World
from tests.integration.beside import Beside
from tests.integration.conftest import Ship, StartSidecar
from tests.integration.processes import Backend, until
from tests.integration.pubsub import Publisher, left_over, redis_pubsub
from tests.integration.redis_streams import events_of
from tests.integration.shipped import ON_REDIS, redis_at

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

NAMES = [f"w{number:02}" for number in range(10)]
"""So many play a scenario side by side."""
OWN_TOPICS = ("workflow-result", "workflow-error", "workflow-resume")
KILLS = int(os.environ.get("CHAOS_THREAD_KILLS", "4"))
SECONDS = 300.0


def canonical(emitted: Emitted) -> Emitted:
    """Leave out what differs from run to run, and how a sidecar writes JSON."""
    plain = emitted.without_chance()
    try:
        return plain._replace(value=json.dumps(json.loads(plain.value), sort_keys=True))
    except ValueError:
        return plain


class Outside:
    """The other services: they hear every record from its stream, and reply by records of their own."""

    def __init__(self, scenario: Scenario, service: Beside, publisher: Publisher, port: int) -> None:
        self.heard: defaultdict[str, Counter[Emitted]] = defaultdict(Counter)
        self._service = service
        self._publisher = publisher
        self._port = port
        module = importlib.import_module(scenario.module)
        declared = {topic for each in module.workflows for topic in WorkflowDefinition.of(each).outputs}
        self._topics = sorted(declared | {*OWN_TOPICS})
        self._worlds = {name: scenario.world(name) for name in NAMES}
        self._known: set[str] = set()
        self._waiting: list[tuple[Reply, str]] = []
        self._unsettled = scenario.unsettled
        for name in NAMES:
            for number, reply in enumerate(scenario.begins(name)):
                self._send(reply, f"begin {name} {number}")

    def look(self) -> None:
        """Hear what is new, and reply to it."""
        for id, emitted in self._new():
            name = next(iter(re.findall(r"w\d\d", emitted.key)))
            if emitted.topic not in self._unsettled:
                self.heard[name][canonical(emitted)] += 1
            self._waiting += [(reply, f"{id} {n}") for n, reply in enumerate(self._worlds[name](emitted))]
        waiting, self._waiting = self._waiting, []
        for reply, id in waiting:
            if self._is_settled(reply):
                self._send(reply, id)
            else:
                self._waiting.append((reply, id))

    def has_heard(self, expected: dict[str, Counter[Emitted]]) -> bool:
        self.look()
        return self.heard == expected

    def _new(self) -> Iterator[tuple[str, Emitted]]:
        for topic in self._topics:
            for event in events_of(self._port, topic):
                if event["type"] == "holdfast.output" and event["id"] not in self._known:
                    self._known.add(event["id"])
                    data = event["data"]
                    value = data if isinstance(data, str) and _is_text(event) else json.dumps(data)
                    yield event["id"], Emitted(topic, event["partitionkey"], value)

    def _is_settled(self, reply: Reply) -> bool:
        if not reply.settled:
            return True
        thread = reply.key.removesuffix(" manager")
        try:
            run = requests.get(f"{self._service.url}/v1/runs/{thread}", timeout=5)
        except requests.RequestException:
            return False
        return run.ok and not any(ref in words for ref in reply.settled for words in run.json()["waiting_for"])

    def _send(self, reply: Reply, id: str) -> None:
        event: dict[str, Any] = {"specversion": "1.0", "type": "world", "source": "world", "id": id}
        event |= {"partitionkey": reply.key, "datacontenttype": "text/plain", "data": reply.value}
        self._publisher.publish(event, topic="workflow-resume")


def _is_text(event: dict[str, Any]) -> bool:
    return str(event.get("datacontenttype", "")).startswith("text/")


@pytest.mark.parametrize("title", SCENARIOS)
def test_kills_at_any_moment_change_nothing_that_is_emitted(  # noqa: PLR0913, PLR0917 - the servers of a kill test
    title: str, tmp_path: Path, own_redis: Backend, ship: Ship, start_sidecar: StartSidecar, service: Beside
) -> None:
    scenario = SCENARIOS[title]
    seed = int(os.environ.get("CHAOS_SEED", random.SystemRandom().randrange(10**9)))
    print(f"seed {seed}")  # noqa: T201 - shown where it fails
    chance = random.Random(seed)
    _, port = own_redis
    sidecar = ship(*ON_REDIS, instead=redis_at(port), app_port=service.port)
    entry = WorkflowDefinition.of(importlib.import_module(scenario.module).workflows[0]).name
    service.start(sidecar, workflows=scenario.module, resume_entry=entry, publisher="dapr:pubsub").ready()
    service.supervise()
    world = start_sidecar(redis_pubsub(port), app_id="world")
    expected = played_without_a_death(scenario, tmp_path)

    outside = Outside(scenario, service, Publisher(world.http_port), port)
    for _ in range(KILLS):
        until_moment(chance.uniform(0.1, 1.0), outside)
        assert service.process is not None
        service.process.send(signal.SIGKILL)
        service.ready()
    until(lambda: outside.has_heard(expected), "all is emitted", SECONDS)
    until(lambda: set(left_over(port).values()) <= {(0, 0)}, "all messages are done", SECONDS)
    outside.look()

    assert outside.heard == expected
    assert list(service.dead_letters()) == []


def played_without_a_death(scenario: Scenario, folder: Path) -> dict[str, Counter[Emitted]]:
    """Play it once on SQLite, and say for each name what has to come out."""
    place = folder / "without"
    place.mkdir()
    once = World(scenario, place, name=NAMES[0]).play()
    return {
        name: Counter(
            {
                canonical(Emitted(*(part.replace(NAMES[0], name) for part in each))): count
                for each, count in once.items()
                if each.topic not in scenario.unsettled
            }
        )
        for name in NAMES
    }


def until_moment(seconds: float, outside: Outside) -> None:
    """Let the outside reply for a while: the moment of the kill is what is drawn."""
    over = threading.Event()
    threading.Timer(seconds, over.set).start()
    while not over.wait(0.01):
        outside.look()
