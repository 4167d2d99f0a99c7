"""Threads through a real sidecar and Redis: other services start them, answer them and hear how they end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from holdfast.core.threads import thread_id
from tests.integration.beside import Beside
from tests.integration.conftest import Ship, StartSidecar
from tests.integration.listener import Listener
from tests.integration.processes import Backend, until
from tests.integration.pubsub import redis_pubsub
from tests.integration.shipped import ON_REDIS, redis_at
from tests.integration.sidecar import Sidecar

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

KEY = "street 7/ü"


class World:
    """Another service with a sidecar of its own: it publishes, and hears questions and results.

    Attributes:
        questions: What was asked.
        results: How threads have ended.
    """

    def __init__(self, sidecar: Sidecar, questions: Listener, results: Listener) -> None:
        self._url = f"http://127.0.0.1:{sidecar.http_port}/v1.0/publish/pubsub/"
        self.questions = questions
        self.results = results

    def publish(self, body: str, type: str = "text/plain", topic: str = "workflow-resume", **metadata: str) -> None:
        found = requests.post(
            self._url + topic,
            data=body.encode(),
            headers={"Content-Type": type},
            params={f"metadata.{name.replace('_', '.')}": value for name, value in metadata.items()},
            timeout=30,
        )
        assert found.status_code == 204, found.text

    def event(self, id: str, data: Any, **attributes: str) -> None:  # noqa: ANN401 - any JSON value
        """Publish a CloudEvent."""
        fields = {"specversion": "1.0", "id": id, "source": "shop", "type": "t", "data": data, **attributes}
        self.publish(json.dumps(fields), "application/cloudevents+json")

    def asked(self) -> dict[str, Any]:
        """Wait for the one question, and give it."""
        until(lambda: self.questions.heard, "it asks")
        ((_, question),) = dict(self.questions.heard).items()
        found: dict[str, Any] = question
        return found

    def told(self, count: int = 1) -> list[Any]:
        """Wait until so many threads have ended, and give their results."""
        until(lambda: len(self.results.ids()) >= count, "they have ended")
        return list(dict(self.results.heard).values())


@pytest.fixture
def world(own_redis: Backend, ship: Ship, start_sidecar: StartSidecar, service: Beside) -> Iterator[World]:
    _, port = own_redis
    pubsub = redis_pubsub(port)
    sidecar = ship(*ON_REDIS, instead=redis_at(port), app_port=service.port)
    threads = {"workflows": "tests.integration.thread_flows", "resume_entry": "survey", "scheduler": "true"}
    service.start(sidecar, publisher="dapr:pubsub", **threads).ready()
    listening = start_sidecar(pubsub, app_id="listener")
    with (
        Listener(listening, "pubsub", "questions") as questions,
        Listener(listening, "pubsub", "workflow-result") as ends,
    ):
        yield World(start_sidecar(pubsub, app_id="shop"), questions, ends)


def test_a_cloud_event_starts_a_thread_one_answers_it_and_its_result_is_heard(world: World, service: Beside) -> None:
    for _ in range(2):
        world.event("start-1", 'new:"Tea?"', workflowid=KEY)
    asked = world.asked()
    assert asked["thread"] == KEY
    for _ in range(2):
        world.event("answer-1", {"ref": asked["ref"], "value": {"yes": True}}, workflowid=KEY)

    assert world.told() == [{"yes": True}]
    assert service.result(thread_id(KEY)) == {"yes": True}
    assert list(service.dead_letters()) == []


def test_plain_text_does_where_the_sidecar_is_told_the_key(world: World, service: Beside) -> None:
    """The sidecar makes a CloudEvent of the text, and lets its publisher give it a subject."""
    world.publish('init:"Coffee?"', cloudevent_subject=KEY)
    asked = world.asked()
    world.publish(json.dumps({"ref": asked["ref"], "value": "black"}), cloudevent_subject=KEY)

    assert world.told() == ["black"]
    assert list(service.dead_letters()) == []


def test_a_json_body_answers_a_ref(world: World) -> None:
    world.publish('new:"Tea?"', cloudevent_subject=KEY)
    answer = {"ref": world.asked()["ref"], "value": [1, None]}
    world.publish(json.dumps(answer), "application/json", cloudevent_subject=KEY)

    assert world.told() == [[1, None]]


def test_an_answer_may_come_first_and_a_record_without_a_key_is_a_dead_letter(world: World, service: Beside) -> None:
    world.event("early", {"ref": "mail", "value": "first"}, workflowid=KEY)
    world.publish('new:"to whom?"')
    until(lambda: service.held() and list(service.dead_letters()), "one is held and one is dead")
    world.event("start", "new:1", workflowid=KEY, workflow="mailbox")

    assert world.told() == [["first"]]
    (letter,) = service.dead_letters()
    assert "thread key must not be empty" in letter["reason"]


def test_what_a_workflow_writes_to_the_topic_comes_back_through_the_broker(world: World, service: Beside) -> None:
    service.begin("relay", "relay-1", KEY)
    until(lambda: service.get("/v1/dead-letters")["items"] or world.questions.heard, "the survey has no use for 3")
    (letter,) = service.dead_letters()
    assert "input of workflow 'survey'" in letter["reason"]

    world.event("start", "new:3", workflowid=KEY, workflow="mailbox")
    assert world.told() == [[0, 1, 2]], "what came too early was held"


def test_a_timer_of_the_schedulers_topic_rings_through_the_broker(world: World, service: Beside) -> None:
    world.event("start", "new:200", workflowid=KEY, workflow="patient")

    assert world.told() == ["rang"]
    assert list(service.dead_letters()) == []


def test_a_thread_goes_on_after_the_service_was_killed(world: World, service: Beside) -> None:
    world.event("start-1", 'new:"Tea?"', workflowid=KEY)
    asked = world.asked()
    assert service.process is not None
    service.process.stop()
    world.event("answer-1", {"ref": asked["ref"], "value": "yes"}, workflowid=KEY)
    service.supervise()

    assert world.told() == ["yes"]
    assert service.result(thread_id(KEY)) == "yes"
