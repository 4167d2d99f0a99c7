"""The way from a record to its run: read, and applied if that can be now."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from holdfast.core.errors import (
    CorruptDocumentError,
    FencedError,
    HoldfastError,
    InvalidIdError,
    PayloadError,
    StoreError,
    StoreUnavailableError,
    WorkflowAlreadyStartedError,
    WorkflowFinishedError,
    WorkflowNotFoundError,
)
from holdfast.engine.messages.addressee import addressee
from holdfast.engine.messages.envelope import read_envelope
from holdfast.engine.messages.resume import ResumeKind, ResumeMessage, read_resume
from holdfast.engine.messages.routing import route
from holdfast.engine.messages.timers import SCHEDULER, SCHEDULER_TOPIC, read_timer
from holdfast.engine.runs.answers import RefAnswer, Resolution
from holdfast.engine.runs.items import TOO_EARLY, Signal
from holdfast.engine.runs.starting import SignalledStart, Start, ThreadStart

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from holdfast.core.definitions import WorkflowDefinition
    from holdfast.engine.messages.resume import ResumeTopic
    from holdfast.engine.messages.routing import Message, TopicMapping
    from holdfast.engine.records.letters import Letter
    from holdfast.engine.runs.items import Item
    from holdfast.engine.runs.world import World

__all__ = ["Delivery", "Gate", "Verdict", "gap_before"]

_UNDELIVERABLE: Final = (
    PayloadError,
    InvalidIdError,
    WorkflowAlreadyStartedError,
    WorkflowFinishedError,
    CorruptDocumentError,
)
_NO_RUN: Final = (WorkflowNotFoundError, WorkflowFinishedError)


class Delivery(StrEnum):
    """What became of a message; all of it is durable.

    Attributes:
        APPLIED: Its run has the signal, now or since it came before.
        HELD: It waits until its run begins, or until those before it have come; then it is applied, or dead.
        DROPPED: It answers a ref that was answered or cancelled before, or calls off what is not set; nothing of it
            is kept.
        DEAD: It is kept as a dead letter: it cannot be read, says not what it is for, or its run has ended.
    """

    APPLIED = "applied"
    HELD = "held"
    DROPPED = "dropped"
    DEAD = "dead"


class Verdict(NamedTuple):
    """What can be done with a message now.

    Attributes:
        delivery: Applied; to be held; or dead.
        message: What it asks for, as far as it could be read.
        reason: Why it was not applied, for a person.
        error: Why it is dead; None where it is not.
    """

    delivery: Delivery
    message: Message | None = None
    reason: str = ""
    error: HoldfastError | None = None

    @classmethod
    def dead(cls, message: Message | None, error: HoldfastError) -> Verdict:
        """Make the verdict for a message that no time will help."""
        return cls(Delivery.DEAD, message, str(error), error)


def gap_before(source: str, sequence: int) -> str:
    """Say why a numbered message is early."""
    return f"messages of {source!r} before its number {sequence:,} have not come"


class _Post(Protocol):
    closed_by: StoreError | FencedError | None

    async def ask(self, workflow_id: str, item: Item) -> object: ...

    def sequences(self, workflow_id: str) -> Mapping[str, int] | None: ...


class Gate:
    """Brings messages to their runs."""

    def __init__(self, world: World, post: _Post, topics: Iterable[TopicMapping], resume: ResumeTopic) -> None:
        """Know how records of each topic become signals.

        Args:
            world: The surroundings of runs.
            post: Where the runs are.
            topics: How records of each topic become signals.
            resume: The topic whose records start threads and answer refs.
        """
        self._world = world
        self._post = post
        self._resume = resume
        self._topics = {mapping.topic: mapping for mapping in topics}

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is taken: the engine is closed, or another process owns the runs."""
        return self._post.closed_by is not None

    def applied(self, workflow_id: str) -> Mapping[str, int] | None:
        """Say up to which number the messages of each source are applied; None where the run has to be read for it."""
        return self._post.sequences(workflow_id)

    async def attempt(self, letter: Letter, number: int = 0) -> Verdict:
        """Bring a message to its run, if that can take it now.

        Args:
            letter: The message.
            number: Of the letter, if it is held: a message without an id is known by it.
        """
        message = None
        try:
            message = self.read(letter, number)
            answer = await self._post.ask(message.workflow_id, self._item(message))
        except HoldfastError as error:
            verdict = self._refusal(letter, message, error)
            if verdict is None:
                raise
            return verdict
        if answer is Resolution.DROPPED:
            return Verdict(Delivery.DROPPED, message)
        if answer is TOO_EARLY:
            return Verdict(Delivery.HELD, message, gap_before(message.source, message.sequence))
        return Verdict(Delivery.APPLIED, message)

    def _refusal(self, letter: Letter, message: Message | None, error: HoldfastError) -> Verdict | None:
        """Say what an error means for a message; None where it is to be delivered again."""
        if isinstance(error, _NO_RUN) and message is not None and message.lapses:
            return Verdict(Delivery.DROPPED, message)
        if isinstance(error, WorkflowNotFoundError):
            return Verdict(Delivery.HELD, message, f"{error}, and none has begun")
        refused = isinstance(error, StoreError) and not isinstance(error, StoreUnavailableError) and not self.is_closed
        if not refused and not isinstance(error, _UNDELIVERABLE):
            return None
        return Verdict.dead(message or addressee(self._topics.get(letter.topic), letter.value, letter.key), error)

    def read(self, letter: Letter, number: int) -> Message:
        """Find out what a message asks for.

        Raises:
            PayloadError: It cannot be read, or does not say.
            InvalidIdError: The id of the run is not one.
        """
        found = self._found(letter)
        if number and not found.id and not found.sequence:  # else its id, or its number, tells it from others
            found = replace(found, id=f"held/{number}/{letter.at}")
        return found

    def _found(self, letter: Letter) -> Message:
        mapping = self._topics.get(letter.topic)
        limit = self._world.host.payload_limit
        if mapping is not None:
            return route(mapping, read_envelope(letter.value), letter.key, letter.id, limit=limit)
        if letter.topic == self._resume.topic:
            return read_resume(letter.value, letter.key, letter.id, self._resume.entry, limit=limit)
        if letter.topic == SCHEDULER_TOPIC and self._world.host.registry.find(SCHEDULER):
            return read_timer(letter.value, letter.key, letter.id, limit=limit)
        message = f"topic {letter.topic!r} is not mapped to signals: mapped are {', '.join(self._topics) or 'none'}"
        raise PayloadError(message)

    def _item(self, message: Message) -> Item:
        if isinstance(message, ResumeMessage):
            return self._thread_item(message)
        signal = Signal(
            name=message.signal,
            value=message.payload,
            id=message.id,
            source=message.source,
            sequence=message.sequence,
            trace=message.trace,
        )
        if not message.start:
            return signal
        start = Start(
            definition=self._startable(message),
            value=message.payload,
            run_id=self._world.new_id(),
            on_conflict="use_existing",
            trace=message.trace,
        )
        return SignalledStart(start=start, signal=signal)

    def _thread_item(self, message: ResumeMessage) -> Item:
        if message.ref:
            return RefAnswer(
                ref=message.ref,
                value=message.payload,
                rejects=message.kind is ResumeKind.REJECTION,
                id=message.id,
                trace=message.trace,
            )
        return ThreadStart(
            definition=self._startable(message),
            value=message.payload,
            run_id=self._world.new_id(),
            on_conflict="fail" if message.kind is ResumeKind.NEW else "use_existing",
            trace=message.trace,
            thread=message.thread,
            message_id=message.id,
        )

    def _startable(self, message: Message) -> WorkflowDefinition:
        """Find the workflow that a message starts, which has to take its payload.

        Raises:
            PayloadError: There is none of that name, or it does not.
        """
        try:
            definition = self._world.host.registry.workflow(message.start)
        except WorkflowNotFoundError as error:
            raise PayloadError(str(error)) from error
        definition.decode_input(message.payload)
        return definition
