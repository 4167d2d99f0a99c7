"""The signs of an owner: renewals of its record, by which others see that it is there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from holdfast.engine.commits.partition import RENEW_SECONDS

if TYPE_CHECKING:
    from holdfast.core.errors import StoreError
    from holdfast.engine.commits.committer import Committer
    from holdfast.engine.commits.partition import Partition

__all__ = ["Signs"]


class Signs:
    """Shows now and then that the owner is alive, so that whoever waits for the runs goes on waiting.

    While the store does not answer signs do not pile up: each names the version of the one before it.
    """

    def __init__(self, partition: Partition, committer: Committer) -> None:
        """Show it for that partition; whoever needs a proof of its lease gets a sign at once."""
        self._partition = partition
        self._committer = committer
        self._waits = False
        partition.lease.ask = self.show

    async def run(self) -> None:
        """Show it until cancelled."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            self.show()

    def show(self) -> None:
        """Show it with the next commit, unless a sign is on its way already."""
        if not self._waits:
            self._waits = True
            self._committer.add_chore([self._partition.renewal()], self._shown, self._refused)

    def _shown(self) -> None:
        self._waits = False
        if self._partition.lease.is_asked_for:  # it was sent too long ago to prove anything now
            self.show()

    def _refused(self, _error: StoreError) -> None:
        self._waits = False
