"""A trip is upgraded while it is booked: nothing is reserved twice, nothing is lost, and no other record comes out."""

import json
from pathlib import Path
from typing import Any

from examples.kafka_workflow.workflow_trip_booking_saga_versioned import entry, workflows
from holdfast import Delivery, RunStatus
from tests.examples.kafka_workflow.kit import ERROR, RESULT, RESUME, SCHEDULER, Emitted, Thread, compact, thread
from tests.examples.kit import replays
from tests.play import Anything

BOOKING = "booking-1"
HOUR = 3_600_000
Record = dict[str, Any]


def version(text: str) -> Record:
    return dict(zip(("major", "minor", "patch"), map(int, text.split(".")), strict=True))


def start(of: str, payload: Record | None = None) -> Record:
    return {
        "workflow": "trip-booking-versioned",
        "version": version(of),
        "kind": "start",
        "bookingId": BOOKING,
        "payload": {"releaseAfterMS": HOUR} if payload is None else payload,
    }


def resource(kind: str, by: str) -> Record:
    reservation = f"{BOOKING}:{kind}:v{by}"
    return {"kind": kind, "reservationId": reservation, "releaseId": f"{BOOKING}:{kind}:{reservation}:release"}


def handed(*kinds: str, source: str = "1.0.0", target: str = "1.1.0", payload: Record | None = None) -> Record:
    left = {"fromVersion": version(source), "toVersion": version(target), "input": start("1.0.0", payload)["payload"]}
    booked = {"booked": [resource(kind, source.removesuffix(".0")) for kind in kinds]}
    return start("1.0.0") | {"version": version(target), "kind": "handoff", "payload": left | booked}


def manager(target: str, *refs: str) -> Record:
    targets = [{"bookingId": BOOKING, "ref": ref} for ref in refs]
    command = {"workflow": "trip-booking-versioned", "targetVersion": version(target), "targets": targets}
    return {"workflow": "versioning-upgrade-manager", "command": command}


