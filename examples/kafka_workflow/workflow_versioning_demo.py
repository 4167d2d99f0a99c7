"""What the versioned demos share: how a running workflow is replaced by its next version.

No part of the engine knows of this. A start names the version that it wants. A run that can be upgraded says so on a
topic, and waits for the request beside its work. When that comes it calls off what is unfinished, hands over what it
has, and ends; whoever listens starts the next version with that. A new minor version takes over what the one before
it has done, a new major version begins afresh, a patch makes no difference.

The upgrade manager, which tells runs to upgrade, is a workflow like any other. Started by a record of
``workflow-resume``: ``new:{"workflow": "versioning-upgrade-manager", "command": {"workflow": "...", "targetVersion":
{"major": 1, "minor": 1, "patch": 0}, "targets": [{"bookingId": "booking-1", "ref": "versioning-upgrade"}]}}``.
"""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer
from pydantic.alias_generators import to_camel

from holdfast import WorkflowContext, workflow

MANAGER_TOPICS = ["versioning-upgrade-dispatch"]
UPGRADE_TOPICS = ["versioning-await-upgrade", "versioning-handoff"]

T = TypeVar("T")
Kind = Literal["car", "hotel", "flight", "taxi"]


def _in_record(name: str) -> str:
    """Spell a field as the records do: ``delay_ms`` is ``delayMS``."""
    return to_camel(name.removesuffix("_ms")) + ("MS" if name.endswith("_ms") else "")


class Wire(BaseModel):
    """What all parts of records have in common: fields are in camel case, and left out where they are not set."""

    model_config = ConfigDict(frozen=True, alias_generator=_in_record, populate_by_name=True)

    @model_serializer(mode="wrap")
    def _what_is_set(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in serialize(self).items() if value is not None}


class Version(Wire):
    """A version of a workflow's code."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


class Resource(Wire):
    """Something that is reserved, and the id by which its release is known."""

    kind: Kind
    reservation_id: str
    release_id: str

    @classmethod
    def of(cls, booking_id: str, kind: Kind, reservation_id: str) -> Resource:
        """Describe what has been reserved; its release always gets the same id."""
        release_id = f"{booking_id}:{kind}:{reservation_id}:release"
        return cls(kind=kind, reservation_id=reservation_id, release_id=release_id)


class Start(Wire, Generic[T]):
    """A workflow is to begin."""

    workflow: str
    version: Version
    kind: Literal["start"]
    booking_id: str
    payload: T


class Handed(Wire, Generic[T]):
    """What one version leaves to the next."""

    from_version: Version
    to_version: Version
    input: T
    booked: list[Resource]


class Handoff(Wire, Generic[T]):
    """A workflow is to go on, on another version."""

    workflow: str
    version: Version
    kind: Literal["handoff"]
    booking_id: str
    payload: Handed[T]


class UpgradeRequest(Wire):
    """What a run is told that is to be upgraded."""

    target_version: Version


class Target(Wire):
    """A run that is to be upgraded, and the ref by which it hears of it."""

    booking_id: str = ""
    ref: str = ""


class UpgradeCommand(Wire):
    """Which runs to upgrade to what."""

    workflow: str
    target_version: Version
    targets: list[Target]


class UpgradeManager(Wire):
    """Starts the workflow that upgrades others."""

    workflow: Literal["versioning-upgrade-manager"] = "versioning-upgrade-manager"
    command: UpgradeCommand


def can_reuse(current: Version, target: Version) -> bool:
    """Say whether one version may take over from another: both have the same major number."""
    return current.major == target.major


def needs_minor_upgrade(current: Version, target: Version) -> bool:
    """Say whether one version is an upgrade of another that it can take over from."""
    return can_reuse(current, target) and target.minor > current.minor


def ignores_patch_difference(current: Version, target: Version) -> bool:
    """Say whether two versions differ in their patch at most."""
    return can_reuse(current, target) and target.minor == current.minor


def handoff(start: Start[Any], source: Version, target: Version, state: T, booked: list[Resource]) -> Handoff[T]:
    """Write what the next version of a workflow is to begin with."""
    handed = Handed[T](from_version=source, to_version=target, input=state, booked=booked)
    return Handoff[T](
        workflow=start.workflow, version=target, kind="handoff", booking_id=start.booking_id, payload=handed
    )


def require_upgrade(current: Version, request: UpgradeRequest) -> UpgradeRequest:
    """Let a request through if it is one to a newer minor version.

    Raises:
        ValueError: It is not.
    """
    target = request.target_version
    if not can_reuse(current, target):
        raise ValueError(f"cannot reuse {current} for {target}")
    if not needs_minor_upgrade(current, target):
        raise ValueError(f"target {target} does not require a minor upgrade")
    return request


async def wait_for_upgrade(ctx: WorkflowContext, current: Version) -> UpgradeRequest:
    """Announce that this run can be upgraded, and wait until it is to be.

    Raises:
        ValueError: What it is to be upgraded to is no newer minor version.
    """
    asked = ctx.ref_id("versioning-upgrade", type=UpgradeRequest)
    ctx.output_json("versioning-await-upgrade", {"ref": asked.id, "currentVersion": current})
    return require_upgrade(current, await asked)


def dispatch_upgrades(
    ctx: WorkflowContext, command: UpgradeCommand, *, request_type: str | None = None
) -> dict[str, Any]:
    """Tell each run once that it is to be upgraded; one that takes commands knows the request by its type."""
    kind = {} if request_type is None else {"type": request_type}
    target_version = {"targetVersion": command.target_version}
    targets = dict.fromkeys(target for target in command.targets if target.booking_id and target.ref)
    for target in targets:
        booking_id, ref = target.booking_id, target.ref
        record = {"bookingId": booking_id, "ref": ref, **target_version}
        ctx.output_json("versioning-upgrade-dispatch", record, key=booking_id)
        ctx.output_json("workflow-resume", {"ref": ref, "value": {**kind, **target_version}}, key=booking_id)
    return {**target_version, "dispatched": [target.booking_id for target in targets], "skipped": []}


@workflow(name="versioning-upgrade-manager", outputs=MANAGER_TOPICS)
async def upgrade_manager(ctx: WorkflowContext, manager: UpgradeManager) -> dict[str, Any]:
    """Tell runs that they are to be upgraded, and which were told."""
    return dispatch_upgrades(ctx, manager.command)


workflows = [upgrade_manager]
