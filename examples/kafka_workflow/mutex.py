"""A lock that outlives every process: one thread per resource grants it, and contenders take turns.

The lock is an ordinary thread whose key is the name of the resource. It reads commands one after the other, so it
needs no lock of its own. A contender makes sure that this thread exists, asks it for the lock, works, and gives the
lock back by answering the ref that it was granted. One that works for too long loses the lock to the next in the queue.

Started by ``new:{"workflow": "oneAtATimeWorkflow", "resourceId": "db", "owner": "alice"}``, or, for a lock alone, by
``new:{"lockId": "db"}``. Commands of a lock go to its ref ``main``: ``acquire``, ``release``, ``query``, ``shutdown``.

Who asks for a lock more than once names another ``releaseRef`` each time, as contenders do here: an answer to a ref
that nobody awaits is kept for the next one of its id, so a release that is sent twice would end the next hold too.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from holdfast import WorkflowContext, workflow

ACQUIRED = "temporal-mutex-lock-acquired"
QUEUED = "temporal-mutex-lock-requested"
INVALID_RELEASE = "temporal-mutex-invalid-release"
STATE = "temporal-mutex-state"
LOCKED = "temporal-mutex-notify-locked"
CRITICAL_SECTION = "temporal-mutex-critical-section"
UNLOCKED = "temporal-mutex-notify-unlocked"
SCHEDULER = "workflow-scheduler"
TOPICS = [ACQUIRED, QUEUED, INVALID_RELEASE, STATE, LOCKED, CRITICAL_SECTION, UNLOCKED, SCHEDULER]

Command = dict[str, Any]
"""Its ``type`` says what is wanted."""

Request = dict[str, Any]
"""What the lock keeps of an ``acquire``: the ``owner``, and of `OPTIONS` what was given."""

OPTIONS = ("replyThread", "replyRef", "releaseRef", "timeoutMS")


class LockInput(BaseModel, frozen=True):
    """The lock to be."""

    workflow: Literal["lockWorkflow"] = "lockWorkflow"
    lock_id: str = Field(alias="lockId")


class ContenderInput(BaseModel, frozen=True):
    """Who needs which resource, and for how long at most."""

    workflow: Literal["oneAtATimeWorkflow"]
    resource_id: str = Field(alias="resourceId")
    owner: str | None = None
    sleep_for_ms: int = Field(500, alias="sleepForMS")
    lock_timeout_ms: int = Field(1000, alias="lockTimeoutMS")


def resume(ctx: WorkflowContext, thread: str, ref: str, value: object) -> None:
    """Answer a ref of another thread."""
    ctx.output_json("workflow-resume", {"ref": ref, "value": value}, key=thread)


class Lock:
    """Who holds a lock, and who waits for it, in the order of their requests."""

    def __init__(self, ctx: WorkflowContext, lock_id: str) -> None:
        """Begin with a lock that nobody holds."""
        self.ctx = ctx
        self.lock_id = lock_id
        self.holder: str | None = None
        self.release_ref: str | None = None
        self.timeout_ref: str | None = None
        self.timeout_key: str | None = None  # where the scheduler ends the holder's time
        self.queue: list[Request] = []

    def state(self) -> dict[str, Any]:
        """Say how things stand, as a record."""
        return {
            "lockId": self.lock_id,
            "holder": self.holder,
            "releaseRef": self.release_ref,
            "timeoutRef": self.timeout_ref,
            "timeoutKey": self.timeout_key,
            "queue": self.queue,
        }

    def acquire(self, request: Request) -> None:
        """Give the lock to whoever asks for it, or let them wait in the queue."""
        if self.holder is None:
            self.grant(request)
            return
        self.queue.append(request)
        queued = {"lockId": self.lock_id, "owner": request["owner"], "position": len(self.queue)}
        self.ctx.output_json(QUEUED, queued, key=request["owner"])

    def grant(self, request: Request) -> None:
        """Make somebody the holder, and tell them by which ref to give the lock back."""
        owner = self.holder = request["owner"]
        self.release_ref = request.get("releaseRef") or f"release:{self.lock_id}:{owner}"
        if (milliseconds := request.get("timeoutMS")) is not None:
            self.timeout_ref = f"timeout:{self.release_ref}"
            self.timeout_key = self.ctx.ref_id(self.timeout_ref).key
            self.ctx.output(SCHEDULER, str(milliseconds or "+0"), key=self.timeout_key)
        self.ctx.output_json(ACQUIRED, {"lockId": self.lock_id, "owner": owner}, key=owner)
        if request.get("replyThread") and request.get("replyRef"):
            granted = {"lockId": self.lock_id, "owner": owner, "releaseRef": self.release_ref}
            resume(self.ctx, request["replyThread"], request["replyRef"], granted)

    def release(self, owner: str) -> None:
        """Take the lock back from its holder; nobody else can give it back."""
        if owner != self.holder:
            invalid = {"lockId": self.lock_id, "owner": owner, "holder": self.holder}
            self.ctx.output_json(INVALID_RELEASE, invalid, key=owner)
            return
        if self.timeout_key:
            self.ctx.output(SCHEDULER, "0", key=self.timeout_key)
        self.pass_on()

    def pass_on(self) -> None:
        """Take the lock from whoever has it, and grant it to the next in the queue."""
        self.holder = self.release_ref = self.timeout_ref = self.timeout_key = None
        if self.queue:
            self.grant(self.queue.pop(0))

    async def next_command(self) -> Command:
        """Wait for a command, and where somebody holds the lock also for its release and the end of their time."""
        waiting = [self.command()]
        if self.release_ref:
            waiting.append(self.released(self.release_ref))
        if self.timeout_ref:
            waiting.append(self.timed_out(self.timeout_ref))
        command: Command = await self.ctx.race(waiting)
        return command

    async def command(self) -> Command:
        """Wait for a command from outside."""
        command: Command = await self.ctx.ref_id("main")
        return command

    async def released(self, ref: str) -> Command:
        """Wait until the holder gives the lock back."""
        match await self.ctx.ref_id(ref):
            case {"owner": str(owner)}:
                return {"type": "release", "owner": owner}
        return {"type": "release", "owner": self.holder}

    async def timed_out(self, ref: str) -> Command:
        """Wait until the holder has had it for too long."""
        await self.ctx.ref_id(ref)
        return {"type": "timeout"}


async def lock(ctx: WorkflowContext, asked: LockInput) -> dict[str, Any]:
    """Grant a lock to one at a time until it is shut down."""
    lock = Lock(ctx, asked.lock_id)
    while True:
        match await lock.next_command():
            case {"type": "acquire", "owner": str(owner), **given}:
                lock.acquire({"owner": owner} | {name: given[name] for name in OPTIONS if name in given})
            case {"type": "release", "owner": str(owner)}:
                lock.release(owner)
            case {"type": "timeout"}:
                lock.pass_on()
            case {"type": "query"}:
                ctx.output_json(STATE, lock.state())
            case {"type": "shutdown"}:
                return lock.state()


async def one_at_a_time(ctx: WorkflowContext, asked: ContenderInput) -> dict[str, str]:
    """Do some work that only one may do at a time."""
    resource = asked.resource_id
    owner = asked.owner or ctx.thread_key
    held = {"resourceId": resource, "owner": owner}
    granted = await granted_lock(ctx, asked, owner)
    ctx.output_json(LOCKED, held | {"releaseRef": granted["releaseRef"]}, key=owner)

    done = ctx.ref("critical-section")
    ctx.output_json(CRITICAL_SECTION, held | {"sleepForMS": asked.sleep_for_ms, "ref": done.id}, key=owner)
    await done

    resume(ctx, resource, granted["releaseRef"], {"owner": owner})
    ctx.output_json(UNLOCKED, held, key=owner)
    return held


async def granted_lock(ctx: WorkflowContext, asked: ContenderInput, owner: str) -> dict[str, str]:
    """Ask the lock of the resource, which is started if need be, and wait for the turn."""
    reply = ctx.ref("lock-acquired")
    request = {
        "type": "acquire",
        "owner": owner,
        "replyThread": ctx.thread_key,
        "replyRef": reply.id,
        "releaseRef": f"{owner}:release:{reply.id}",
        "timeoutMS": asked.lock_timeout_ms,
    }
    ctx.ensure_thread(asked.resource_id, {"workflow": "lockWorkflow", "lockId": asked.resource_id})
    resume(ctx, asked.resource_id, "main", request)
    granted: dict[str, str] = await reply
    return granted


@workflow(name="mutex", outputs=TOPICS)
async def mutex(ctx: WorkflowContext, asked: ContenderInput | LockInput) -> dict[str, Any]:
    """Be a lock, or one of those who need it."""
    if isinstance(asked, LockInput):
        return await lock(ctx, asked)
    return await one_at_a_time(ctx, asked)


workflows = [mutex]
