"""A run that is upgraded keeps what it has; one that cannot be is not harmed by being asked."""

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from examples.patterns.delayed_cleanup import RELEASES, Resource, Takeover
from examples.patterns.upgrade import arrange_stay, upgrade_manager, workflows
from holdfast import RunStatus, WorkflowCanceledError, WorkflowContext, WorkflowFailedError, workflow
from holdfast.core.definitions import WorkflowFunction
from holdfast.testing import TestEnvironment
from tests.examples.kit import replays

STAY = "stay-1"
Record = dict[str, Any]


def version(text: str) -> dict[str, int]:
    return dict(zip(("major", "minor"), map(int, text.split(".")), strict=True))


class Hotel:
    """An engine with a stay in it, and the services that reserve."""

    def __init__(self, *more: WorkflowFunction) -> None:
        self.env = TestEnvironment(workflows=[*workflows, *more])
        self._sent = 0

    async def begins(self, of: str) -> None:
        await self.env.engine.start(arrange_stay, {"guest": "ann", "version": version(of)}, id=STAY)
        await self.env.settled()

    async def asked(self) -> list[Record]:
        return [json.loads(record.value) for record in await self.env.outputs("stay-reserve")]

    async def kinds(self) -> list[str]:
        """Say what has been asked for so far, in order."""
        return [asked["resource"]["kind"] for asked in await self.asked()]

    async def accepts(self, *kinds: str) -> dict[str, str]:
        """Answer the newest request for each; gives the ids of what is reserved now."""
        newest = {asked["resource"]["kind"]: asked for asked in await self.asked()}
        for kind in kinds:
            await self.sends({"ref": newest[kind]["ref"], "value": None})
        return {kind: newest[kind]["resource"]["id"] for kind in kinds}

    async def rejects(self, kind: str, error: str) -> None:
        newest = {asked["resource"]["kind"]: asked for asked in await self.asked()}
        await self.sends({"ref": newest[kind]["ref"], "error": error})

    async def sends(self, record: Record) -> None:
        self._sent += 1
        raw = json.dumps(record).encode()
        await self.env.engine.deliver("workflow-resume", STAY, raw, id=f"record-{self._sent}")
        await self.env.settled()

    async def upgraded(self, target: str, *threads: str) -> Record:
        """Have the manager upgrade runs, and give what it says."""
        rollout = {"target": version(target), "threads": threads or [STAY]}
        answer = await self.env.execute(upgrade_manager, rollout, id="manager")
        assert isinstance(answer, dict)
        return answer

    async def given_back(self) -> Counter[str]:
        records = await self.env.outputs(RELEASES)
        return Counter(json.loads(record.value)["kind"] for record in records)

    async def result(self) -> object:
        return await self.env.engine.handle(STAY).result(timeout=5)


async def test_an_upgraded_run_takes_over_what_it_has_reserved(tmp_path: Path) -> None:
    hotel = Hotel()
    async with hotel.env as env:
        await hotel.begins("1.0")
        first = await hotel.accepts("room")

        assert await hotel.upgraded("1.1") == {"upgraded": [STAY], "refused": {}, "silent": []}
        assert await hotel.kinds() == ["room", "car", "car", "breakfast"]
        assert await hotel.given_back() == {"car": 1}, "the one that was not reserved yet"
        assert await replays(env, upgrade_manager, "manager", tmp_path) is RunStatus.COMPLETED

        rest = await hotel.accepts("car", "breakfast")
        assert await hotel.result() == first | rest
        await env.skip(timedelta(hours=2))
        assert await hotel.given_back() == {"car": 1}, "nothing that the run has is given back"
        assert await replays(env, arrange_stay, STAY, tmp_path) is RunStatus.COMPLETED


async def test_a_request_that_does_not_fit_is_refused_and_the_run_goes_on() -> None:
    hotel = Hotel()
    async with hotel.env:
        await hotel.begins("1.0")

        for target in ("2.0", "1.0", "0.9", "1.7"):
            why = f"1.0 cannot be upgraded to {target}"
            assert await hotel.upgraded(target) == {"upgraded": [], "refused": {STAY: why}, "silent": []}
        await hotel.sends({"ref": "upgrade", "value": "to something better, please"})
        await hotel.sends({"ref": "upgrade", "error": "no"})

        assert await hotel.given_back() == {}
        assert await hotel.upgraded("1.1") == {"upgraded": [STAY], "refused": {}, "silent": []}


