"""For how long an owner may trust that it is one: less long than a newcomer waits before it takes the runs.

A process that was stopped, or cut off from its store, cannot know whether it has been replaced meanwhile. What it
writes is refused, but an activity is not a write: so before one begins the owner has to have proved itself lately.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PATIENCE_SECONDS", "Lease"]

PATIENCE_SECONDS: Final = 10.0
"""For how long the signs of an owner have to stand still before a newcomer takes its runs."""
_LEASE_SECONDS: Final = 9.0
"""Less, for two clocks may differ in their pace, and what begins takes a moment to begin."""


class Lease:
    """The time since an owner has last shown that it is one, by a commit of its record.

    Other commits prove nothing here: a newcomer does not see them, and counts from the last sign that it saw.

    Attributes:
        ask: Called when somebody needs a proof.
    """

    def __init__(self) -> None:
        """Begin without a proof."""
        self.ask: Callable[[], None] = lambda: None
        self._loop = asyncio.get_running_loop()
        self._until = -math.inf
        self._waiting: list[asyncio.Future[None]] = []
        self._is_revoked = False

    @property
    def holds(self) -> bool:
        """Whether nobody else can have the runs yet; may be asked on any thread."""
        return self._loop.time() < self._until and not self._is_revoked

    @property
    def is_asked_for(self) -> bool:
        """Whether somebody waits for a proof."""
        return bool(self._waiting)

    def proved(self, sent: float) -> None:
        """Note that a sign went through, which was sent at that time of the loop."""
        self._until = max(self._until, sent + _LEASE_SECONDS)
        if self._waiting and self.holds:
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)

    def hold_for_ever(self) -> None:
        """Need no proof: nobody else can open the store."""
        self._until = math.inf

    def revoke(self) -> None:
        """Hold no more, and never again: another process has the runs."""
        self._is_revoked = True

    def proof(self) -> asyncio.Future[None]:
        """Ask for a proof, and give what is done once there is one."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(future)
        if len(self._waiting) == 1:
            self.ask()
        return future
