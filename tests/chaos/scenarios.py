"""What the world outside does while threads run: it starts them, and answers what they emit."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

_OWN_REF = re.compile(r"\b[a-z2-7]{16}:(?=[a-z-]+:[0-9h])")
"""Where the id of a ref begins, when it is not the author's own: it differs from run to run."""


class Emitted(NamedTuple):
    topic: str
    key: str
    value: str

    def without_chance(self) -> Emitted:
        """Leave out what differs from run to run."""
        return Emitted(self.topic, _OWN_REF.sub("*:", self.key), _OWN_REF.sub("*:", self.value))

    @property
    def sets_timer(self) -> bool:
        return self.topic == "workflow-scheduler" and self.value != "0"


class Reply(NamedTuple):
    """A record for ``workflow-resume``.

    Attributes:
        settled: It is sent once the thread waits for none of these refs any more.
    """

    key: str
    value: str
    settled: tuple[str, ...] = ()


Replies = Callable[[Emitted], Iterable[Reply]]
"""What follows from each record that is emitted."""


@dataclass(frozen=True)
class Scenario:
    """A demo, and its world.

    Attributes:
        demo: The demo.
        begins: The first records, of each of so many that play it side by side under keys that begin differently.
        world: Makes who replies to the records of one of them.
        ends: The topics that something has to be on in the end.
        unsettled: The topics of records that depend on the order in which the outside happens to be heard.
    """

    demo: str
    begins: Callable[[str], Sequence[Reply]]
    world: Callable[[str], Replies]
    ends: tuple[str, ...] = ("workflow-result",)
    unsettled: frozenset[str] = frozenset()

    @property
    def module(self) -> str:
        return f"examples.kafka_workflow.{self.demo}"


def answer(key: str, ref: str, value: object = None) -> Reply:
    return Reply(key, json.dumps({"ref": ref, "value": value}))


def new(key: str, value: object) -> Reply:
    return Reply(key, f"new:{json.dumps(value)}")


def fire(address: str) -> Reply:
    """Do what a scheduler does when the time of an address has come."""
    key, _, value = address.partition("|")
    return Reply(key, value)


def _books(_name: str) -> Replies:
    def reply(emitted: Emitted) -> Iterable[Reply]:
        if emitted.topic.startswith("saga-reserve-"):
            yield answer(emitted.key, emitted.value)

    return reply


def _is_late(_name: str) -> Replies:
    """Answer for car and hotel, and then the time is over."""
    ready: Counter[str] = Counter()
    timers: list[str] = []

    def reply(emitted: Emitted) -> Iterable[Reply]:
        if emitted.topic in {"saga-reserve-car", "saga-reserve-hotel"}:
            yield answer(emitted.key, emitted.value)
            ready["parts"] += 1
        if emitted.sets_timer:
            timers.append(emitted.key)
        if timers and ready["parts"] == 2:
            yield fire(timers.pop())

    return reply


def _shops(name: str) -> Replies:
    """Give a command each time the cart has set its timer: it waits for one then."""
    teapot = {"type": "addToCart", "item": {"productId": "teapot", "quantity": 1}}
    owner = {"type": "updateEmail", "email": "owner@example.com"}
    commands = iter([teapot, owner, None, teapot, {"type": "getCart"}, {"type": "checkout"}])

    def reply(emitted: Emitted) -> Iterable[Reply]:
        if emitted.sets_timer:
            command = next(commands)
            yield fire(emitted.key) if command is None else answer(name, "main", command)

    return reply


def _contenders(name: str) -> list[Reply]:
    asked = {"workflow": "oneAtATimeWorkflow", "resourceId": f"{name} lock"}
    return [new(f"{name} {owner}", {**asked, "owner": f"{name} {owner}"}) for owner in ("ann", "ben", "eve")]


def _lets_work(name: str) -> Replies:
    """End the work of whoever has the lock; shut the lock down once all have given it back."""
    released: Counter[str] = Counter()

    def reply(emitted: Emitted) -> Iterable[Reply]:
        if emitted.topic == "temporal-mutex-critical-section":
            yield answer(emitted.key, json.loads(emitted.value)["ref"])
        if emitted.topic == "workflow-scheduler" and emitted.value == "0":
            released["times"] += 1
            if released["times"] == 3:
                yield answer(f"{name} lock", "main", {"type": "shutdown"})

    return reply


def _version(minor: int) -> dict[str, int]:
    return {"major": 1, "minor": minor, "patch": 0}


def _versioned(name: str) -> list[Reply]:
    start = {"workflow": "trip-booking-versioned", "version": _version(0), "kind": "start", "bookingId": name}
    return [new(name, {**start, "payload": {}})]


def _upgrades(name: str) -> Replies:
    """Book a hotel and a flight, upgrade while the car is looked for, and have a taxi instead of it."""
    refs: dict[str, str] = {}

    def reply(emitted: Emitted) -> Iterable[Reply]:
        record = json.loads(emitted.value) if emitted.topic.startswith("versioned-reserve-") else {}
        match record.get("kind"):
            case "car" if record["reservationId"].endswith("v1.1"):
                yield Reply(name, json.dumps({"ref": record["ref"], "error": "car unavailable"}))
            case "hotel" | "taxi":
                refs[record["kind"]] = record["ref"]
                yield answer(name, record["ref"])
            case "flight":
                refs["flight"] = record["ref"]
        if {"hotel", "flight"} <= refs.keys() and "answered" not in refs:
            refs["answered"] = refs["flight"]  # behind the hotel, for what is handed over stands in this order
            yield answer(name, refs["flight"])._replace(settled=(refs["hotel"],))
        if emitted.topic == "versioning-await-upgrade":
            refs["upgrade"] = json.loads(emitted.value)["ref"]
        if {"hotel", "flight", "upgrade"} <= refs.keys() and "asked" not in refs:
            refs["asked"] = refs["upgrade"]
            yield _asks_to_upgrade(name)._replace(key=f"{name} manager", settled=(refs["hotel"], refs["flight"]))
        if emitted.topic == "versioning-handoff":
            yield new(name, json.loads(emitted.value))

    return reply


def _asks_to_upgrade(name: str) -> Reply:
    targets = [{"bookingId": name, "ref": "versioning-upgrade"}]
    command = {"workflow": "trip-booking-versioned", "targetVersion": _version(1), "targets": targets}
    return new(name, {"workflow": "versioning-upgrade-manager", "command": command})


SCENARIOS = {
    "a trip is booked": Scenario("workflow_trip_booking_saga", lambda name: [new(name, {})], _books),
    "a trip takes too long": Scenario(
        "workflow_trip_booking_saga", lambda name: [new(name, {})], _is_late, ends=("workflow-error",)
    ),
    "a cart is reminded of": Scenario(
        "workflow_ecommerce", lambda name: [new(name, {})], _shops, ends=("workflow-result", "ecommerce-reminder")
    ),
    "three need one lock": Scenario(
        "mutex", _contenders, _lets_work, unsettled=frozenset({"temporal-mutex-lock-requested"})
    ),
    "a trip is upgraded": Scenario("workflow_trip_booking_saga_versioned", _versioned, _upgrades),
}