class Trip:
    """A booking, and every record that it should have emitted so far."""

    def __init__(self, thread: Thread) -> None:
        self.thread = thread
        self.expected: list[Emitted] = []
        self.refs: dict[str, str] = {}

    async def begins(self, envelope: Record) -> None:
        await self.thread.new(envelope)

    async def asks_for(self, *kinds: str, by: str, upgradable: bool = False) -> None:
        """Check that these and no others have just been asked for."""
        for kind in kinds:
            asked = json.loads((await self.thread.on(f"versioned-reserve-{kind}"))[-1])
            assert asked["ref"] not in self.refs.values()
            self.refs[kind] = asked["ref"]
            self.expects(f"versioned-reserve-{kind}", self.notice(kind, by))
        if upgradable:
            waits = {"ref": "versioning-upgrade", "currentVersion": version("1.0.0")}
            self.expects("versioning-await-upgrade", waits)
        await self.emits()

    def notice(self, kind: str, by: str) -> Record:
        return {"ref": self.refs[kind], **self.given_back(kind, by)}

    def given_back(self, kind: str, by: str) -> Record:
        return {"bookingId": BOOKING, "reservationId": f"{BOOKING}:{kind}:v{by}", "kind": kind}

    async def accepts(self, *kinds: str) -> None:
        for kind in kinds:
            await self.thread.answer(self.refs[kind], {"accepted": True})

    async def is_told_to_upgrade(self, target: str) -> None:
        upgrade = manager(target, "versioning-upgrade")
        await self.thread.send(f"new:{json.dumps(upgrade)}", key="upgrade-1")
        told = {"targetVersion": version(target)}
        dispatched = {"bookingId": BOOKING, "ref": "versioning-upgrade", **told}
        self.expects("versioning-upgrade-dispatch", dispatched)
        self.expects(RESUME, {"ref": "versioning-upgrade", "value": told})
        self.expects(RESULT, {**told, "dispatched": [BOOKING], "skipped": []}, "upgrade-1")

    def expects_release(self, kind: str, *, after: int = HOUR) -> None:
        """Expect that the release of something begins to wait."""
        what = resource(kind, "1.0")
        command = {"bookingId": BOOKING, "resource": what, "delayMS": after}
        begun = {"workflow": "versioning-delayed-release", "command": command}
        self.expects("versioning-release-start", command)
        self.expected.append(self.thread.of(RESUME, f"new:{compact(begun)}", released_by(kind)))
        waits = {"ref": f"versioning-retain:{what['releaseId']}", "bookingId": BOOKING, "releaseId": what["releaseId"]}
        self.expects("versioning-await-retain", waits, released_by(kind))

    async def expects_timers(self, *kinds: str, after: int = HOUR) -> dict[str, str]:
        """Expect the timers of releases, and give their addresses."""
        timers = {}
        for each in await self.thread.emitted():
            for kind in kinds:
                if each.topic == SCHEDULER and each.key.startswith(f"{released_by(kind)}|"):
                    timers[kind] = each.key
        assert set(timers) == set(kinds)
        self.expected += [self.thread.of(SCHEDULER, str(after), timer) for timer in timers.values()]
        return timers

    def expects_retained(self, kind: str, timer: str, *, after: int = HOUR) -> None:
        """Expect that the release of something is told to leave it, and does."""
        what = resource(kind, "1.0")
        told = {"bookingId": BOOKING, "releaseId": what["releaseId"], "reservationId": what["reservationId"]}
        told["kind"] = kind
        self.expects("versioning-release-cancel", told)
        self.expects(RESUME, {"ref": f"versioning-retain:{what['releaseId']}", "value": told}, released_by(kind))
        self.expected.append(self.thread.of(SCHEDULER, "0", timer))
        ended = {"bookingId": BOOKING, "resource": what, "delayMS": after}
        self.expects("versioning-release-retained", ended, released_by(kind))
        self.expects(RESULT, {"retained": what["reservationId"]}, released_by(kind))

    def expects_handoff(self, *kinds: str, payload: Record | None = None) -> None:
        self.expects("versioning-handoff", handed(*kinds, payload=payload))
        booked = [{"kind": kind, "reservationId": f"{BOOKING}:{kind}:v1.0"} for kind in kinds]
        versions = {"fromVersion": version("1.0.0"), "toVersion": version("1.1.0")}
        self.expects(RESULT, {"status": "upgraded", **versions, "booked": booked})

    def expects_confirmed(self, by: str, **parts: Record) -> None:
        self.expects(RESULT, {"version": version(by), "bookingId": BOOKING, **parts})

    def expects(self, topic: str, value: Anything, key: str = BOOKING) -> None:
        self.expected.append(self.thread.json(topic, value, key))

    async def emits(self) -> None:
        await self.thread.emits(*self.expected)


def released_by(kind: str) -> str:
    return f"versioning-release:{resource(kind, '1.0')['releaseId']}"


async def test_a_minor_upgrade_hands_over_what_is_booked_and_takes_a_taxi(tmp_path: Path) -> None:
    async with thread(workflows, key=BOOKING) as booking:
        trip = Trip(booking)
        await trip.begins(start("1.0.0"))
        await trip.asks_for("hotel", "flight", "car", by="1.0", upgradable=True)
        await trip.accepts("hotel", "flight")

        await trip.is_told_to_upgrade("1.1.0")
        trip.expects("versioned-cancel-car", trip.notice("car", "1.0"))
        trip.expects_release("hotel")
        trip.expects_release("flight")
        timers = await trip.expects_timers("hotel", "flight")
        trip.expects_handoff("hotel", "flight")
        await trip.emits()
        assert await replays(booking.env, entry, BOOKING, tmp_path) is RunStatus.COMPLETED

        await trip.begins(json.loads(await only_handoff(booking)))
        trip.expects_retained("hotel", timers["hotel"])
        trip.expects_retained("flight", timers["flight"])
        await trip.asks_for("car", by="1.1")

        await booking.reject(trip.refs["car"], "car unavailable")
        await trip.asks_for("taxi", by="1.1")

        await trip.accepts("taxi")
        parts = {"hotel": resource("hotel", "1.0"), "flight": resource("flight", "1.0")}
        trip.expects_confirmed("1.1.0", **parts, transport=resource("taxi", "1.1"))
        await trip.emits()
        assert await replays(booking.env, entry, BOOKING, tmp_path) is RunStatus.COMPLETED


async def only_handoff(booking: Thread) -> str:
    return (await booking.only("versioning-handoff")).value


