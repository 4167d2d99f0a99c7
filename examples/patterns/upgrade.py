"""Upgrade manager, handoff and adoption: a run that is under way goes on as its next version.

Each version is a function of its own. A run of an old one waits for the request to upgrade beside its work. It refuses
what it cannot be upgraded to, says why, and goes on as if nothing had been: a mistake of whoever asks must not cost
the run. A request that fits ends it: what is unfinished is called off, what is reserved is left to a thread that gives
it back after an hour (`examples.patterns.delayed_cleanup`), and the same run begins anew with all that is known. The
next version takes over what it can get, and reserves the rest again.

The upgrade manager tells many runs at a time, and says of each what it has answered.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, NoReturn

from examples.patterns.delayed_cleanup import RELEASES, Resource, clean_up_later, delayed_cleanup, take_over
from holdfast import CancelToken, PayloadError, RefError, WorkflowContext, workflow

RESUME = "workflow-resume"
KEPT_FOR = timedelta(hours=1)


@dataclass(frozen=True, order=True)
class Version:
    """A version of a workflow's code: a new minor one goes on with the runs of those before it."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"

    def is_upgrade_of(self, other: Version) -> bool:
        """Say whether this goes on where the other leaves off."""
        return self.major == other.major and self > other


@dataclass(frozen=True)
class UpgradeRequest:
    """What a run is asked to become, and where it answers."""

    target: Version
    thread: str
    ref: str


async def upgrade(ctx: WorkflowContext, current: Version, known: frozenset[Version]) -> Version:
    """Wait until this run is to be upgraded to a version that is known; any other request is refused."""
    while True:
        try:
            request: UpgradeRequest = await ctx.ref_id("upgrade", type=UpgradeRequest)
        except (PayloadError, RefError):
            continue  # it cannot be read, so there is nobody to answer
        fits = request.target in known and request.target.is_upgrade_of(current)
        answer = "" if fits else f"{current} cannot be upgraded to {request.target}"
        ctx.output_json(RESUME, {"ref": request.ref, "value": answer}, key=request.thread)
        if fits:
            return request.target


@dataclass(frozen=True)
class Rollout:
    """Which runs to upgrade to what, and how long to wait for their answers."""

    target: Version
    threads: list[str]
    patience: timedelta = timedelta(minutes=1)


@workflow(name="upgrade-manager")
async def upgrade_manager(ctx: WorkflowContext, rollout: Rollout) -> dict[str, Any]:
    """Ask runs to upgrade; gives those that do, why others do not, and those that have not answered in time."""
    threads = list(dict.fromkeys(rollout.threads))

    async def ask(thread: str) -> str | None:
        answer = ctx.ref(f"upgrade {thread}", type=str)
        request = UpgradeRequest(rollout.target, ctx.thread_key, answer.id)
        ctx.output_json(RESUME, {"ref": "upgrade", "value": request}, key=thread)
        try:
            async with asyncio.timeout(rollout.patience.total_seconds()):
                return await answer  # type: ignore[no-any-return]  # a text, says its type
        except TimeoutError:
            return None

    answers = dict(zip(threads, await ctx.all(ask(thread) for thread in threads), strict=True))
    return {
        "upgraded": [thread for thread, answer in answers.items() if answer == ""],
        "refused": {thread: answer for thread, answer in answers.items() if answer},
        "silent": [thread for thread, answer in answers.items() if answer is None],
    }


@dataclass(frozen=True)
class Stay:
    """What a guest wants, in which version it is arranged, and what an earlier version has reserved."""

    guest: str
    version: Version
    reserved: list[Resource] = field(default_factory=list)


class Reservations:
    """What one version of a stay has reserved, which is given back if the stay does not come about."""

    def __init__(self, ctx: WorkflowContext) -> None:
        self.ctx = ctx
        self.made: list[Resource] = []

    async def reserve(self, kind: str) -> Resource:
        """Ask for something, and wait until it is reserved; who stops waiting gives it back."""
        resource = Resource(self.ctx.uuid4().hex, kind)
        answer = self.ctx.ref(kind)
        self.ctx.output_json("stay-reserve", {"resource": resource, "ref": answer.id})
        try:
            await answer
        except CancelToken:
            self.ctx.output_json(RELEASES, resource)
            raise
        self.made.append(resource)
        return resource

    async def adopt(self, kind: str, reserved: list[Resource]) -> Resource:
        """Take over what an earlier version has reserved, or reserve it again where that is gone."""
        for resource in reserved:
            if resource.kind == kind and await self.ctx.shield(self._takes_over(resource)):
                return resource
        return await self.reserve(kind)

    async def _takes_over(self, resource: Resource) -> bool:
        """Take over; not to be cancelled in between, for then nobody would give it back."""
        taken = await take_over(self.ctx, resource)
        if taken:
            self.made.append(resource)
        return taken

    def give_back(self) -> None:
        """Give everything back."""
        for resource in self.made:
            self.ctx.output_json(RELEASES, resource)


async def stay_1_0(ctx: WorkflowContext, stay: Stay) -> dict[str, str]:
    """Reserve a room and a car, unless the stay is upgraded before."""
    reservations = Reservations(ctx)
    work = ctx.all(reservations.reserve(kind) for kind in ("room", "car"))
    try:
        outcome = await ctx.race(work, upgrade(ctx, stay.version, frozenset(VERSIONS)))
    except (Exception, CancelToken):
        reservations.give_back()
        raise
    if isinstance(outcome, Version):
        hand_over(ctx, stay, outcome, reservations.made)
    return {resource.kind: resource.id for resource in outcome}


def hand_over(ctx: WorkflowContext, stay: Stay, target: Version, reserved: list[Resource]) -> NoReturn:
    """Go on as another version, with what is reserved, and let nothing be reserved for ever if that fails."""
    for resource in reserved:
        clean_up_later(ctx, resource, after=KEPT_FOR)
    ctx.continue_as_new(replace(stay, version=target, reserved=reserved))


async def stay_1_1(ctx: WorkflowContext, stay: Stay) -> dict[str, str]:
    """Reserve a room, a car and breakfast; what is reserved already is taken over."""
    reservations = Reservations(ctx)
    try:
        made = await ctx.all(reservations.adopt(kind, stay.reserved) for kind in ("room", "car", "breakfast"))
    except (Exception, CancelToken):
        reservations.give_back()
        raise
    return {resource.kind: resource.id for resource in made}


VERSIONS = {Version(1, 0): stay_1_0, Version(1, 1): stay_1_1}


@workflow(outputs=["stay-reserve", RELEASES])
async def arrange_stay(ctx: WorkflowContext, stay: Stay) -> dict[str, str]:
    """Arrange a stay, as the version says that it was started with or upgraded to."""
    arrange = VERSIONS.get(stay.version)
    if arrange is None:
        raise ValueError(f"there is no version {stay.version}")
    return await arrange(ctx, stay)


workflows = (arrange_stay, upgrade_manager, delayed_cleanup)
