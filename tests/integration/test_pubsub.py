"""What a real sidecar brings of each kind of message, and what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
import requests
from dapr.proto import api_service_v1, api_v1

from tests.integration.backends import redis_server
from tests.integration.beside import Beside
from tests.integration.invocation import invoke_as_other_sidecar
from tests.integration.processes import until
from tests.integration.pubsub import (
    CLOUD_EVENT,
    RESILIENCY,
    Publisher,
    bulk_entry,
    left_over,
    redis_pubsub,
    redis_state,
    signal_event,
)
from tests.integration.sidecar import Sidecar, Text

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

FOREIGN = [
    {
        "topic": "payments",
        "workflow_id": "pay-{data.order.id}",
        "signal": "paid",
        "start": "payment",
        "sequence": "{sequence}",
    }
]
SUBSCRIBED_TO_MORE = """
apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata: {name: raw}
spec:
  pubsubname: pubsub
  topic: raw-signals
  routes: {default: /dapr/pubsub/workflow-signals}
  metadata: {rawPayload: "true"}
  bulkSubscribe: {enabled: true, maxMessagesCount: 100, maxAwaitDurationMs: 10}
---
apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata: {name: stray}
spec:
  pubsubname: pubsub
  topic: stray
  routes: {default: /dapr/pubsub/stray/topic}
  bulkSubscribe: {enabled: true, maxMessagesCount: 100, maxAwaitDurationMs: 10}