async def test_a_patch_needs_no_upgrade() -> None:
    async with thread(workflows, key=BOOKING) as booking:
        trip = Trip(booking)
        await trip.begins(start("1.1.9"))
        await trip.asks_for("hotel", "flight", "car", by="1.1")

        await trip.accepts("hotel", "flight", "car")

        parts = {kind: resource(kind, "1.1") for kind in ("hotel", "flight")}
        trip.expects_confirmed("1.1.0", **parts, transport=resource("car", "1.1"))
        await trip.emits()


async def test_major_2_starts_fresh(tmp_path: Path) -> None:
    async with thread(workflows, key=BOOKING) as booking:
        trip = Trip(booking)
        await trip.begins(start("2.0.0"))
        await trip.asks_for("hotel", "flight", "taxi", by="2.0")

        await trip.accepts("taxi", "flight", "hotel")

        parts = {kind: resource(kind, "2.0") for kind in ("hotel", "flight")}
        trip.expects_confirmed("2.0.0", **parts, transport=resource("taxi", "2.0"))
        await trip.emits()
        assert await replays(booking.env, entry, BOOKING, tmp_path) is RunStatus.COMPLETED


async def test_version_1_0_books_by_itself_where_nobody_upgrades_it() -> None:
    async with thread(workflows, key=BOOKING) as booking:
        trip = Trip(booking)
        await trip.begins(start("1.0.0"))
        await trip.asks_for("hotel", "flight", "car", by="1.0", upgradable=True)

        await trip.accepts("car", "hotel", "flight")

        parts = {kind: resource(kind, "1.0") for kind in ("hotel", "flight")}
        trip.expects_confirmed("1.0.0", **parts, transport=resource("car", "1.0"))
        await trip.emits()
        assert await booking.answer("versioning-upgrade", {"targetVersion": version("1.1.0")}) is Delivery.DEAD


async def test_an_upgrade_that_comes_first_hands_over_nothing() -> None:
    async with thread(workflows, key=BOOKING) as booking:
        trip = Trip(booking)
        await trip.begins(start("1.0.0", {}))
        await trip.asks_for("hotel", "flight", "car", by="1.0", upgradable=True)

        await trip.is_told_to_upgrade("1.1.0")

        for kind in ("hotel", "flight", "car"):
            trip.expects(f"versioned-cancel-{kind}", trip.notice(kind, "1.0"))
        trip.expects_handoff(payload={})
        await trip.emits()


async def test_what_is_handed_over_waits_for_an_hour_where_the_start_says_nothing() -> None:
    async with thread(workflows, key=BOOKING) as booking:
        trip = Trip(booking)
        await trip.begins(start("1.0.0", {}))
        await trip.asks_for("hotel", "flight", "car", by="1.0", upgradable=True)
        await trip.accepts("car")

        await trip.is_told_to_upgrade("1.1.0")

        for kind in ("hotel", "flight"):
            trip.expects(f"versioned-cancel-{kind}", trip.notice(kind, "1.0"))
        trip.expects_release("car", after=HOUR)
        timers = await trip.expects_timers("car")
        trip.expects_handoff("car", payload={})
        await trip.emits()

        await trip.begins(handed("car"))
        trip.expects_retained("car", timers["car"])
        await trip.asks_for("hotel", "flight", by="1.1")


async def test_a_release_fires_where_nobody_takes_over(tmp_path: Path) -> None:
    async with thread(workflows, key=BOOKING) as booking:
        trip = Trip(booking)
        await trip.begins(start("1.0.0", {"releaseAfterMS": 25}))
        await trip.asks_for("hotel", "flight", "car", by="1.0", upgradable=True)
        await trip.accepts("hotel")
        await trip.is_told_to_upgrade("1.1.0")
        for kind in ("flight", "car"):
            trip.expects(f"versioned-cancel-{kind}", trip.notice(kind, "1.0"))
        trip.expects_release("hotel", after=25)
        timers = await trip.expects_timers("hotel", after=25)
        trip.expects_handoff("hotel", payload={"releaseAfterMS": 25})
        await trip.emits()

        await booking.fire(timers["hotel"])

        what = resource("hotel", "1.0")
        fired = {"bookingId": BOOKING, "resource": what, "delayMS": 25}
        trip.expects("versioning-release-fired", fired, released_by("hotel"))
        trip.expects(RESULT, {"released": what["reservationId"]}, released_by("hotel"))
        await trip.emits()
        (run,) = [run for run in (await booking.env.engine.list()).items if run.workflow_id.startswith("t-")]
        assert await replays(booking.env, entry, run.workflow_id, tmp_path) is RunStatus.COMPLETED


