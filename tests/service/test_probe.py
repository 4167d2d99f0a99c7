"""Finding out whether messages come again: what the probe concludes from what the sidecar does."""

from __future__ import annotations

import json
import queue
from typing import Any

import pytest
import requests

from app.sidecar.batches import Entry
from app.sidecar.probe import Redelivery, RetryProbe
from tests.service.kit import until


class Sidecar:
    """Takes what is published, and brings it when a test says so."""

    def __init__(self) -> None:
        self.published: queue.Queue[Any] = queue.Queue()
        self.is_away = False

    def publish(self, component: str, topic: str, event: object) -> None:
        assert (component, topic) == ("pubsub", "holdfast-probe")
        if self.is_away:
            raise requests.ConnectionError
        self.published.put(event)

    def next(self) -> Entry:
        return Entry("1", "", json.dumps(self.published.get(timeout=30)).encode())


@pytest.fixture
def sidecar() -> Sidecar:
    return Sidecar()


def test_messages_come_again_where_the_probe_does(sidecar: Sidecar) -> None:
    probe = RetryProbe(sidecar, ["pubsub"])
    probe.begin()
    event = sidecar.next()

    assert probe.answer([event]) == ["RETRY"]
    assert probe.answer([event]) == ["SUCCESS"]

    until(lambda: probe.found["pubsub"] is Redelivery.KEPT)
    assert probe.trouble() == ""


def test_messages_are_lost_where_the_probe_does_not_come_again(sidecar: Sidecar) -> None:
    probe = RetryProbe(sidecar, ["pubsub"], patience=0.05)
    probe.begin()

    assert probe.answer([sidecar.next()]) == ["RETRY"]

    until(lambda: probe.found["pubsub"] is Redelivery.LOST)
    assert "inbound resiliency policy" in probe.trouble()


def test_a_probe_of_a_former_sidecar_concludes_nothing_any_more(sidecar: Sidecar) -> None:
    probe = RetryProbe(sidecar, ["pubsub"], patience=0.05)
    probe.begin()
    former = sidecar.next()
    probe.begin()
    present = sidecar.next()

    assert probe.answer([former]) == ["SUCCESS"]
    assert probe.answer([present, present]) == ["RETRY", "SUCCESS"]

    until(lambda: probe.found["pubsub"] is Redelivery.KEPT)


def test_what_is_known_stands_until_there_is_news(sidecar: Sidecar) -> None:
    probe = RetryProbe(sidecar, ["pubsub"], patience=0.05)
    probe.begin()
    probe.answer([sidecar.next()])
    until(lambda: probe.found["pubsub"] is Redelivery.LOST)

    probe.begin()
    event = sidecar.next()
    assert probe.trouble()
    probe.answer([event, event])

    until(lambda: probe.trouble() == "")


@pytest.mark.parametrize("value", [b"{", b"[]", b'{"data":{}}', b'{"data":{"probe":"other"},"id":"x"}'])
def test_the_probe_of_somebody_else_is_done(sidecar: Sidecar, value: bytes) -> None:
    assert RetryProbe(sidecar, ["pubsub"]).answer([Entry("1", "", value)]) == ["SUCCESS"]
