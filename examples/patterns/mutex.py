"""Mutex: a resource is used by one run at a time, and a run that is gone does not keep it for ever.

Each lock is a thread, known by the name of its resource. Who wants the resource asks by a record and waits for the
answer; the lock grants it in the order of the requests. It is given back when the body ends, however it does, and
taken away when the lease is over. So a holder may be wrong about holding it. The number that comes with the grant
tells: it grows with each, and what guards the resource itself refuses a smaller one than it has seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from holdfast import WorkflowContext, workflow

RESUME = "workflow-resume"
TURNS = 500
"""After so many messages a lock goes on with an empty history."""


@asynccontextmanager
async def locked(ctx: WorkflowContext, resource: str, *, lease: timedelta) -> AsyncIterator[int]:
    """Use a resource alone for the time of the body; the number is that of the grant."""
    lock_key = f"lock:{resource}"
    granted = ctx.ref("lock", type=int)
    ctx.ensure_thread(lock_key, LockState(), workflow=lock)
    acquire = {"type": "acquire", "thread": ctx.thread_key, "ref": granted.id, "seconds": lease.total_seconds()}
    ctx.output_json(RESUME, {"ref": "main", "value": acquire}, key=lock_key)
    try:
        yield await granted
    finally:
        ctx.output_json(RESUME, {"ref": "main", "value": {"type": "release", "ref": granted.id}}, key=lock_key)


@dataclass(frozen=True)
class Waiting:
    """Somebody who wants the resource: where to answer, and for how long it is wanted."""

    thread: str
    ref: str
    seconds: float


@dataclass(frozen=True)
class LockState:
    """Who has the resource until when, who waits, and how often it has been granted."""

    holder: Waiting | None = None
    until: datetime | None = None
    queue: tuple[Waiting, ...] = ()
    grants: int = 0


@workflow(name="lock")
async def lock(ctx: WorkflowContext, state: LockState) -> None:
    """Grant a resource to one after another, without end."""
    for _ in range(TURNS):
        state = _granted(ctx, state)
        match await _next_message(ctx, state):
            case {"type": "acquire", "thread": str(thread), "ref": str(ref), "seconds": float() | int() as seconds}:
                state = replace(state, queue=(*state.queue, Waiting(thread, ref, seconds)))
            case {"type": "release", "ref": str(ref)}:
                state = _without(state, ref)
            case {"type": "expired", "ref": str(ref)}:
                state = _without(state, ref)
    ctx.continue_as_new(state)


def _granted(ctx: WorkflowContext, state: LockState) -> LockState:
    """Grant the resource to the first who waits, if it is free."""
    if state.holder is not None or not state.queue:
        return state
    holder, *queue = state.queue
    grants = state.grants + 1
    ctx.output_json(RESUME, {"ref": holder.ref, "value": grants}, key=holder.thread)
    return LockState(holder, ctx.now() + timedelta(seconds=holder.seconds), tuple(queue), grants)


def _without(state: LockState, ref: str) -> LockState:
    """Forget somebody who has the resource, or waits for it."""
    if state.holder is not None and state.holder.ref == ref:
        return replace(state, holder=None, until=None)
    return replace(state, queue=tuple(each for each in state.queue if each.ref != ref))


async def _next_message(ctx: WorkflowContext, state: LockState) -> object:
    """Wait for the next message, at the longest until the lease is over."""
    message = ctx.ref_id("main")
    if state.holder is None or state.until is None:
        return await message
    left = (state.until - ctx.now()).total_seconds()
    try:
        async with asyncio.timeout(max(left, 0)):
            return await message
    except TimeoutError:
        return {"type": "expired", "ref": state.holder.ref}


@dataclass(frozen=True)
class Work:
    """What to do alone with which resource."""

    resource: str
    seconds: float
    lease_seconds: float = 60


@workflow
async def work_alone(ctx: WorkflowContext, work: Work) -> int:
    """Work with a resource, and say which grant that was."""
    async with locked(ctx, work.resource, lease=timedelta(seconds=work.lease_seconds)) as grant:
        await ctx.sleep(work.seconds)
    return grant


workflows = (work_alone, lock)