async def test_an_upgrade_to_another_major_version_gives_everything_back() -> None:
    async with thread(workflows, key=BOOKING) as booking:
        trip = Trip(booking)
        await trip.begins(start("1.0.0"))
        await trip.asks_for("hotel", "flight", "car", by="1.0", upgradable=True)
        await trip.accepts("hotel")

        await trip.is_told_to_upgrade("2.0.0")

        for kind in ("flight", "car"):
            trip.expects(f"versioned-cancel-{kind}", trip.notice(kind, "1.0"))
        trip.expects("versioned-cancel-hotel", trip.given_back("hotel", "1.0"))
        trip.expects(ERROR, "cannot reuse 1.0.0 for 2.0.0")
        await trip.emits()


async def test_another_error_than_a_missing_car_gives_everything_back() -> None:
    async with thread(workflows, key=BOOKING) as booking:
        trip = Trip(booking)
        await trip.begins(start("1.1.0"))
        await trip.asks_for("hotel", "flight", "car", by="1.1")
        await trip.accepts("flight")

        await booking.reject(trip.refs["car"], "out of order")

        trip.expects("versioned-cancel-hotel", trip.notice("hotel", "1.1"))
        trip.expects("versioned-cancel-flight", trip.given_back("flight", "1.1"))
        trip.expects(ERROR, "out of order")
        await trip.emits()


async def test_what_was_taken_over_is_given_back_too() -> None:
    async with thread(workflows, key=BOOKING) as booking:
        trip = Trip(booking)
        await trip.begins(handed("car", "flight"))
        for kind in ("flight", "car"):
            what = resource(kind, "1.0")
            told = {"bookingId": BOOKING, "releaseId": what["releaseId"], "reservationId": what["reservationId"]}
            trip.expects("versioning-release-cancel", told | {"kind": kind})
            retain = {"ref": f"versioning-retain:{what['releaseId']}", "value": told | {"kind": kind}}
            trip.expects(RESUME, retain, released_by(kind))
        await trip.asks_for("hotel", by="1.1")

        await booking.reject(trip.refs["hotel"], {"code": 7})

        for kind in ("flight", "car"):
            trip.expects(f"versioned-cancel-{kind}", trip.given_back(kind, "1.0"))
        trip.expects(ERROR, {"code": 7})
        await trip.emits()


async def test_who_cancels_a_trip_calls_off_and_gives_back() -> None:
    async with thread(workflows, key=BOOKING) as booking:
        trip = Trip(booking)
        await trip.begins(start("1.0.0"))
        await trip.asks_for("hotel", "flight", "car", by="1.0", upgradable=True)
        await trip.accepts("car")

        await booking.env.engine.cancel(BOOKING, reason="the traveller is ill")

        for kind in ("hotel", "flight"):
            trip.expects(f"versioned-cancel-{kind}", trip.notice(kind, "1.0"))
        trip.expects("versioned-cancel-car", trip.given_back("car", "1.0"))
        trip.expects(ERROR, "the traveller is ill")
        await trip.emits()


async def refused(envelope: Record) -> list[str]:
    async with thread(workflows, key=BOOKING) as booking:
        await booking.new(envelope)
        records = await booking.emitted()
        assert [record.topic for record in records] == [ERROR]
        return [json.loads(record.value) for record in records]


async def test_what_no_version_takes_is_an_error() -> None:
    assert await refused(start("1.0.0") | {"workflow": "another"}) == ["unsupported workflow another"]
    assert await refused(start("3.0.0")) == ["unsupported major version 3.0.0"]
    assert await refused(handed("car", target="2.0.0")) == ["cannot adopt 1.0.0 in 2.0.0"]
    assert await refused(handed("car", source="2.0.0")) == ["cannot reuse 2.0.0 in 1.1.0"]


async def test_a_handoff_that_comes_again_while_the_trip_goes_on_is_refused() -> None:
    async with thread(workflows, key=BOOKING) as booking:
        trip = Trip(booking)
        await trip.begins(start("1.1.0"))
        await trip.asks_for("hotel", "flight", "car", by="1.1")

        assert await booking.new(handed("car")) is Delivery.DEAD
        await trip.emits()