"""


@dataclass(frozen=True, slots=True)
class World:
    """A service beside a sidecar that all tests here share; each has runs of its own."""

    service: Beside
    sidecar: Sidecar
    publisher: Publisher
    redis_port: int

    def dead(self, id: str) -> dict[str, Any]:
        """Wait for the dead letter of a message."""
        found: list[dict[str, Any]] = []

        def is_dead() -> bool:
            found[:] = [each for each in self.service.dead_letters() if id in json.dumps(each["value"])]
            return bool(found)

        until(is_dead, f"{id} is dead")
        assert len(found) == 1
        return found[0]

    def holds(self, workflow_id: str, count: int) -> None:
        """Wait until so many messages are held for a run."""
        until(
            lambda: len([each for each in self.service.held() if each["workflow_id"] == workflow_id]) == count,
            f"{count} messages are held for {workflow_id}",
        )

    def is_done(self, topic: str = "workflow-signals") -> None:
        """Wait until the broker has nothing left of a topic."""
        until(lambda: set(left_over(self.redis_port, topic).values()) == {(0, 0)}, f"all of {topic} is done")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    server, port = redis_server(folder)
    service = Beside(folder / "service")
    resources = (redis_state(port), redis_pubsub(port), RESILIENCY, Text("more", SUBSCRIBED_TO_MORE))
    sidecar = Sidecar(folder, *resources, app_id="holdfast", app_port=service.port)
    try:
        server.start()
        sidecar.start()
        service.start(sidecar, topics=json.dumps(FOREIGN)).ready()
        until(lambda: len(subscriptions(sidecar)) == 6, "the sidecar has subscribed")
        yield World(service, sidecar, Publisher(sidecar.http_port), port)
    finally:
        service.stop()
        sidecar.kill()
        server.kill()


def subscriptions(sidecar: Sidecar) -> dict[str, str]:
    """How the sidecar came by each of its topics."""
    found = requests.get(f"http://127.0.0.1:{sidecar.http_port}/v1.0/metadata", timeout=30).json()
    return {each["topic"]: each["type"] for each in found.get("subscriptions", [])}


# What comes in which shape.


def test_the_sidecar_subscribes_to_what_the_service_tells_it_and_to_what_files_do(world: World) -> None:
    assert subscriptions(world.sidecar) == {
        "workflow-signals": "PROGRAMMATIC",
        "workflow-resume": "PROGRAMMATIC",
        "holdfast-probe": "PROGRAMMATIC",
        "payments": "PROGRAMMATIC",
        "raw-signals": "DECLARATIVE",
        "stray": "DECLARATIVE",
    }


def test_a_cloud_event_keeps_its_attributes_over_http(world: World) -> None:
    world.service.begin("collect", "http", 1)

    world.publisher.publish(signal_event("http", "http-1", {"by": "ann"}))

    assert world.service.result("http") == [{"by": "ann"}]


def test_a_cloud_event_keeps_its_attributes_over_grpc(world: World) -> None:
    world.service.begin("collect", "grpc", 3)
    event = json.dumps(signal_event("grpc", "grpc-1", "one")).encode()
    others = [signal_event("grpc", f"grpc-{word}", word) for word in ("two", "three")]

    with grpc.insecure_channel(world.sidecar.address) as channel:
        stub = api_service_v1.DaprStub(channel)  # type: ignore[no-untyped-call]
        stub.PublishEvent(
            api_v1.PublishEventRequest(
                pubsub_name="pubsub", topic="workflow-signals", data=event, data_content_type=CLOUD_EVENT
            ),
            timeout=10,
        )
        entries = [
            api_v1.BulkPublishRequestEntry(
                entry_id=each["id"], event=json.dumps(each).encode(), content_type=CLOUD_EVENT
            )
            for each in others
        ]
        reply = stub.BulkPublishEvent(
            api_v1.BulkPublishRequest(pubsub_name="pubsub", topic="workflow-signals", entries=entries), timeout=10
        )

    assert not reply.failedEntries
    assert sorted(world.service.result("grpc")) == ["one", "three", "two"]


def test_plain_json_that_the_sidecar_wraps_says_in_its_fields_what_it_is_for(world: World) -> None:
    world.service.begin("collect", "plain", 1)

    world.publisher.publish({"workflow_id": "plain", "signal": "n", "payload": [1, None]}, type="application/json")

    assert world.service.result("plain") == [[1, None]]


def test_plain_json_is_known_by_the_id_that_its_publisher_gives_it(world: World) -> None:
    world.service.begin("collect", "named", 2)

    for word in ("one", "one", "two"):
        body = {"workflow_id": "named", "signal": "n", "payload": word}
        world.publisher.publish(body, type="application/json", **{"cloudevent.id": f"named-{word}"})

    assert sorted(world.service.result("named")) == ["one", "two"]


def test_what_is_published_raw_comes_as_it_is(world: World) -> None:
    world.service.begin("collect", "raw", 2)

    world.publisher.publish(
        {"workflow_id": "raw", "signal": "n", "payload": "bare"}, type="application/json", rawPayload="true"
    )
    world.publisher.publish(signal_event("raw", "raw-1", "event"), rawPayload="true")

    assert sorted(world.service.result("raw")) == ["bare", "event"]


def test_a_raw_subscription_brings_events_and_plain_json_too(world: World) -> None:
    world.service.begin("collect", "packed", 3)
    publish = world.publisher.publish

    publish(signal_event("packed", "packed-1", "event"), topic="raw-signals")
    publish(signal_event("packed", "packed-2", "raw event"), topic="raw-signals", rawPayload="true")
    bare = {"workflow_id": "packed", "signal": "n", "payload": "bare"}
    publish(bare, topic="raw-signals", type="application/json", rawPayload="true")
    publish(b"packed is no JSON", topic="raw-signals", type="application/octet-stream", rawPayload="true")

    assert sorted(world.service.result("packed")) == ["bare", "event", "raw event"]
    assert "JSON" in world.dead("packed is no JSON")["reason"]


def test_text_that_is_published_raw_never_leaves_the_sidecar(world: World) -> None:
    world.publisher.publish(b"raw is no JSON", type="text/plain", rawPayload="true")
    world.is_done()

    words = world.sidecar.log.read_text(encoding="utf-8")
    assert "error deserializing cloudevent" in words or "invalid character" in words
    assert not [each for each in world.service.dead_letters() if each["value"] == "raw is no JSON"]


def test_binary_content_is_json_in_base64(world: World) -> None:
    world.service.begin("collect", "binary", 1)
    event = signal_event("binary", "binary-1", None, data_base64="eyJhIjoxfQ==")
    del event["data"]

    world.publisher.publish(event)

    assert world.service.result("binary") == [{"a": 1}]


def test_traces_of_any_kind_do_no_harm(world: World) -> None:
    world.service.begin("collect", "traced", 2)

    world.publisher.publish(signal_event("traced", "traced-1", 1, traceparent=7, tracestate=None))
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    world.publisher.publish(signal_event("traced", "traced-2", 2, traceparent=trace))

    assert sorted(world.service.result("traced")) == [1, 2]


# What is applied, held, dead.


def test_a_duplicate_is_applied_once(world: World) -> None:
    world.service.begin("collect", "twice", 2)
    again = signal_event("twice", "twice-1", "again")

    for _ in range(5):
        world.publisher.publish(again)
    world.publisher.publish_all([again, again, signal_event("twice", "twice-2", "last"), again])

    assert sorted(world.service.result("twice")) == ["again", "last"]
    world.publisher.publish(again)
    world.is_done()
    assert not [each for each in world.service.dead_letters() if each["workflow_id"] == "twice"]


def test_a_cloud_event_without_an_id_is_applied_as_often_as_it_comes(world: World) -> None:
    world.service.begin("collect", "nameless", 2)
    event = signal_event("nameless", "", "again")
    del event["id"]

    world.publisher.publish(event)
    world.publisher.publish(event)

    assert world.service.result("nameless") == ["again", "again"]


def test_a_message_for_a_run_that_has_not_begun_is_held_and_then_applied(world: World) -> None:
    world.publisher.publish_all([signal_event("early", f"early-{number}", number) for number in range(3)] * 2)
    world.holds("early", 3)
    world.is_done()

    world.service.begin("collect", "early", 3)

    assert sorted(world.service.result("early")) == [0, 1, 2]
    world.holds("early", 0)


def test_a_message_for_a_run_that_has_ended_is_dead(world: World) -> None:
    world.service.begin("collect", "ended", 0)
    world.service.result("ended")

    world.publisher.publish(signal_event("ended", "ended-1", "late"))
    world.publisher.publish(signal_event("ended", "ended-1", "late"))

    letter = world.dead("ended-1")
    assert (letter["workflow_id"], letter["topic"]) == ("ended", "workflow-signals")
    assert "completed" in letter["reason"] or "ended" in letter["reason"]


def test_malformed_messages_are_dead_with_a_reason_and_the_rest_of_their_batch_is_applied(world: World) -> None:
    world.service.begin("collect", "mixed", 2)
    bad: dict[str, dict[str, Any]] = {
        "mixed-id": {"workflowid": "no id!"},
        "mixed-name": {"signalname": 7},
        "mixed-sequence": {"sequence": "first"},
        "mixed-source": {"source": "s" * 2_000},
        "mixed-nothing": {"workflowid": None, "signalname": None},
    }
    events = [signal_event("mixed", id, 0, **changes) for id, changes in bad.items()]
    good = [signal_event("mixed", f"mixed-{number}", number) for number in (1, 2)]

    texts = [bulk_entry(100, "mixed-text is no signal", "text/plain", **{"cloudevent.id": "mixed-text"})]
    batch = [bulk_entry(number, event) for number, event in enumerate([good[0], *events, good[1]])]
    world.publisher.publish_entries(batch + texts)

    assert sorted(world.service.result("mixed")) == [1, 2]
    for id in (*bad, "mixed-text"):
        assert world.dead(id)["reason"], id


def test_content_that_is_too_large_to_be_kept_is_dead_and_cut(world: World) -> None:
    world.service.begin("collect", "large", 2)
    world.publisher.publish_all(
        [signal_event("large", "large-0", "x" * 1_500_000), signal_event("large", "large-1", "y" * 900_000)]
    )
    world.publisher.publish(signal_event("large", "large-2", "z"))

    assert sorted(len(each) for each in world.service.result("large")) == [1, 900_000]
    letter = world.dead("x" * 1_000)
    assert letter["truncated"]
    assert "large" in letter["reason"] or "bytes" in letter["reason"]


def test_a_topic_that_is_not_mapped_is_answered_and_dead_and_never_404(world: World) -> None:
    world.publisher.publish(signal_event("stray", "stray-1", 1), topic="stray")

    assert "not mapped" in world.dead("stray-1")["reason"]
    world.is_done("stray")


# Order, and the topics of others.


def test_numbered_messages_are_applied_in_order_though_bulk_publish_scrambles_them(world: World) -> None:
    count = 300
    world.service.begin("collect", "ordered", count)
    events = [signal_event("ordered", f"o-{number}", number, sequence=str(number)) for number in range(1, count + 1)]

    for first in range(0, count, 100):
        world.publisher.publish_all(events[first : first + 100][::-1])

    assert world.service.result("ordered") == list(range(1, count + 1))


def test_a_message_under_the_number_of_another_is_dead_and_its_duplicate_is_not(world: World) -> None:
    world.service.begin("collect", "renumbered", 2)
    first, again = (signal_event("renumbered", name, name, sequence="1") for name in ("first-1", "again-1"))
    world.publisher.publish(first)
    world.is_done()

    world.publisher.publish(first)
    world.publisher.publish(again)

    assert "number 1 of source 'tests'" in world.dead("again-1")["reason"]
    world.publisher.publish(signal_event("renumbered", "second-1", "second", sequence="2"))
    assert world.service.result("renumbered") == ["first-1", "second"]


def test_the_topic_of_another_team_starts_a_run_and_signals_it(world: World) -> None:
    order = {"order": {"id": 7}, "amount": 12}
    events = [
        {**signal_event("", f"payment-{number}", {**order, "part": number}), "sequence": number} for number in (1, 2)
    ]
    for event in events:
        del event["workflowid"], event["signalname"]

    world.publisher.publish_all([events[1], events[0], events[1]], topic="payments")

    first, second = events[0]["data"], events[1]["data"]
    assert world.service.result("pay-7") == [first, first, second]


# Who may call.


@pytest.mark.parametrize("topic", ["workflow-signals", "holdfast-probe"])
def test_service_invocation_does_not_reach_the_callbacks(world: World, topic: str) -> None:
    answer = invoke_as_other_sidecar(world.sidecar, f"dapr/pubsub/{topic}", signal_event("invoked", "invoked-1", 1))

    assert answer == 403
    assert not [each for each in world.service.held() if each["workflow_id"] == "invoked"]
