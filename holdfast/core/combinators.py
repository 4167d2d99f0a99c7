"""Branches that run together and are cancelled together: race, all, any, all_settled, and shield.

Each is a future. Its branches are running when it is made; it is settled once they have settled or, where the outcome
is known before that, once those that are cancelled for it have unwound. Who cancels it cancels its branches, and waits
for them likewise. A branch is cancelled only after its first step, so that what it does there and what it undoes when
it is cancelled go together.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from holdfast.core.errors import AggregateError
from holdfast.core.lineage import WorkflowFuture, cancel_begun

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Sequence

    from holdfast.core.instance import Instance

__all__ = ["All", "AllSettled", "Any_", "Branches", "Race", "Settled", "Shielded", "branches_of"]

Branches: TypeAlias = "Awaitable[Any] | Iterable[Awaitable[Any]]"
"""A branch, or all of them."""


@dataclass(frozen=True, slots=True)
class Settled:
    """How one branch has ended.

    Attributes:
        status: ``fulfilled`` where it returned, ``rejected`` where it raised or was cancelled.
        value: What it returned.
        reason: What it raised.
    """

    status: Literal["fulfilled", "rejected"]
    value: Any = None
    reason: BaseException | None = None

    @classmethod
    def of(cls, branch: asyncio.Future[Any]) -> Settled:
        """Say how a branch that is done has ended."""
        reason = _reason(branch)
        return cls("fulfilled", branch.result()) if reason is None else cls("rejected", None, reason)


def branches_of(given: tuple[Branches, ...]) -> list[asyncio.Future[Any]]:
    """Start whatever is not running yet, in order.

    Args:
        given: The branches, or one iterable of them.

    Raises:
        TypeError: One of them cannot be awaited. Those before it are cancelled.
    """
    only = given[0] if len(given) == 1 else None
    branches: Iterable[Any] = only if only is not None and not hasattr(only, "__await__") else given
    started: list[asyncio.Future[Any]] = []
    try:
        started.extend(asyncio.ensure_future(branch) for branch in branches)
    except BaseException:
        for branch in started:
            cancel_begun(branch)
        raise
    return started


class _Combination(WorkflowFuture):
    """What all combinators share: when branches are cancelled, and when the outcome is delivered."""

    __slots__ = ("_asked_to_cancel", "_branches", "_message", "_open", "_outcome")

    def __init__(self, run: Instance, branches: Sequence[asyncio.Future[Any]]) -> None:
        """Wait for branches that run."""
        super().__init__(run.loop, run.loop.next_order())
        self._branches = branches
        self._open = dict.fromkeys(branches)
        self._outcome: asyncio.Future[Any] | None = None
        self._asked_to_cancel = False
        self._message: Any = None
        for branch in self._open:
            branch.add_done_callback(self._on_settled)
        if not branches:
            self.finish()

    def decides(self, branch: asyncio.Future[Any]) -> bool:
        """Say whether a branch that has settled decides the outcome, whatever the others do."""
        raise NotImplementedError

    def finish(self) -> None:
        """Deliver the outcome that no single branch has decided."""
        raise NotImplementedError

    def cancel(self, msg: Any = None) -> bool:  # noqa: ANN401 - as asyncio has it
        """Cancel the branches; this is cancelled once they have unwound."""
        if self.done():
            return False
        self._asked_to_cancel, self._message = True, msg
        if not self._open:
            return super().cancel(msg)
        self._cancel_open(msg)
        return True

    def _cancel_open(self, msg: Any = None) -> None:  # noqa: ANN401 - as asyncio has it
        for branch in self._open:
            cancel_begun(branch, msg)

    def _on_settled(self, branch: asyncio.Future[Any]) -> None:
        del self._open[branch]
        _reason(branch)  # counts as seen: what comes after the outcome is of no interest
        if self.done():
            return
        if self._outcome is None and not self._asked_to_cancel and self.decides(branch):
            self._outcome = branch
            self._cancel_open()
        if not self._open:
            self._deliver()

    def _deliver(self) -> None:
        if self._asked_to_cancel:
            super().cancel(self._message)
        elif self._outcome is not None:
            _copy(self._outcome, self)
        else:
            self.finish()


class Race(_Combination):
    """The first branch that settles decides, however it does; without branches there is never an outcome."""

    __slots__ = ()

    def decides(self, branch: asyncio.Future[Any]) -> bool:  # noqa: ARG002 - whichever it is
        """Let the first one decide."""
        return True

    def finish(self) -> None:
        """Go on waiting."""


class All(_Combination):
    """The results of all branches, in their order; the first that is rejected decides."""

    __slots__ = ()

    def decides(self, branch: asyncio.Future[Any]) -> bool:
        """Let one that is rejected decide."""
        return _reason(branch) is not None

    def finish(self) -> None:
        """Give all results."""
        self.set_result([branch.result() for branch in self._branches])


class Any_(_Combination):  # noqa: N801 - the name without it is typing's
    """The first branch that is fulfilled decides; if none is, all reasons are raised together, in their order."""

    __slots__ = ()

    def decides(self, branch: asyncio.Future[Any]) -> bool:
        """Let one that is fulfilled decide."""
        return _reason(branch) is None

    def finish(self) -> None:
        """Raise all reasons."""
        reasons = [_reason(branch) for branch in self._branches]
        self.set_exception(AggregateError([reason for reason in reasons if reason is not None]))


class AllSettled(_Combination):
    """How each branch has settled, in their order; none is cancelled for another."""

    __slots__ = ()

    def decides(self, branch: asyncio.Future[Any]) -> bool:  # noqa: ARG002 - whichever it is
        """Let none decide."""
        return False

    def finish(self) -> None:
        """Tell of all."""
        self.set_result([Settled.of(branch) for branch in self._branches])


class Shielded(WorkflowFuture):
    """Work that goes on when who waits for it is cancelled: that one waits until it ends, and is cancelled then."""

    __slots__ = ("_asked_to_cancel", "_message")

    def __init__(self, run: Instance, work: asyncio.Future[Any]) -> None:
        """Wait for work that runs."""
        super().__init__(run.loop, run.loop.next_order())
        self._asked_to_cancel = False
        self._message: Any = None
        work.add_done_callback(self._on_done)

    def cancel(self, msg: Any = None) -> bool:  # noqa: ANN401 - as asyncio has it
        """Remember to cancel whoever waits, once the work has ended."""
        if self.done():
            return False
        self._asked_to_cancel, self._message = True, msg
        return True

    def _on_done(self, work: asyncio.Future[Any]) -> None:
        _reason(work)
        if self._asked_to_cancel:
            super().cancel(self._message)
        else:
            _copy(work, self)


def _reason(branch: asyncio.Future[Any]) -> BaseException | None:
    """Give what a branch was rejected with; None where it was fulfilled."""
    return asyncio.CancelledError() if branch.cancelled() else branch.exception()


def _copy(source: asyncio.Future[Any], target: WorkflowFuture) -> None:
    if source.cancelled():
        asyncio.Future.cancel(target)
    elif (reason := source.exception()) is not None:
        target.set_exception(reason)
    else:
        target.set_result(source.result())