async def test_a_run_that_was_refused_ends_as_if_nothing_had_been() -> None:
    hotel = Hotel()
    async with hotel.env as env:
        await hotel.begins("1.0")
        await hotel.upgraded("2.0")

        reserved = await hotel.accepts("room", "car")

        assert await hotel.result() == reserved
        await env.skip(timedelta(hours=2))
        assert await hotel.kinds() == ["room", "car"]
        assert await hotel.given_back() == {}


async def test_the_manager_asks_each_run_once_and_tells_who_did_not_answer() -> None:
    hotel = Hotel()
    async with hotel.env as env:
        await hotel.begins("1.0")
        await env.engine.start(arrange_stay, {"guest": "bob", "version": version("1.1")}, id="newer")
        await env.settled()

        answer = await hotel.upgraded("1.1", STAY, STAY, "newer", "gone")

        assert answer == {"upgraded": [STAY], "refused": {}, "silent": ["newer", "gone"]}
        asked = [record for record in await env.outputs("workflow-resume") if b'"upgrade"' in record.value]
        assert sorted(record.key or "" for record in asked) == ["gone", "newer", STAY]


async def test_what_could_not_be_taken_over_in_time_is_reserved_again() -> None:
    hotel = Hotel()
    async with hotel.env as env:
        gone = {"id": "room-of-long-ago", "kind": "room"}
        stay = {"guest": "ann", "version": version("1.1"), "reserved": [gone]}

        await env.engine.start(arrange_stay, stay, id=STAY)
        await env.settled()

        reserved = await hotel.accepts("room", "car", "breakfast")
        assert await hotel.result() == reserved
        assert reserved["room"] != gone["id"]


async def test_the_next_version_gives_back_what_it_has_taken_over_too() -> None:
    hotel = Hotel()
    async with hotel.env as env:
        await hotel.begins("1.0")
        await hotel.accepts("room")
        await hotel.upgraded("1.1")

        await hotel.rejects("breakfast", "the kitchen is closed")

        with pytest.raises(WorkflowFailedError, match="the kitchen is closed"):
            await hotel.result()
        assert await hotel.given_back() == {"car": 2, "room": 1}
        await env.skip(timedelta(hours=2))
        assert await hotel.given_back() == {"car": 2, "room": 1}


async def test_who_cancels_the_run_gives_everything_back_once() -> None:
    hotel = Hotel()
    async with hotel.env as env:
        await hotel.begins("1.0")
        await hotel.accepts("car")

        await env.engine.cancel(STAY, reason="ann is ill")

        with pytest.raises(WorkflowCanceledError):
            await hotel.result()
        assert await hotel.given_back() == {"room": 1, "car": 1}


@workflow(name="sleepy-cleanup")
async def sleepy_cleanup(ctx: WorkflowContext, _resource: Resource) -> None:
    """Take long to answer who takes over."""
    first: Takeover = await ctx.receive_signal("take-over", type=Takeover)
    await ctx.sleep(600)
    ctx.output_json("workflow-resume", {"ref": first.ref, "value": True}, key=first.thread)


async def test_what_is_being_taken_over_when_the_run_is_cancelled_is_given_back() -> None:
    hotel = Hotel(sleepy_cleanup)
    async with hotel.env as env:
        room = {"id": "room-7", "kind": "room"}
        await env.engine.start(sleepy_cleanup, room, id="cleanup-room-7")
        stay = {"guest": "ann", "version": version("1.1"), "reserved": [room]}
        await env.engine.start(arrange_stay, stay, id=STAY)
        await env.settled()

        await env.engine.cancel(STAY, reason="ann is ill")
        await env.settled()
        assert await hotel.given_back() == {"car": 1, "breakfast": 1}, "the answer about the room is not there yet"
        await env.skip(600)

        with pytest.raises(WorkflowCanceledError):
            await hotel.result()
        assert await hotel.given_back() == {"car": 1, "breakfast": 1, "room": 1}


async def test_a_version_that_there_is_not_is_an_error() -> None:
    hotel = Hotel()
    async with hotel.env:
        await hotel.begins("3.0")

        with pytest.raises(WorkflowFailedError, match=r"there is no version 3\.0"):
            await hotel.result()
