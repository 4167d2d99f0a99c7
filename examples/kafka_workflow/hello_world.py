"""Call a service as if it were a function: ask by a record, and await the answer.

``greet`` is all that an activity needs where the worker listens to a topic: it makes a ref, sends the ref's id along
with the request, and awaits the ref. The workflow itself does not see that there are records.

Started by a record of ``workflow-resume``: ``new:{"name": "Temporal"}``.
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
    """The answer of the service, and the result."""

    greeting: str


async def greet(ctx: WorkflowContext, name: str) -> Greeting:
    """Have the greeting service greet somebody."""
    reply = ctx.ref("greet", type=Greeting)
    ctx.output_json("temporal-hello-world-greet", {"name": name, "ref": reply.id})
    greeting: Greeting = await reply
    return greeting


@workflow(name="hello-world", outputs=["temporal-hello-world-greet"])
async def hello_world(ctx: WorkflowContext, guest: Guest) -> Greeting:
    """Greet one guest."""
    return await greet(ctx, guest.name)


workflows = [hello_world]
