"""Deleting what a purged run had stored, however much it was."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from holdfast.core.errors import CorruptDocumentError, StoreError
from holdfast.engine.records.documents import blob_key, page_key, past_key, run_key, unseal
from holdfast.engine.records.seen import Seen
from holdfast.engine.runs.starting import Swept
from holdfast.engine.work.waiters import Waiters
from holdfast.ports import ANY, Write

if TYPE_CHECKING:
    import logging

    from holdfast.engine.commits.committer import Committer
    from holdfast.engine.commits.reader import Reader
    from holdfast.engine.runs.items import Item

__all__ = ["Sweeper"]


class _Post(Protocol):
    async def ask(self, workflow_id: str, item: Item) -> object: ...


class Sweeper:
    """Follows the chain of past runs from a tombstone and deletes all of it, oldest documents last.

    If the process ends on the way, the tombstone still names what is left, and the next process goes on.

    Attributes:
        swept: Who waits until all of a workflow id is deleted.
    """

    def __init__(self, reader: Reader, committer: Committer, post: _Post, log: logging.Logger) -> None:
        """Delete nothing yet."""
        self._reader = reader
        self._committer = committer
        self._post = post
        self._log = log
        self.swept: Waiters[str, None] = Waiters()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """Whether a sweep is on its way."""
        return bool(self._tasks)

    def sweep(self, workflow_id: str) -> None:
        """Delete what the tombstone of a workflow id names."""
        task = asyncio.get_running_loop().create_task(self._sweep(workflow_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _sweep(self, workflow_id: str) -> None:
        await self._delete(workflow_id)
        self.swept.resolve(workflow_id, None)

    async def _delete(self, workflow_id: str) -> None:
        try:
            keys = await self._named_by(run_key(workflow_id))
        except CorruptDocumentError:
            words = "what workflow %r had stored cannot be found any more"
            self._log.exception(words, workflow_id, extra={"workflow_id": workflow_id})
            return
        deletions = [Write(key, None, ANY) for key in keys]
        if deletions:
            try:
                await self._committer.write(deletions)
            except StoreError:
                return  # the committer has logged it, and the tombstone still names what is left
        await self._post.ask(workflow_id, Swept())

    async def _named_by(self, key: str) -> list[str]:
        """List all documents that a head and those before it name, so that each is deleted before what names it."""
        named: list[list[str]] = []
        while key:
            found = (await self._reader.read([key])).get(key)
            if found is None:
                break
            head: dict[str, Any] = unseal(key, found.value)
            run_id = head["run_id"]
            own = [page_key(run_id, number) for number in range(head["pages"])]
            own += [blob_key(run_id, number) for number in range(head["blobs"])]
            own += Seen.sealed_keys(head.get("seen"))
            named.append(own if not named else [*own, key])
            key = past_key(head["previous"]) if head.get("previous") else ""
        return [name for names in reversed(named) for name in names]

    async def stop(self) -> None:
        """Leave the rest to the next process."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
