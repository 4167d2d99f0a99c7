"""Messages that found no run: kept with the reason, shown, tried again, dropped."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from holdfast.core.errors import DeadLetterNotFoundError, FencedError, PayloadError, StoreError
from holdfast.core.ids import short_hash
from holdfast.engine.commits.committer import settle
from holdfast.engine.messages.envelope import read_envelope
from holdfast.engine.messages.routing import identity
from holdfast.engine.records.documents import dead_key
from holdfast.engine.records.letters import Letter, shortened
from holdfast.ports import ABSENT, ANY, Write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.engine.commits.committer import Committer
    from holdfast.engine.commits.letters import Letters, Told
    from holdfast.engine.commits.reader import Reader
    from holdfast.engine.messages.routing import Message
    from holdfast.engine.runs.world import World

__all__ = ["DeadLetters"]

_RING: Final = 10_000
"""How many are kept; the oldest gives way."""
_DIGEST: Final = 20
_PER_READ: Final = 100


class DeadLetters:
    """The dead letters of a partition.

    Attributes:
        partition: Its name.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place, by the parts that it stands between
        self, world: World, reader: Reader, committer: Committer, letters: Letters, partition: str, limit: int
    ) -> None:
        """Keep letters.

        Args:
            world: Logs, and knows the limit of a payload.
            reader: Reads them.
            committer: Writes them.
            letters: Their numbers.
            partition: The name of the partition.
            limit: The largest value of the store, in bytes.
        """
        self.partition = partition
        self._world = world
        self._reader = reader
        self._committer = committer
        self._letters = letters
        self._most = min(world.host.payload_limit, (limit - 16 * 1024) * 3 // 4)  # base64 takes a third more
        self._writing: dict[str, asyncio.Future[None]] = {}
        self._pending: set[asyncio.Future[None]] = set()

    # Keeping.

    def fits(self, letter: Letter) -> bool:
        """Whether a letter can be kept whole."""
        return len(letter.value) <= self._most

    def named(self, letter: Letter, reason: str, message: Message | None) -> Letter:
        """Give a letter as it is kept: with its reason, and with what is known of whom it is for."""
        value, truncated = shortened(letter.value, self._most)
        if message is not None:
            letter = replace(letter, workflow_id=message.workflow_id, signal=message.signal)
        return replace(letter, value=value, truncated=truncated, reason=reason)

    async def bury(self, letter: Letter, reason: str, message: Message | None) -> None:
        """Keep a message as a dead letter, once however often it comes."""
        digest = _digest(letter)
        if digest and digest in self._letters.digests.values():
            if digest in self._writing:
                await asyncio.shield(self._writing[digest])
            return
        number = self._letters.bury(digest)
        kept = self.named(letter, reason, message)
        writes = [Write(dead_key(self.partition, number), kept.encode(), ABSENT)]
        if number > _RING:
            writes.append(Write(dead_key(self.partition, number - _RING), None, ANY))
        fields = {"topic": letter.topic, "workflow_id": kept.workflow_id, "signal": kept.signal}
        words = "a message of topic %r is dead letter %d: %s"
        self._world.host.logger.warning(words, letter.topic, number, reason, extra=fields)
        written = self.write(writes, {"dead": [[number, digest]]})
        self._writing[digest] = written
        written.add_done_callback(lambda _: self._written(number, digest, written))
        await asyncio.shield(written)

    def _written(self, number: int, digest: str, written: asyncio.Future[None]) -> None:
        """Forget a letter that is not kept after all: the message comes again, and has to be buried then."""
        self._writing.pop(digest, None)
        if written.cancelled() or written.exception() is not None:
            self._letters.forget([number])

    def write(self, writes: Sequence[Write], told: Told) -> asyncio.Future[None]:
        """Write documents with a batch soon; what comes back is done once they are durable."""
        future = self._committer.write(writes, told)
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        return future

    def dismiss(self, error: StoreError | FencedError) -> None:
        """Let whoever waits for a write know that there is none."""
        for future in list(self._pending):
            settle(future, error)

    # Looking.

    async def page(self, limit: int, before: int | None) -> tuple[list[tuple[int, Letter]], int | None]:
        """Give letters, the newest first.

        Args:
            limit: The most to give.
            before: Only those with a lower number; None for all.

        Returns:
            The letters with their numbers, and where the next page begins; None where this was the last.
        """
        found: list[tuple[int, Letter]] = []
        newest = self._letters.last_dead if before is None else min(before - 1, self._letters.last_dead)
        oldest = max(1, self._letters.last_dead - _RING + 1)
        while newest >= oldest:
            numbers = range(newest, max(oldest, newest - _PER_READ + 1) - 1, -1)
            keys = {dead_key(self.partition, number): number for number in numbers}
            documents = await self._reader.read(list(keys))
            for key, number in keys.items():
                if key not in documents:
                    continue
                if len(found) == limit:
                    return found, found[-1][0]
                found.append((number, Letter.decode(key, documents[key].value)))
            newest = numbers[-1] - 1
        return found, None

    async def get(self, number: int) -> Letter:
        """Read a letter.

        Raises:
            DeadLetterNotFoundError: There is none of that number.
        """
        key = dead_key(self.partition, number)
        document = (await self._reader.read([key])).get(key)
        if document is None:
            message = f"there is no dead letter {number}"
            raise DeadLetterNotFoundError(message)
        return Letter.decode(key, document.value)

    async def drop(self, number: int) -> None:
        """Delete a letter.

        Raises:
            DeadLetterNotFoundError: There is none of that number.
        """
        await self.get(number)
        self._letters.forget([number])
        deletion = Write(dead_key(self.partition, number), None, ANY)
        await asyncio.shield(self.write([deletion], {"dropped": [number]}))


def _digest(letter: Letter) -> str:
    """Say which message a letter is of; empty where nothing tells two of them apart."""
    try:
        name = identity(read_envelope(letter.value), letter.id)
    except PayloadError:
        name = letter.id
    return short_hash(f"{letter.topic} {name}", _DIGEST) if name else ""
