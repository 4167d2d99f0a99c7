"""A caller waits for an operation of another service, and takes it back if somebody cancels it first.

The operation and the cancellation are two branches of a race. Whichever wins, the other is cancelled; an operation that
is cancelled says so to its service, which may then stop. What the service answers after that is dropped.

Started by ``new:{"name": "Ada", "language": "fr"}``; cancelled by ``{"reason": "too slow"}`` to the ref ``cancel``.
What a service would answer is shown by ``new:{"kind": "service", "name": "Ada", "language": "fr"}``.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from holdfast import CancelToken, WorkflowContext, workflow

START_OPERATION = "temporal-nexus-cancel-start-operation"
AWAIT_CANCEL = "temporal-nexus-cancel-await-cancel"
CANCEL_OPERATION = "temporal-nexus-cancel-cancel-operation"

GREETINGS = {"en": "Hello", "fr": "Bonjour", "de": "Hallo", "es": "Hola", "tr": "Merhaba"}


class Caller(BaseModel, frozen=True):
    """Who is to be greeted by the other service."""

    kind: Literal["caller"] = "caller"
    name: str
    language: str


class Service(BaseModel, frozen=True):
    """Who is to be greeted here."""

    kind: Literal["service"]
    name: str
    language: str


def greet(service: Service) -> dict[str, str]:
    """Greet somebody in their language."""
    if service.language not in GREETINGS:
        message = f"Unsupported language: {service.language}"
        raise ValueError(message)
    return {"message": f"{GREETINGS[service.language]}, {service.name}!"}


async def completed(ctx: WorkflowContext, caller: Caller) -> str:
    """Start the operation, and wait for its message; take it back if nobody waits for it any more."""
    operation = ctx.ref("operation")
    named = {"operationId": f"{caller.name}:{caller.language}:hello", "ref": operation.id}
    ctx.output_json(START_OPERATION, named | {"name": caller.name, "language": caller.language})
    try:
        result: dict[str, str] = await operation
    except CancelToken:
        ctx.output_json(CANCEL_OPERATION, named)
        raise
    return result["message"]


async def cancelled(ctx: WorkflowContext) -> dict[str, str]:
    """Wait until somebody wants no answer any more."""
    ctx.output_json(AWAIT_CANCEL, {"ref": "cancel"})
    match await ctx.ref_id("cancel"):
        case {"reason": str(reason)}:
            return {"status": "cancelled", "reason": reason}
    return {"status": "cancelled", "reason": "cancel requested"}


@workflow(name="nexus-cancellation", outputs=[START_OPERATION, AWAIT_CANCEL, CANCEL_OPERATION])
async def nexus_cancellation(ctx: WorkflowContext, asked: Caller | Service) -> str | dict[str, str]:
    """Call an operation that can be cancelled, or be one."""
    if isinstance(asked, Service):
        return greet(asked)
    outcome: str | dict[str, str] = await ctx.race(completed(ctx, asked), cancelled(ctx))
    return outcome


workflows = [nexus_cancellation]
