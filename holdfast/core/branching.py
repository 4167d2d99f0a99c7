"""What workflow code can do with several things at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.core.combinators import All, AllSettled, Any_, Branches, Race, Settled, Shielded, branches_of
from holdfast.core.completion import CompletionOrder
from holdfast.core.scopes import CancellationScope, outside_scopes

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Iterable

    from holdfast.core.instance import Instance

__all__ = ["BranchCalls"]

T = TypeVar("T")


class BranchCalls:
    """The part of `WorkflowContext` that runs branches side by side and cancels them together.

    Branches are given one by one, or as one iterable. They start when the call is made, in their order, and each call
    gives a future at once. It is settled when every branch that it cancels has unwound; who cancels it cancels its
    branches.
    """

    __slots__ = ()

    _run: Instance

    def race(self, *branches: Branches) -> asyncio.Future[Any]:
        """Take the outcome of the branch that settles first, and cancel the others.

        Whether that one returns or raises, so does this. Without branches it never settles.
        """
        return Race(self._run, self._started(branches))

    def all(self, *branches: Branches) -> asyncio.Future[list[Any]]:
        """Take the results of all branches, in their order; if one raises, cancel the others and raise the same."""
        return All(self._run, self._started(branches))

    def any(self, *branches: Branches) -> asyncio.Future[Any]:
        """Take the result of the branch that returns first, and cancel the others.

        Raises:
            AggregateError: None returned.
        """
        return Any_(self._run, self._started(branches))

    def all_settled(self, *branches: Branches) -> asyncio.Future[list[Settled]]:
        """Say of each branch, in their order, how it ended; none is cancelled for another."""
        return AllSettled(self._run, self._started(branches))

    def shield(self, work: Awaitable[T]) -> asyncio.Future[T]:
        """Keep work from being cancelled: who waits for it and is cancelled waits until it ends, and is cancelled then.

        A coroutine begins outside of the scopes that are active here, so that its own scopes belong to none of them.
        ``asyncio.shield`` lets go of the work at once instead.
        """
        with outside_scopes():
            (started,) = self._started((work,))
        return Shielded(self._run, started)

    def cancellation_scope(self) -> CancellationScope:
        """Make a scope: work that can be cancelled together. It belongs to the one that is active here, if any."""
        self._run.check_commands_allowed("make a scope")
        return CancellationScope(self._run)

    def as_completed(self, awaitables: Iterable[Awaitable[T]]) -> CompletionOrder[T]:
        """Iterate over awaitables in the order they complete, as `asyncio.as_completed` does, but deterministically."""
        return CompletionOrder(awaitables)

    def _started(self, branches: tuple[Branches, ...]) -> list[asyncio.Future[Any]]:
        self._run.check_commands_allowed("start a branch")
        return branches_of(branches)
