"""A parent starts a child for each name, and puts together what they answer.

A child is a thread like any other. It is told the parent's key and the id of a ref there, and answers that ref when it
is done; so the parent waits for its children as it waits for anything else.

Started by ``new:{"workflow": "parent", "payload": {"names": ["Alice", "Bob"]}}``. What completes a child is a record to
its ref ``complete``; its request says under which key.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from holdfast import WorkflowContext, workflow
from holdfast.core.refs import Ref

REQUEST = "temporal-child-workflows-request"
CHILD_COMPLETED = "temporal-child-workflows-child-completed"

ChildResult = dict[str, str]
"""The ``name`` of a child, and its ``message``."""


class ParentPayload(BaseModel, frozen=True):
    """Who is to be greeted."""

    names: list[str]


class ChildPayload(BaseModel, frozen=True):
    """Who a child is, and to which ref of its parent it answers."""

    parent_thread_id: str = Field(alias="parentThreadId")
    parent_ref: str = Field(alias="parentRef")
    name: str


class ParentEnvelope(BaseModel, frozen=True):
    """What a parent is started with."""

    workflow: Literal["parent"]
    payload: ParentPayload


class ChildEnvelope(BaseModel, frozen=True):
    """What a child is started with."""

    workflow: Literal["child"]
    payload: ChildPayload


def start_child(ctx: WorkflowContext, number: int, name: str) -> Ref[ChildResult]:
    """Start a child, and give the ref that it answers."""
    reply = ctx.ref(f"child-{number}", type=ChildResult)
    payload = {"parentThreadId": ctx.thread_key, "parentRef": reply.id, "name": name}
    ctx.ensure_thread(f"{ctx.thread_key}:child:{name}", {"workflow": "child", "payload": payload})
    return reply


async def parent(ctx: WorkflowContext, asked: ParentPayload) -> str:
    """Start all children, wait for all of them, and join their messages in the order of their names."""
    replies = [start_child(ctx, number, name) for number, name in enumerate(asked.names)]
    children: list[ChildResult] = await ctx.all(replies)
    return "\n".join(child["message"] for child in children)


async def child(ctx: WorkflowContext, asked: ChildPayload) -> ChildResult:
    """Ask to be completed, and tell the parent when that is done."""
    completion = ctx.ref_id("complete")
    request = {"childThreadId": ctx.thread_key, "name": asked.name, "completeRef": completion.id}
    ctx.output_json(REQUEST, request)
    message = f"I am a child named {asked.name}"
    match await completion:
        case {"message": str(given)}:
            message = given
    result = {"name": asked.name, "message": message}
    ctx.output_json(CHILD_COMPLETED, result)
    ctx.output_json("workflow-resume", {"ref": asked.parent_ref, "value": result}, key=asked.parent_thread_id)
    return result


@workflow(name="child-workflows", outputs=[REQUEST, CHILD_COMPLETED])
async def child_workflows(ctx: WorkflowContext, envelope: ParentEnvelope | ChildEnvelope) -> str | ChildResult:
    """Be a parent, or one of its children."""
    if isinstance(envelope, ParentEnvelope):
        return await parent(ctx, envelope.payload)
    return await child(ctx, envelope.payload)


workflows = [child_workflows]
