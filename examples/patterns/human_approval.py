"""Human approval: people are asked one after another, until one of them decides.

`holdfast.patterns.human_task` asks one person and waits. Here are the rules around it: who does not answer in time is
passed over for the next; an answer that cannot be read is asked for again; and where nobody answers, that is a no.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from holdfast import PayloadError, WorkflowContext, workflow
from holdfast.patterns import human_task

REQUESTS = "approval-requests"


@dataclass(frozen=True)
class Decision:
    """What a person answers, or what is taken for the answer."""

    approved: bool
    by: str
    reason: str = ""


async def approval(
    ctx: WorkflowContext, request: object, approvers: Sequence[str], *, each: timedelta, again: int = 3
) -> Decision:
    """Ask people for their approval, each for some time.

    Args:
        ctx: The run, of a workflow that declares the topic ``approval-requests``.
        request: What is to be approved.
        approvers: Who is asked, in this order.
        each: How long to wait for each of them.
        again: How often to ask somebody whose answers cannot be read.
    """
    for approver in approvers:
        for _ in range(again):
            try:
                asked = {"approver": approver, "request": request}
                return await human_task(ctx, REQUESTS, asked, timeout=each, type=Decision)  # type: ignore[no-any-return]
            except PayloadError:
                continue
            except TimeoutError:
                break
    return Decision(approved=False, by="nobody", reason="nobody has decided in time")


@dataclass(frozen=True)
class Purchase:
    """What somebody wants to buy."""

    what: str
    cents: int


@workflow(outputs=[REQUESTS])
async def approve_purchase(ctx: WorkflowContext, purchase: Purchase) -> Decision:
    """Have a purchase approved by the team's lead, else by the head of the department."""
    return await approval(ctx, purchase, ["lead", "head"], each=timedelta(days=2))


workflows = (approve_purchase,)
