"""Ask for a greeting and wait for it: one record goes out, one comes back, one result.

A ref is what a workflow waits for from outside. Its id travels in the request; whoever has the answer sends it to
``workflow-resume`` under the key of the thread: ``{"ref": "<the id>", "value": {"greeting": "Hello, Ada"}}``.

Started by a record of ``workflow-resume``: ``new:{"name": "Ada"}``.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast import WorkflowContext, workflow


@dataclass(frozen=True)
class Guest:
    """Who is to be greeted."""

    name: str


@dataclass(frozen=True)
class Greeting:
    """The answer, and the result."""

    greeting: str


@workflow(name="workflow-minimal", outputs=["minimal-greeting-request"])
async def minimal(ctx: WorkflowContext, guest: Guest) -> Greeting:
    """Give back the greeting that a service has for the guest."""
    reply = ctx.ref("greeting", type=Greeting)
    ctx.output_json("minimal-greeting-request", {"name": guest.name, "ref": reply.id})
    greeting: Greeting = await reply
    return greeting


workflows = [minimal]
