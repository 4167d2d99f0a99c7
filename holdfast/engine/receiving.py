"""Calls about what comes from topics: taking it in, and looking after what found no run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from holdfast.core.errors import PayloadError
from holdfast.core.ids import check_text
from holdfast.core.strict_json import JsonError, load
from holdfast.engine.views import instant
from holdfast.engine.work.gate import Delivery

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from holdfast.engine.lifecycle import Parts
    from holdfast.engine.records.letters import Letter
    from holdfast.engine.work.shelf import Held

__all__ = ["DeadLetter", "DeadLetterPage", "HeldMessage", "TopicCalls"]

_MOST_LISTED = 1_000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that found no run.

    Attributes:
        number: By which it is replayed or dropped.
        topic: Where it came from; empty where that is not known any more.
        key: Its key; may be empty.
        id: The deliverer's name for it; may be empty.
        at: When it came, in UTC.
        reason: Why it was not applied.
        workflow_id: The run it is for; empty where it does not say.
        signal: The name of the signal; empty where it does not say.
        value: Its content: the JSON value, or as text where it is none.
        truncated: It was too large to be kept whole, and cannot be replayed.
    """

    number: int
    topic: str
    key: str
    id: str
    at: datetime
    reason: str
    workflow_id: str
    signal: str
    value: Any
    truncated: bool


@dataclass(frozen=True, slots=True)
class DeadLetterPage:
    """Dead letters, the newest first.

    Attributes:
        items: The letters.
        next_cursor: Where the next page begins; None where this is the last.
    """

    items: Sequence[DeadLetter]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class HeldMessage:
    """A message that waits for its run to begin, or for those before it.

    Attributes:
        topic: Where it came from.
        workflow_id: The run it is for.
        signal: The name of the signal.
        id: By which a duplicate is known; may be empty.
        source: Who sent it; may be empty.
        sequence: Its number among those of its source for that run; 0 where it has none.
        at: When it came, in UTC.
        expires_at: When it becomes a dead letter.
        reason: What it waits for.
    """

    topic: str
    workflow_id: str
    signal: str
    id: str
    source: str
    sequence: int
    at: datetime
    expires_at: datetime
    reason: str

    @classmethod
    def of(cls, held: Held, reason: str) -> HeldMessage:
        """Show one, and what it waits for now."""
        return cls(
            held.topic,
            held.workflow_id,
            held.signal,
            held.id,
            held.source,
            held.sequence,
            instant(held.at),
            instant(held.expires),
            reason,
        )


class TopicCalls:
    """The part of `Engine` that speaks to topics."""

    _parts: Parts

    async def deliver(self, topic: str, key: str | None, value: bytes, *, id: str | None = None) -> Delivery:
        """Take in a record of a topic: a signal for a run, by the mapping of the topic, or a resume record.

        A resume record, of the topic ``workflow-resume``, has the key of a thread and is ``new:`` or ``init:`` with the
        JSON that it starts with, or ``{"ref": id, "value": any}`` or ``{"ref": id, "error": any}``. ``new:`` is refused
        while the key has an open run, ``init:`` changes nothing then.

        Nothing is refused for its content: what cannot be read or has no run is kept as a dead letter, what comes
        before its run is held for an hour. Delivering a record again, under the same id, changes nothing.

        Args:
            topic: One of those that the engine was made with (``topics=``, ``resume_topic=``).
            key: The record's key, if it has one.
            value: JSON: a CloudEvent in its structured form, or plain data. A resume record may be plain too.
            id: Names the record where its content does not; without either a duplicate is not known.

        Returns:
            What has become of it, durably.

        Raises:
            StoreError: The engine is closed, or the store was away until it closed: deliver it again.
            FencedError: Another process owns the runs.
        """
        name = check_text(id, "id", longest=1_024) if id else ""
        return await self._parts.require_open().intake.deliver(topic, key or "", value, name)

    async def dead_letters(self, *, limit: int = 50, cursor: str | None = None) -> DeadLetterPage:
        """List messages that found no run, the newest first; the last 10,000 are kept.

        Args:
            limit: The most to give, from 1 to 1,000.
            cursor: The `next_cursor` of the page before; None for the first page.

        Raises:
            ValueError: The limit or the cursor is not one.
        """
        _check_limit(limit)
        if cursor is not None and not (cursor.isascii() and cursor.isdigit()):
            message = f"cursor {cursor[:80]!r} is not one that a list has given"
            raise ValueError(message)
        dead = self._parts.require_open().dead_letters
        found, following = await dead.page(limit, int(cursor) if cursor is not None else None)
        return DeadLetterPage(
            [_shown(number, letter) for number, letter in found], str(following) if following is not None else None
        )

    async def dead_letter(self, number: int) -> DeadLetter:
        """Show a message that found no run.

        Raises:
            DeadLetterNotFoundError: There is none of that number.
        """
        return _shown(number, await self._parts.require_open().dead_letters.get(number))

    async def replay_dead_letter(self, number: int) -> Delivery:
        """Deliver a dead letter again, as what it was; it is dropped once it is applied or held.

        Where it should be held and cannot be, it stays a dead letter.

        Raises:
            DeadLetterNotFoundError: There is none of that number.
            PayloadError: It still cannot be read or says not what it is for, or not all of it was kept.
            WorkflowAlreadyStartedError: It is a ``new:`` for a thread that is open.
            WorkflowFinishedError: Its run has ended.
        """
        parts = self._parts.require_open()
        letter = await parts.dead_letters.get(number)
        if letter.truncated:
            message = f"dead letter {number} was too large to be kept whole, and cannot be replayed"
            raise PayloadError(message, too_large=True)
        delivery = await parts.intake.redeliver(letter)
        if delivery is not Delivery.DEAD:
            await parts.dead_letters.drop(number)
        return delivery

    async def drop_dead_letter(self, number: int) -> None:
        """Delete a message that found no run.

        Raises:
            DeadLetterNotFoundError: There is none of that number.
        """
        await self._parts.require_open().dead_letters.drop(number)

    async def held_messages(self, *, limit: int = 50) -> Sequence[HeldMessage]:
        """List messages that wait for their run to begin, or for those before them, the oldest first.

        Args:
            limit: The most to give, from 1 to 1,000.

        Raises:
            ValueError: The limit is not one.
        """
        _check_limit(limit)
        holding = self._parts.require_open().holding
        return [
            HeldMessage.of(held, holding.reason(held)) for held, _ in zip(holding.shelf, range(limit), strict=False)
        ]


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= _MOST_LISTED:
        message = f"limit must be between 1 and {_MOST_LISTED:,}, not {limit}"
        raise ValueError(message)


def _shown(number: int, letter: Letter) -> DeadLetter:
    try:
        value = load(letter.value)
    except JsonError:
        value = letter.value.decode(errors="replace")
    return DeadLetter(
        number,
        letter.topic,
        letter.key,
        letter.id,
        instant(letter.at),
        letter.reason,
        letter.workflow_id,
        letter.signal,
        value,
        letter.truncated,
    )
