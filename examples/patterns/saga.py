"""Saga: what was done is undone, last first, when something later fails.

There is no transaction around several services. So each step says, before it begins, how it is undone: afterwards may
be too late, for a step whose answer never came may have been done all the same. What undoes a step must therefore do
no harm where the step came to nothing.

What cannot be undone either does not keep the others from being undone. It is told to people, by a record of topic
``saga-not-undone``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from holdfast import CancelToken, RetryPolicy, WorkflowContext, activity, workflow

NOT_UNDONE = "saga-not-undone"


class Saga:
    """The body of an ``async with``, which is undone if it raises or is cancelled; the error goes on."""

    def __init__(self, ctx: WorkflowContext) -> None:
        self._ctx = ctx
        self._undo: list[tuple[str, Callable[[], Awaitable[Any]]]] = []

    def undo_by(self, step: str, undo: Callable[[], Awaitable[Any]]) -> None:
        """Say how a step is undone, before it is done."""
        self._undo.append((step, undo))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if isinstance(error, (Exception, CancelToken)):  # and not GeneratorExit: a run that leaves memory goes on later
            await self._ctx.shield(self._undo_all())

    async def _undo_all(self) -> None:
        while self._undo:
            step, undo = self._undo.pop()
            try:
                await undo()
            except (Exception, CancelToken) as error:
                self._ctx.logger.exception("could not undo %s", step)
                self._ctx.output_json(NOT_UNDONE, {"step": step, "error": str(error)})


@dataclass(frozen=True)
class Account:
    """An account that is to be opened."""

    id: str
    email: str


@activity
async def create_account(account: Account) -> None:
    """Make the account."""


@activity(retry=RetryPolicy(max_attempts=10))
async def delete_account(account: Account) -> None:
    """Delete the account, if there is one."""


@activity
async def subscribe(account: Account) -> None:
    """Send the news to its address."""


@activity(retry=RetryPolicy(max_attempts=10))
async def unsubscribe(account: Account) -> None:
    """Send them no more, if they are sent."""


@activity
async def invite(account: Account) -> None:
    """Send the link to the account: what cannot be undone comes last."""


@workflow(outputs=[NOT_UNDONE])
async def open_account(ctx: WorkflowContext, account: Account) -> str:
    """Open an account with all that belongs to it, or leave nothing behind."""
    async with Saga(ctx) as saga:
        saga.undo_by("create_account", lambda: ctx.execute_activity(delete_account, account))
        await ctx.execute_activity(create_account, account)
        saga.undo_by("subscribe", lambda: ctx.execute_activity(unsubscribe, account))
        await ctx.execute_activity(subscribe, account)
        await ctx.execute_activity(invite, account)
    return account.id


workflows = (open_account,)
activities = (create_account, delete_account, subscribe, unsubscribe, invite)
