"""Ten ways to cancel, or not to cancel, what a workflow waits for; ``mode`` chooses one.

Three things can be waited for here: a timer of the scheduler, a GET and a POST. Each tells its service when it is
cancelled, in an ``except CancelToken`` that ends with ``raise``: whoever cancels waits until that is done. What differs
is who cancels, and when. In the last five modes nobody does; ``sharedScopes`` and ``shieldAwaitedActivity`` do not even
wait for the answers to their requests, so the ids that they send along are names for people and not refs.

Started by a record of ``workflow-resume``: ``new:{"mode": "cancelTimer"}``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field, NonNegativeInt

from holdfast import CancelToken, WorkflowContext, workflow

Mode = Literal[
    "cancelTimer",
    "cancelTimerAltImpl",
    "cleanupAfterCancel",
    "externalCancellationCleanup",
    "multipleActivitiesSingleTimeout",
    "nonCancellable",
    "resumeAfterCancellation",
    "cancellationScopesWithCallbacks",
    "sharedScopes",
    "shieldAwaitedActivity",
]
Result = dict[str, Any]

SCHEDULER = "workflow-scheduler"
SAYS = "temporal-cancellation-scopes"
SAID = (
    *("timer-cancelled", "cleanup", "cancel-observed", "shared-winner"),
    *("await-timeout", "await-cancel", "callback-scheduled", "callback-resolved"),
    *("http-get", "http-get-cancel", "http-post", "http-post-cancel"),
)


class Request(BaseModel, frozen=True):
    """Which mode, and what it is to work on."""

    mode: Mode
    urls: list[str] | None = None
    timeout_ms: int = Field(1000, alias="timeoutMS")
    data: Any = None

    def url(self, fallback: str) -> str:
        """Give the first address, or another where there is none."""
        return self.urls[0] if self.urls else fallback

    def all_urls(self) -> list[str]:
        """Give the addresses, or two where nothing is said about them."""
        return ["https://example.com/1", "https://example.com/2"] if self.urls is None else self.urls


@dataclass(frozen=True)
class Answer:
    """What a GET brings."""

    value: Any = None


@dataclass(frozen=True)
class Cancel:
    """What comes for the ref ``cancel``."""

    reason: str = "cancel requested"


@dataclass(frozen=True)
class First:
    """What comes for the ref ``shared:first``."""

    index: NonNegativeInt
    value: Any = None


def say(ctx: WorkflowContext, what: str, **record: object) -> None:
    """Publish a record on one of the topics of this demo."""
    ctx.output_json(f"{SAYS}-{what}", record)


async def sleep(ctx: WorkflowContext, milliseconds: int, name: str) -> None:
    """Wait for the scheduler, and call off its timer if nobody waits for it any more."""
    timer = ctx.ref(name)
    ctx.output(SCHEDULER, str(milliseconds), key=timer.key)
    try:
        await timer
    except CancelToken:
        ctx.output(SCHEDULER, "0", key=timer.key)
        raise


async def get(ctx: WorkflowContext, url: str) -> Any:  # noqa: ANN401 - any JSON value
    """Have a worker fetch something."""
    reply = ctx.ref(f"get:{url}", type=Answer)
    say(ctx, "http-get", url=url, ref=reply.id)
    try:
        return (await reply).value
    except CancelToken:
        say(ctx, "http-get-cancel", url=url, ref=reply.id)
        raise


async def post(ctx: WorkflowContext, url: str) -> None:
    """Have a worker send something, and clean up after it if that is cancelled."""
    reply = ctx.ref(f"post:{url}")
    say(ctx, "http-post", url=url, ref=reply.id)
    try:
        await reply
    except CancelToken:
        say(ctx, "http-post-cancel", url=url, ref=reply.id)
        say(ctx, "cleanup", url=url)
        raise


async def cancel_asked(ctx: WorkflowContext) -> Cancel:
    """Wait until somebody asks for an end."""
    asked = ctx.ref_id("cancel", type=Cancel)
    say(ctx, "await-cancel", ref=asked.id)
    cancel: Cancel = await asked
    return cancel


async def time_over(ctx: WorkflowContext, milliseconds: int) -> None:
    """Wait until somebody says that the time is over."""
    over = ctx.ref_id("timeout")
    say(ctx, "await-timeout", timeoutMS=milliseconds, ref=over.id)
    await over


async def at_once() -> None:
    """End before anything else does."""


async def cancel_timer(ctx: WorkflowContext, _request: Request) -> Result:
    """A race cancels the branch that loses it, even if that has only just begun."""
    await ctx.race(sleep(ctx, 60_000, "timer"), at_once())
    say(ctx, "timer-cancelled", timer="timer")
    return {"status": "timer-cancelled"}


async def cancel_timer_by_scope(ctx: WorkflowContext, _request: Request) -> Result:
    """A scope cancels what was started in it."""
    scope = ctx.cancellation_scope()
    scope.start(sleep(ctx, 60_000, "timer-alt"))
    scope.cancel()
    await scope.unwound()
    say(ctx, "timer-cancelled", timer="timer-alt")
    return {"status": "timer-cancelled-alt"}


async def clean_up_after_cancel(ctx: WorkflowContext, request: Request) -> Result:
    """What is cancelled cleans up before the race is over."""
    await ctx.race(post(ctx, request.url("https://example.com/post")), at_once())
    return {"status": "cleaned-up"}


async def clean_up_when_asked(ctx: WorkflowContext, request: Request) -> Result:
    """A message from outside wins the race, so it cancels."""
    posted = post(ctx, request.url("https://example.com/post"))
    cancel: Cancel | None = await ctx.race(posted, cancel_asked(ctx))
    if cancel is None:
        return {"status": "completed"}
    data = {"ok": True} if request.data is None else request.data
    return {"status": "cleaned-up-after-external-cancel", "reason": cancel.reason, "data": data}


async def cancel_together(ctx: WorkflowContext, request: Request) -> Result:
    """One time-out cancels every request that is still on its way."""
    fetched = ctx.all(get(ctx, url) for url in request.all_urls())
    values: list[Any] | None = await ctx.race(fetched, time_over(ctx, request.timeout_ms))
    return {"status": "timed-out"} if values is None else {"status": "completed", "values": values}


async def see_through(ctx: WorkflowContext, request: Request) -> Result:
    """A shield keeps cancellation away from what is behind it."""
    value = await ctx.shield(get(ctx, request.url("https://example.com/get")))
    return {"status": "completed", "value": value}


async def wait_after_cancel(ctx: WorkflowContext, request: Request) -> Result:
    """A message that asks for an end is only a message: the workflow may note it, and still wait for its answer."""
    url = request.url("https://example.com/get")
    reply = ctx.ref(f"resume-after-cancel:{url}", type=Answer)
    say(ctx, "http-get", url=url, ref=reply.id)
    cancel = await cancel_asked(ctx)
    say(ctx, "cancel-observed", url=url, reason=cancel.reason)
    return {"status": "resumed-after-cancel", "value": (await reply).value}


async def wait_for_callback(ctx: WorkflowContext, _request: Request) -> Result:
    """A ref is what a callback resumes."""
    callback = ctx.ref_id("callback")
    say(ctx, "callback-scheduled", ref=callback.id)
    await callback
    say(ctx, "callback-resolved", ref=callback.id)
    return {"status": "callback-resolved"}


async def take_first_of_shared(ctx: WorkflowContext, request: Request) -> Result:
    """Who reports that one of several requests was first leaves the others running."""
    shared = [{"url": url, "ref": f"shared-get:{index}"} for index, url in enumerate(request.all_urls())]
    for asked in shared:
        say(ctx, "http-get", **asked)
    first: First = await ctx.ref_id("shared:first", type=First)
    winner = {**shared[first.index], "value": first.value}
    say(ctx, "shared-winner", **winner)
    return {"status": "first-completed", "winner": winner}


async def leave_running(ctx: WorkflowContext, request: Request) -> Result:
    """A request goes on when the workflow that made it has ended."""
    url = request.url("https://example.com/get")
    reply = f"shielded-get:{url}"
    say(ctx, "http-get", url=url, ref=reply)
    return {"status": "cancel-observed-activity-kept-running", "shieldedRef": reply}


MODES: dict[Mode, Callable[[WorkflowContext, Request], Awaitable[Result]]] = {
    "cancelTimer": cancel_timer,
    "cancelTimerAltImpl": cancel_timer_by_scope,
    "cleanupAfterCancel": clean_up_after_cancel,
    "externalCancellationCleanup": clean_up_when_asked,
    "multipleActivitiesSingleTimeout": cancel_together,
    "nonCancellable": see_through,
    "resumeAfterCancellation": wait_after_cancel,
    "cancellationScopesWithCallbacks": wait_for_callback,
    "sharedScopes": take_first_of_shared,
    "shieldAwaitedActivity": leave_running,
}


@workflow(name="cancellation-scopes", outputs=[SCHEDULER, *(f"{SAYS}-{what}" for what in SAID)])
async def cancellation_scopes(ctx: WorkflowContext, request: Request) -> Result:
    """Go through one of the modes."""
    return await MODES[request.mode](ctx, request)


workflows = [cancellation_scopes]
