"""Runs that are upgraded go on with what they have done, pinned ones stay as they are; no other record comes out."""

import json
from pathlib import Path
from typing import Any

import pytest

from examples.kafka_workflow.worker_versioning import entry, workflows
from holdfast import RunStatus
from tests.examples.kafka_workflow.kit import ERROR, RESULT, RESUME, Emitted, Thread, thread
from tests.examples.kit import replays
from tests.play import Anything

WORKER = "worker-1"
AWAIT_SIGNAL = "temporal-worker-versioning-await-signal"
ACTIVITY = "temporal-worker-versioning-activity"
INCOMPATIBLE = "temporal-worker-versioning-incompatible-activity"
STATE = "temporal-worker-versioning-state"
PATCHED = {"calledBy": "v1b", "moreData": "hello!"}
Record = dict[str, Any]


def version(text: str) -> Record:
    return dict(zip(("major", "minor", "patch"), map(int, text.split(".")), strict=True))


def start(of: str, mode: str = "auto") -> Record:
    return {
        "workflow": "temporal-worker-versioning",
        "version": version(of),
        "kind": "start",
        "bookingId": WORKER,
        "payload": {"mode": mode},
    }


def handed(*activities: str, source: str = "1.0.0", mode: str = "auto") -> Record:
    left = {"mode": mode, "activities": list(activities)}
    payload = {"fromVersion": version(source), "toVersion": version("1.1.0"), "input": left, "booked": []}
    return start("1.0.0") | {"version": version("1.1.0"), "kind": "handoff", "payload": payload}


class Worker:
    """A run, and every record that it should have emitted so far."""

    def __init__(self, thread: Thread, of: str, mode: str = "auto") -> None:
        self.thread = thread
        self.version = version(of)
        self.mode = mode
        self.expected: list[Emitted] = []

    async def waits(self) -> None:
        """Check that the run has said that it waits, and nothing else."""
        self.expects(AWAIT_SIGNAL, {"ref": "main", "version": self.version, "mode": self.mode})
        if self.mode == "auto" and self.version == version("1.0.0"):
            self.expects("versioning-await-upgrade", {"ref": "main", "currentVersion": self.version})
        await self.emits()

    async def is_told(self, kind: str, **more: Anything) -> None:
        await self.thread.answer("main", {"type": kind, **more})

    async def asks_for(self, topic: str, called: Record) -> str:
        """Check that an activity has been asked for, and nothing else; gives the ref that it answers."""
        ref: str = json.loads((await self.thread.on(topic))[-1])["ref"]
        self.expects(topic, {**called, "ref": ref})
        await self.emits()
        return ref

    async def has_done(self, topic: str, called: Record) -> None:
        await self.thread.answer(await self.asks_for(topic, called), {"ok": True})

    async def is_upgraded(self, target: str) -> None:
        targets = [{"bookingId": WORKER, "ref": "main"}]
        command = {"workflow": "temporal-worker-versioning", "targetVersion": version(target), "targets": targets}
        envelope = {"workflow": "versioning-upgrade-manager", "command": command}
        await self.thread.send(f"new:{json.dumps(envelope)}", key="upgrade-1")
        told = {"targetVersion": version(target)}
        self.expects("versioning-upgrade-dispatch", {"bookingId": WORKER, "ref": "main", **told})
        self.expects(RESUME, {"ref": "main", "value": {"type": "upgrade", **told}})
        self.expects(RESULT, {**told, "dispatched": [WORKER], "skipped": []}, "upgrade-1")

    async def is_completed(self, *activities: str) -> None:
        done = {"version": self.version, "mode": self.mode, "activities": list(activities)}
        self.expects(RESULT, {"status": "completed", **done})
        await self.emits()

    def expects(self, topic: str, value: Anything, key: str = WORKER) -> None:
        self.expected.append(self.thread.json(topic, value, key))

    async def emits(self) -> None:
        await self.thread.emits(*self.expected)


async def test_an_auto_run_goes_on_with_the_patched_activity(tmp_path: Path) -> None:
    async with thread(workflows, key=WORKER) as records:
        worker = Worker(records, "1.0.0")
        await records.new(start("1.0.0"))
        await worker.waits()
        await worker.is_told("do-activity")
        await worker.has_done(ACTIVITY, {"calledBy": "v1"})
        await worker.waits()
        await worker.is_told("query", reply="state-1")
        state = {"version": version("1.0.0"), "mode": "auto", "activities": ["someActivity:v1"]}
        worker.expects(STATE, {"reply": "state-1", **state}, "state-1")
        await worker.waits()

        await worker.is_upgraded("1.1.0")
        worker.expects("versioning-handoff", handed("someActivity:v1"))
        versions = {"fromVersion": version("1.0.0"), "toVersion": version("1.1.0")}
        upgraded = {"status": "upgraded", "mode": "auto", **versions, "activities": ["someActivity:v1"]}
        worker.expects(RESULT, upgraded)
        await worker.emits()
        assert await replays(records.env, entry, WORKER, tmp_path) is RunStatus.COMPLETED

        await records.new(json.loads((await records.only("versioning-handoff")).value))
        worker.version = version("1.1.0")
        await worker.waits()
        await worker.is_told("do-activity")
        await worker.has_done(INCOMPATIBLE, PATCHED)
        await worker.waits()
        await worker.is_told("conclude")
        await worker.is_completed("someActivity:v1", "someIncompatibleActivity:v1b")
        assert await replays(records.env, entry, WORKER, tmp_path) is RunStatus.COMPLETED


