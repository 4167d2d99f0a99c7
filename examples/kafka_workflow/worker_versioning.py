"""Runs that move to the next version of their code when they are told to, and runs that stay with their own.

A run of mode ``auto`` on version 1.0 is told by a command that it is to be upgraded: it hands over what it has done,
and ends. Version 1.1 goes on with that, and calls another activity than 1.0 did. A run of mode ``pinned`` ends on the
version that it began with. A new major version takes nothing over.

All commands come by one ref, ``main``: ``do-activity``, ``query``, ``upgrade``, and ``conclude``, which ends the run.

Started by a record of ``workflow-resume``: ``new:{"workflow": "temporal-worker-versioning", "version": {"major": 1,
"minor": 0, "patch": 0}, "kind": "start", "bookingId": "auto-1", "payload": {"mode": "auto"}}``.
"""

from __future__ import annotations

from typing import Any, Literal

from examples.kafka_workflow.workflow_versioning_demo import (
    MANAGER_TOPICS,
    UPGRADE_TOPICS,
    Handoff,
    Start,
    UpgradeManager,
    UpgradeRequest,
    Version,
    Wire,
    can_reuse,
    dispatch_upgrades,
    handoff,
    require_upgrade,
)
from holdfast import WorkflowContext, workflow

WORKFLOW = "temporal-worker-versioning"
V1_0 = Version(major=1, minor=0, patch=0)
V1_1 = Version(major=1, minor=1, patch=0)
V2_0 = Version(major=2, minor=0, patch=0)

AWAIT_SIGNAL = f"{WORKFLOW}-await-signal"
ACTIVITY = f"{WORKFLOW}-activity"
INCOMPATIBLE_ACTIVITY = f"{WORKFLOW}-incompatible-activity"
STATE = f"{WORKFLOW}-state"
TOPICS = [AWAIT_SIGNAL, ACTIVITY, INCOMPATIBLE_ACTIVITY, STATE, *UPGRADE_TOPICS, *MANAGER_TOPICS]


class Work(Wire):
    """How a run is versioned, and what it has done."""

    mode: Literal["auto", "pinned"]
    activities: tuple[str, ...] = ()


Envelope = Start[Work] | Handoff[Work]


class Worker:
    """A run on one version."""

    def __init__(self, ctx: WorkflowContext, version: Version, envelope: Envelope) -> None:
        work = work_of(envelope)
        self.ctx = ctx
        self.version = version
        self.mode = work.mode
        self.activities = list(work.activities)

    async def next_command(self, *, upgradable: bool = False) -> object:
        """Say that the run waits for a command, wait for it, and answer it if it is a query."""
        while True:
            signal = self.ctx.ref_id("main")
            self.ctx.output_json(AWAIT_SIGNAL, {"ref": signal.id, "version": self.version, "mode": self.mode})
            if upgradable:
                self.ctx.output_json("versioning-await-upgrade", {"ref": signal.id, "currentVersion": self.version})
            match await signal:
                case {"type": "query", "reply": str(reply)} if reply:
                    state = {"version": self.version, "mode": self.mode, "activities": self.activities}
                    self.ctx.output_json(STATE, {"reply": reply, **state}, key=reply)
                case command:
                    return command

    async def some_activity(self, called_by: str) -> None:
        """Have the activity done that version 1.0 knows."""
        await self._request(ACTIVITY, f"someActivity:{called_by}", {"calledBy": called_by})

    async def some_incompatible_activity(self, called_by: str, more_data: str) -> None:
        """Have the activity done that came with the newer versions."""
        payload = {"calledBy": called_by, "moreData": more_data}
        await self._request(INCOMPATIBLE_ACTIVITY, f"someIncompatibleActivity:{called_by}", payload)

    async def _request(self, topic: str, activity: str, payload: dict[str, str]) -> None:
        done = self.ctx.ref(f"{activity}:{len(self.activities)}")
        self.ctx.output_json(topic, {**payload, "ref": done.id})
        await done
        self.activities.append(activity)

    def completed(self) -> dict[str, Any]:
        """Say what has been done."""
        return {"status": "completed", "version": self.version, "mode": self.mode, "activities": self.activities}


def work_of(envelope: Envelope) -> Work:
    """Give what a run begins with."""
    return envelope.payload.input if isinstance(envelope, Handoff) else envelope.payload


async def run_auto_1_0(ctx: WorkflowContext, start: Start[Work]) -> dict[str, Any]:
    """Do what commands ask for, until one says to upgrade or to conclude."""
    worker = Worker(ctx, V1_0, start)
    while True:
        match await worker.next_command(upgradable=True):
            case {"type": "do-activity"}:
                await worker.some_activity("v1")
            case {"type": "conclude"}:
                return worker.completed()
            case {"type": "upgrade"} as command:
                target = require_upgrade(V1_0, UpgradeRequest.model_validate(command)).target_version
                state = Work(mode=worker.mode, activities=tuple(worker.activities))
                ctx.output_json("versioning-handoff", handoff(start, V1_0, target, state, []))
                versions = {"fromVersion": V1_0, "toVersion": target}
                return {"status": "upgraded", "mode": worker.mode, **versions, "activities": worker.activities}


async def run_auto(ctx: WorkflowContext, envelope: Envelope, version: Version) -> dict[str, Any]:
    """Do what commands ask for, on a version that cannot be upgraded."""
    if isinstance(envelope, Handoff) and not can_reuse(envelope.payload.from_version, version):
        raise ValueError(f"cannot reuse {envelope.payload.from_version} in {version}")
    worker = Worker(ctx, version, envelope)
    while True:
        match await worker.next_command():
            case {"type": "do-activity"}:
                await worker.some_incompatible_activity("v1b", "hello!")
            case {"type": "conclude"}:
                return worker.completed()
            case {"type": "upgrade"}:
                raise ValueError(f"workflow is already running {version}")


async def run_pinned(ctx: WorkflowContext, start: Start[Work]) -> dict[str, Any]:
    """Do what the version of the start does, and refuse any other."""
    is_2_0 = start.version.major >= V2_0.major
    worker = Worker(ctx, V2_0 if is_2_0 else V1_0, start)
    if is_2_0:
        await worker.some_activity("Pinned-v2")
    while True:
        match await worker.next_command():
            case {"type": "upgrade"}:
                raise ValueError("pinned workflows do not accept upgrades")
            case {"type": "conclude"}:
                break
    if is_2_0:
        await worker.some_incompatible_activity("Pinned-v2", "hi")
    else:
        await worker.some_activity("Pinned-v1")
    return worker.completed()


@workflow(name="worker-versioning", outputs=TOPICS)
async def entry(ctx: WorkflowContext, envelope: Envelope | UpgradeManager) -> dict[str, Any]:
    """Run whatever an envelope asks for: work of some version and mode, or the upgrade manager."""
    if isinstance(envelope, UpgradeManager):
        return dispatch_upgrades(ctx, envelope.command, request_type="upgrade")
    if envelope.workflow != WORKFLOW:
        raise ValueError(f"unsupported workflow {envelope.workflow}")
    if work_of(envelope).mode == "pinned":
        if isinstance(envelope, Handoff):
            raise ValueError("pinned workflows do not accept handoff envelopes")
        return await run_pinned(ctx, envelope)
    if isinstance(envelope, Handoff):
        return await run_auto(ctx, envelope, envelope.version)
    if envelope.version.major >= V2_0.major:
        return await run_auto(ctx, envelope, V2_0)
    if envelope.version.minor >= V1_1.minor:
        return await run_auto(ctx, envelope, V1_1)
    return await run_auto_1_0(ctx, envelope)


workflows = [entry]
