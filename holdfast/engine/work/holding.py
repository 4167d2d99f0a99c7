"""Messages that are early: held, durably, until their run begins or those before them have come.

A held message is deleted only after what it did to its run is durable: a process that ends in between does it again,
and the run knows the message by its id.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from holdfast.core.errors import CorruptDocumentError, FencedError, InvalidIdError, PayloadError, StoreError
from holdfast.core.history import RunStatus
from holdfast.engine.records.documents import held_key
from holdfast.engine.records.letters import Letter
from holdfast.engine.work.gate import Delivery, gap_before
from holdfast.engine.work.shelf import Held, Shelf
from holdfast.ports import ABSENT, ANY, Write

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from holdfast.engine.commits.index import Index
    from holdfast.engine.commits.letters import Letters
    from holdfast.engine.commits.reader import Reader
    from holdfast.engine.messages.routing import Message
    from holdfast.engine.runs.world import World
    from holdfast.engine.work.dead_letters import DeadLetters
    from holdfast.engine.work.gate import Gate
    from holdfast.ports import Timer

__all__ = ["Holding"]

_STILL_HERE: Final = frozenset({Delivery.HELD, Delivery.DEAD})


class Holding:
    """Holds messages, and lets them in when their time has come.

    Attributes:
        shelf: What is held.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place, by the parts that it stands between
        self, world: World, reader: Reader, gate: Gate, dead: DeadLetters, letters: Letters, index: Index
    ) -> None:
        """Hold nothing yet.

        Args:
            world: The surroundings of runs.
            reader: Reads held messages.
            gate: Brings them to their runs.
            dead: Keeps those whose time is over.
            letters: The numbers of letters.
            index: Says which runs there are.
        """
        self.shelf = Shelf(world.awaited)
        self._world = world
        self._reader = reader
        self._gate = gate
        self._dead = dead
        self._letters = letters
        self._index = index
        self._tasks: set[asyncio.Task[None]] = set()
        self._releasing: set[str] = set()
        self._again: set[str] = set()
        self._timer: Timer | None = None

    @property
    def busy(self) -> bool:
        """Whether a held message is on its way."""
        return bool(self._tasks)

    async def hold(self, letter: Letter, message: Message, reason: str) -> Delivery:
        """Hold a message, once however often it comes; where there is no room it is dead."""
        known = self.shelf.find(message)
        if known is not None:
            await asyncio.shield(known.stored)
            return Delivery.HELD
        if self.shelf.at_number_of(message) is not None:
            taken = f"number {message.sequence:,} of source {message.source!r} is held already, for another message"
            await self._dead.bury(letter, taken, message)
            return Delivery.DEAD
        if not self.shelf.has_room(len(letter.value)) or not self._dead.fits(letter):
            await self._dead.bury(letter, f"{reason}; it is too large, or too many are held already, to wait", message)
            return Delivery.DEAD
        number = self._letters.hold()
        held = self._place(number, letter, message, reason)
        kept = self._dead.named(letter, reason, message)
        write = Write(held_key(self._dead.partition, number), kept.encode(), ABSENT)
        stored = self._dead.write([write], {"held": [number]})
        stored.add_done_callback(lambda _: self._settled(held, stored))
        await asyncio.shield(held.stored)
        return Delivery.HELD

    def _place(self, number: int, letter: Letter, message: Message, reason: str) -> Held:
        held = Held(
            number,
            letter.topic,
            message.workflow_id,
            message.signal,
            message.id,
            message.source,
            message.sequence,
            letter.at,
            len(letter.value),
            reason,
            asyncio.get_running_loop().create_future(),
        )
        self.shelf.add(held)
        return held

    def _settled(self, held: Held, stored: asyncio.Future[None]) -> None:
        """Go on once a held message is durable, or will not be: its run may have begun meanwhile."""
        error = None if stored.cancelled() else stored.exception()
        if stored.cancelled() or error is not None:
            self.shelf.remove(held)
            self._letters.held.discard(held.number)
            held.stored.set_exception(error or StoreError("the engine is closed"))
            held.stored.exception()  # whoever waits hears of it; nobody need
            return
        held.stored.set_result(None)
        self._set_alarm()
        if self._has_run(held.workflow_id):
            self.admit(held.workflow_id)

    def _has_run(self, workflow_id: str) -> bool:
        entry = self._index.get(workflow_id)
        return entry is not None and entry.status is not RunStatus.PURGED

    def reason(self, held: Held) -> str:
        """Say what a message waits for now: of those with numbers, only the next is tried once their run has begun."""
        waits_for_others = held.sequence and self._has_run(held.workflow_id)
        return gap_before(held.source, held.sequence) if waits_for_others else held.reason

    def admit(self, workflow_id: str) -> None:
        """Try to bring the messages that are held for a run to it, in order."""
        if self._gate.is_closed:
            return
        if workflow_id in self._releasing:
            self._again.add(workflow_id)  # what is on its way may come back, and could go now
            return
        applied = self._gate.applied(workflow_id)
        ready = self.shelf.of(workflow_id) if applied is None else self.shelf.next_of(workflow_id, applied)
        if ready:
            self._releasing.add(workflow_id)
            for held in ready:
                held.is_going = True
            self._spawn(self._release(workflow_id, ready))

    async def _release(self, workflow_id: str, ready: Sequence[Held]) -> None:
        try:
            await self._let_in(ready)
        finally:
            self._releasing.discard(workflow_id)
        if workflow_id in self._again:
            self._again.discard(workflow_id)
            self.admit(workflow_id)

    async def _let_in(self, ready: Sequence[Held]) -> None:
        letters = await self._take_down(ready)
        attempts = (self._gate.attempt(letter, held.number) for held, letter in letters)
        verdicts = await asyncio.gather(*attempts, return_exceptions=True)
        gone = []
        for (held, letter), verdict in zip(letters, verdicts, strict=True):
            held.is_going = False
            if isinstance(verdict, BaseException):
                fields = {"topic": held.topic, "workflow_id": held.workflow_id, "signal": held.signal}
                words = "the held message %d could not be applied: %s"
                self._world.host.logger.warning(words, held.number, verdict, extra=fields)
                continue
            if verdict.delivery is Delivery.HELD:
                continue
            if verdict.delivery is Delivery.DEAD:
                await self._dead.bury(letter, verdict.reason, verdict.message)
            gone.append(held)
        await self._let_go(gone)

    async def _take_down(self, ready: Sequence[Held]) -> list[tuple[Held, Letter]]:
        """Read messages that are held; one that is damaged is dead, and says so."""
        for held in ready:
            await asyncio.shield(held.stored)
        keys = {held_key(self._dead.partition, held.number): held for held in ready}
        documents = await self._reader.read(list(keys))
        found = []
        for key, held in keys.items():
            if key not in documents:
                self.shelf.remove(held)  # it was on its way out when the process before this one ended
                continue
            try:
                found.append((held, Letter.decode(key, documents[key].value)))
            except CorruptDocumentError as error:
                await self._dead.bury(_damaged(held.at, documents[key].value), str(error), None)
                await self._let_go([held])
        return found

    async def _let_go(self, gone: Sequence[Held]) -> None:
        """Delete messages that have found their place; only now may they be forgotten."""
        for held in gone:
            held.is_going = True
        await self._delete([held.number for held in gone])
        for held in gone:
            self.shelf.remove(held)

    async def _delete(self, numbers: Sequence[int]) -> None:
        if numbers:
            deletions = [Write(held_key(self._dead.partition, number), None, ANY) for number in numbers]
            await self._dead.write(deletions, {"released": numbers})
            self._letters.held.difference_update(numbers)

    # Giving up.

    def _set_alarm(self) -> None:
        due = self.shelf.next_expiry
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._world.clock.call_at(due, self._sweep) if due else None

    def _sweep(self) -> None:
        expired = self.shelf.expired(self._world.clock.now())
        if expired and not self._gate.is_closed:
            for held in expired:
                held.is_going = True
            self._spawn(self._expire(expired))
        self._set_alarm()

    async def _expire(self, expired: Sequence[Held]) -> None:
        for held, letter in await self._take_down(expired):
            verdict = await self._gate.attempt(letter, held.number)
            if verdict.delivery in _STILL_HERE:
                is_dead = verdict.delivery is Delivery.DEAD
                await self._dead.bury(letter, verdict.reason if is_dead else f"{verdict.reason} within an hour", None)
            await self._let_go([held])
        self._set_alarm()

    # Its life.

    async def open(self) -> None:
        """Take up what was held when the process before this one ended."""
        keys = {held_key(self._dead.partition, number): number for number in sorted(self._letters.held)}
        documents = await self._reader.read(list(keys))
        for key, number in keys.items():
            if key in documents:
                self._take_up(key, number, documents[key].value)
            else:
                self._letters.held.discard(number)
        self._set_alarm()
        for workflow_id in list(self._world.awaited):
            if self._has_run(workflow_id):
                self.admit(workflow_id)

    def _take_up(self, key: str, number: int, raw: bytes) -> None:
        letter = _damaged(self._world.clock.now(), raw)
        try:
            letter = Letter.decode(key, raw)
            message = self._gate.read(letter, number)
        except (CorruptDocumentError, PayloadError, InvalidIdError) as error:
            self._spawn(self._give_up(number, letter, str(error)))
        else:
            self._place(number, letter, message, letter.reason).stored.set_result(None)

    async def _give_up(self, number: int, letter: Letter, reason: str) -> None:
        await self._dead.bury(letter, reason, None)
        await self._delete([number])

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._watched(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watched(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (StoreError, FencedError):
            if not self._gate.is_closed:
                raise

    def stop(self) -> None:
        """Leave what is held to the next process."""
        if self._timer is not None:
            self._timer.cancel()
        for task in list(self._tasks):
            task.cancel()


def _damaged(at: int, raw: bytes) -> Letter:
    """Make a letter of a document that is damaged, so that what is left of it can be looked at."""
    return Letter(topic="", key="", value=raw, id="", at=at, reason="")