async def test_a_pinned_run_of_version_1_stays_with_it() -> None:
    async with thread(workflows, key=WORKER) as records:
        worker = Worker(records, "1.0.0", "pinned")
        await records.new(start("1.0.0", "pinned"))
        await worker.waits()
        await worker.is_told("do-activity")
        await worker.waits()

        await worker.is_told("conclude")
        await worker.has_done(ACTIVITY, {"calledBy": "Pinned-v1"})

        await worker.is_completed("someActivity:Pinned-v1")


async def test_a_pinned_run_of_version_2_stays_with_it(tmp_path: Path) -> None:
    async with thread(workflows, key=WORKER) as records:
        worker = Worker(records, "2.0.0", "pinned")
        await records.new(start("2.0.0", "pinned"))
        await worker.has_done(ACTIVITY, {"calledBy": "Pinned-v2"})
        await worker.waits()

        await worker.is_told("conclude")
        await worker.has_done(INCOMPATIBLE, {"calledBy": "Pinned-v2", "moreData": "hi"})

        await worker.is_completed("someActivity:Pinned-v2", "someIncompatibleActivity:Pinned-v2")
        assert await replays(records.env, entry, WORKER, tmp_path) is RunStatus.COMPLETED


async def test_a_new_major_version_starts_without_old_state() -> None:
    async with thread(workflows, key=WORKER) as records:
        worker = Worker(records, "2.0.0")
        await records.new(start("2.0.0"))
        await worker.waits()
        await worker.is_told("do-activity")
        await worker.has_done(INCOMPATIBLE, PATCHED)
        await worker.waits()

        await worker.is_told("conclude")

        await worker.is_completed("someIncompatibleActivity:v1b")


async def test_a_patch_of_1_1_runs_its_code() -> None:
    async with thread(workflows, key=WORKER) as records:
        worker = Worker(records, "1.1.0")
        await records.new(start("1.1.9"))
        await worker.waits()

        await worker.is_told("conclude")

        await worker.is_completed()


async def test_an_upgrade_to_another_major_version_is_an_error() -> None:
    async with thread(workflows, key=WORKER) as records:
        worker = Worker(records, "1.0.0")
        await records.new(start("1.0.0"))
        await worker.waits()

        await worker.is_upgraded("2.0.0")

        worker.expects(ERROR, "cannot reuse 1.0.0 for 2.0.0")
        await worker.emits()


@pytest.mark.parametrize(
    ("of", "mode", "error"),
    [
        ("1.1.0", "auto", "workflow is already running 1.1.0"),
        ("1.0.0", "pinned", "pinned workflows do not accept upgrades"),
    ],
)
async def test_a_run_that_cannot_be_upgraded_ends(of: str, mode: str, error: str) -> None:
    async with thread(workflows, key=WORKER) as records:
        worker = Worker(records, of, mode)
        await records.new(start(of, mode))
        await worker.waits()

        await worker.is_upgraded("1.2.0")

        worker.expects(ERROR, error)
        await worker.emits()


async def test_commands_that_come_during_an_activity_are_not_lost() -> None:
    async with thread(workflows, key=WORKER) as records:
        worker = Worker(records, "1.1.0")
        await records.new(start("1.1.0"))
        await worker.waits()
        await worker.is_told("do-activity")
        first = await worker.asks_for(INCOMPATIBLE, PATCHED)

        await worker.is_told("do-activity")
        await worker.is_told("conclude")
        await worker.emits()

        await records.answer(first)
        worker.expects(AWAIT_SIGNAL, {"ref": "main", "version": worker.version, "mode": "auto"})
        await worker.has_done(INCOMPATIBLE, PATCHED)
        worker.expects(AWAIT_SIGNAL, {"ref": "main", "version": worker.version, "mode": "auto"})
        await worker.is_completed("someIncompatibleActivity:v1b", "someIncompatibleActivity:v1b")


@pytest.mark.parametrize(
    ("envelope", "error"),
    [
        (start("1.0.0") | {"workflow": "another"}, "unsupported workflow another"),
        (handed(source="2.0.0"), "cannot reuse 2.0.0 in 1.1.0"),
        (handed(mode="pinned"), "pinned workflows do not accept handoff envelopes"),
    ],
)
async def test_what_no_version_takes_is_an_error(envelope: Record, error: str) -> None:
    async with thread(workflows, key=WORKER) as records:
        await records.new(envelope)

        await records.emits(records.json(ERROR, error))
