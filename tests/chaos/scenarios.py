"""What the world outside does while threads run: it starts them, and answers what they emit."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

DEMOS = "examples.kafka_workflow"
_OWN_REF = re.compile(r"\b[a-z2-7]{10}:")
"""Where the id of a ref begins, when it is not the author's own: it differs from run to run."""


class Emitted(NamedTuple):
    topic: str
    key: str
    value: str

    def without_chance(self) -> Emitted:
        """Leave out what differs from run to run."""
        return Emitted(self.topic, _OWN_REF.sub("*:", self.key), _OWN_REF.sub("*:", self.value))


Reply = tuple[str, str]
"""Key and value of a record for ``workflow-resume``."""


@dataclass(frozen=True)
class Scenario:
    """A demo, and its world.

    Attributes:
        module: The demo.
        begins: The first records.
        replies: What follows from each record that is emitted.
        ends: How many records there are of each result, so that a scenario that ends too early is found.
    """

    module: str
    begins: Sequence[Reply]
    replies: Callable[[Emitted], Iterable[Reply]]
    ends: tuple[str, ...]


def answer(key: str, ref: str, **answer: object) -> Reply:
    return key, json.dumps({"ref": ref, **answer})


def fire(address: str) -> Reply:
    """Do what a scheduler does when the time of an address has come."""
    key, _, value = address.partition("|")
    return key, value


def _booked(emitted: Emitted) -> Iterable[Reply]:
    if emitted.topic.startswith("saga-reserve-"):
        yield answer(emitted.key, emitted.value)


def _partly_booked(emitted: Emitted) -> Iterable[Reply]:
    """The flight has no place, and the time is over then."""
    if emitted.topic in {"saga-reserve-car", "saga-reserve-hotel"}:
        yield answer(emitted.key, emitted.value)
    if emitted.topic == "workflow-scheduler" and emitted.value != "0":
        yield fire(emitted.key)


TRIP = f"{DEMOS}.workflow_trip_booking_saga"

SCENARIOS = {
    "a trip is booked": Scenario(TRIP, [("trip 1", "new:{}")], _booked, ("workflow-result",)),
    "a trip takes too long": Scenario(TRIP, [("trip 1", "new:{}")], _partly_booked, ("workflow-error",)),
}
