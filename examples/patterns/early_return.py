"""Early return: who starts a run learns soon whether it will do, while the run goes on for as long as it takes.

Who starts the run asks with its input. Anybody else may ask by a record while it goes on: ``{"ref": "first-answer",
"value": {"reply": "r-1"}}``. Who asks before there is an answer waits for it; who asks later gets it at once. Of a run
that has ended there is more to be heard than that: its result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from holdfast import WorkflowContext, activity, workflow

ANSWERS = "early-answers"


class FirstAnswer:
    """An answer that is given while its run goes on, to everybody who asks.

    The run's workflow declares the topic ``early-answers``; the records have the asker's ``reply`` as their key.
    """

    def __init__(self, ctx: WorkflowContext, asked_by: Iterable[str]) -> None:
        self._ctx = ctx
        self._asked = list(asked_by)
        self._answer: dict[str, Any] | None = None
        self._listening = asyncio.create_task(self._listen())

    def give(self, value: object) -> None:
        """Answer everybody with a value, now and later."""
        self._tell({"value": value})

    def refuse(self, error: object) -> None:
        """Answer everybody that it will not do, and why."""
        self._tell({"error": str(error)})

    def _tell(self, answer: dict[str, Any]) -> None:
        self._answer = answer
        while self._asked:
            self._reply(self._asked.pop(0), answer)

    def _reply(self, reply: str, answer: dict[str, Any]) -> None:
        self._ctx.output_json(ANSWERS, {"reply": reply, **answer}, key=reply)

    async def _listen(self) -> None:
        while True:
            match await self._ctx.ref_id("first-answer"):
                case {"reply": str(reply)} if reply and self._answer is None:
                    self._asked.append(reply)
                case {"reply": str(reply)} if reply and self._answer is not None:
                    self._reply(reply, self._answer)


@dataclass(frozen=True)
class Transfer:
    """Money that is to go from one account to another, and who wants to know soon whether it will."""

    source: str
    target: str
    cents: int
    asked_by: list[str] = field(default_factory=list)


@activity
async def reserve(transfer: Transfer) -> str:
    """Set the money aside, and give the number of the transfer."""
    return f"{transfer.source}-{transfer.target}-{transfer.cents}"


@activity
async def settle(number: str) -> None:
    """Let the banks settle, which may take days."""


@workflow(outputs=[ANSWERS])
async def transfer_money(ctx: WorkflowContext, transfer: Transfer) -> str:
    """Set money aside, say so, and see the transfer through."""
    first_answer = FirstAnswer(ctx, transfer.asked_by)
    try:
        number = await ctx.execute_activity(reserve, transfer)
    except Exception as error:
        first_answer.refuse(error)
        raise
    first_answer.give(number)
    await ctx.execute_activity(settle, number)
    return number


workflows = (transfer_money,)
activities = (reserve, settle)
