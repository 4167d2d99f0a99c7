"""Refs: what a run waits for from outside, by an id that whoever has the answer names.

An answer may come before its ref exists: it is kept until the ref is made. One for a ref that is done with is dropped,
and counted. Refs are no commands: that one exists follows from the code, and only its answer is an event.
"""

# ruff: noqa: SLF001 - refs and their table know each other

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

import orjson

from holdfast.core.codec import decode_json, decoder_for
from holdfast.core.errors import PayloadError, RefError
from holdfast.core.ids import check_text, short_hash

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from holdfast.core.codec import Decoder
    from holdfast.core.instance import Instance

__all__ = ["MAX_EARLY", "Answer", "Ref", "Refs", "make_ref", "name_ref", "refs_of"]

T = TypeVar("T")

MAX_EARLY: Final = 1_000
"""How many answers of a run may wait for refs that do not exist yet."""

_HALF: Final = 8
_LONGEST_NAME: Final = 512
_LONGEST_ID: Final = 1_024
_LONGEST_KEY: Final = 1_024


class Answer(NamedTuple):
    """What has come for a ref.

    Attributes:
        raw: The value, or what the ref raises, as JSON.
        rejects: The ref raises.
    """

    raw: bytes
    rejects: bool


class Ref(Generic[T]):
    """A place in a run that waits for an answer from outside. Any number of tasks may await it, also afterwards.

    It is cancelled, as a future is, when everything that awaits it is: what comes for it then is dropped.

    Attributes:
        id: By which the answer names it.
        key: Where a scheduler sends that answer: the key of the thread, ``|``, and the beginning of a resume record.
    """

    __slots__ = ("_awaiting", "_decode", "_is_own", "_refs", "_settled", "id", "key")

    def __init__(  # noqa: PLR0913 - made in one place
        self, refs: Refs, id: str, key: str, decode: Decoder, settled: asyncio.Future[T], *, own: bool
    ) -> None:
        """Describe one that nobody awaits yet; an id of the run's own is used for it alone."""
        self.id = id
        self.key = key
        self._refs = refs
        self._decode = decode
        self._settled = settled
        self._is_own = own
        self._awaiting = 0

    def __await__(self) -> Generator[Any, None, T]:
        """Wait for the answer.

        Raises:
            RefError: Whoever answered has sent an error.
            PayloadError: The answer does not fit the type.
        """
        return self._wait().__await__()

    @property
    def done(self) -> bool:
        """Whether it has its answer, or is cancelled."""
        return self._settled.done()

    @property
    def is_awaited(self) -> bool:
        """Whether something awaits it now."""
        return self._awaiting > 0

    async def _wait(self) -> T:
        self._refs.read(self)
        self._awaiting += 1
        try:
            return await asyncio.shield(self._settled)
        finally:
            self._awaiting -= 1
            if not self._awaiting and not self._settled.done():
                self._settled.cancel()
                self._refs.close(self.id)

    def _settle(self, answer: Answer) -> None:
        """Let everything that awaits it go on."""
        try:
            value = decode_json(answer.raw) if answer.rejects else self._decode(answer.raw)
        except PayloadError as error:
            self._settled.set_exception(error)
        else:
            if answer.rejects:
                self._settled.set_exception(RefError(self.id, value))
            else:
                self._settled.set_result(value)
        if not self._settled.cancelled():
            self._settled.exception()  # counts as seen: a ref may be answered before anybody awaits it


class Refs:
    """The refs of a run.

    The ids that a run gives by itself begin with eight characters that follow from its workflow id and eight from its
    seed. So what comes for a ref of a run that had the workflow id before is known for what it is, and is dropped:
    nobody will ask for it any more, unless code has taken the id along and makes a ref of it before the answer comes.
    """

    __slots__ = (
        "_chain",
        "_closed",
        "_dropped",
        "_early",
        "_pending",
        "_prefix",
        "_run",
        "_unread",
        "_waiting",
    )

    def __init__(self, run: Instance) -> None:
        """Begin with none."""
        self._run = run
        self._chain = short_hash(run.info.workflow_id, _HALF)
        self._prefix = f"{self._chain}{short_hash(str(run.info.seed), _HALF)}"
        self._dropped = 0
        self._pending: dict[str, Ref[Any]] = {}
        self._closed: set[str] = set()
        self._early: dict[str, list[Answer]] = {}
        self._unread: dict[str, tuple[Ref[Any], Answer]] = {}
        self._waiting = 0

    def new_id(self, name: str, command_id: str) -> str:
        """Make the id of a ref that was given none: no other run has it, and replay makes it again."""
        return f"{self._prefix}:{name}:{command_id}"

    def get(self, id: str) -> Ref[Any] | None:
        """Give the ref of an id that has no answer yet."""
        return self._pending.get(id)

    def current(self, id: str) -> Ref[Any] | None:
        """Give the ref of an id that has no answer yet, or one that nobody has awaited yet."""
        unread = self._unread.get(id)
        return unread[0] if unread is not None else self._pending.get(id)

    def read(self, ref: Ref[Any]) -> None:
        """Note that somebody awaits a ref: its answer is taken."""
        unread = self._unread.get(ref.id)
        if unread is not None and unread[0] is ref:
            del self._unread[ref.id]

    def add(self, ref: Ref[Any]) -> None:
        """Make a ref known, and give it the answer that came before it."""
        self._closed.discard(ref.id)
        answers = self._early.get(ref.id)
        if answers is None:
            self._pending[ref.id] = ref
            return
        self._settle(ref, answers.pop(0))
        self._waiting -= 1
        if not answers:
            del self._early[ref.id]

    def close(self, id: str) -> None:
        """Let go of a ref that is cancelled: what comes for it is dropped, until there is another of its id."""
        self._pending.pop(id, None)
        self._closed.add(id)

    @property
    def waiting(self) -> int:
        """How many answers wait for refs that do not exist yet."""
        return self._waiting

    @property
    def has_room(self) -> bool:
        """Whether one more answer can wait for a ref that does not exist yet."""
        return self._waiting < MAX_EARLY

    def keeps(self, id: str) -> bool:
        """Say whether answers wait for a ref of an id."""
        return id in self._early

    def drops(self, id: str) -> bool:
        """Say whether an answer is dropped: the ref of that id is done with, or was of a run before this one."""
        if id in self._closed:
            return True
        former = id.startswith(self._chain) and id[2 * _HALF : 2 * _HALF + 1] == ":"
        return former and not id.startswith(self._prefix) and id not in self._pending

    def answer(self, id: str, answer: Answer) -> None:
        """Settle a ref; keep the answer where there is none yet, and drop it where the ref is done with."""
        ref = self._pending.pop(id, None)
        if ref is not None:
            self._settle(ref, answer)
        elif self.has_room and not self.drops(id):
            self._early.setdefault(id, []).append(answer)
            self._waiting += 1
        elif not self._run.replaying:
            self._dropped += 1

    def _settle(self, ref: Ref[Any], answer: Answer) -> None:
        ref._settle(answer)
        if ref._is_own:
            self._closed.add(ref.id)
        elif not ref.is_awaited:
            self._unread[ref.id] = (ref, answer)

    def take_dropped(self) -> int:
        """Say how many answers were dropped since this was last asked."""
        dropped, self._dropped = self._dropped, 0
        return dropped

    @property
    def open(self) -> int:
        """How many have no answer."""
        return len(self._pending)

    def waits_for(self) -> Iterator[str]:
        """Name in words the refs that something awaits."""
        return (f"ref {ref.id!r}" for ref in self._pending.values() if ref.is_awaited)

    def early(self) -> Iterator[tuple[str, Answer]]:
        """Iterate over the answers that wait for their refs, or for somebody who awaits those."""
        yield from ((id, answer) for id, (_, answer) in self._unread.items())
        yield from ((id, answer) for id, answers in self._early.items() for answer in answers)


def refs_of(run: Instance) -> Refs:
    """Give the refs of a run; most runs have none."""
    if run.refs is None:
        run.refs = Refs(run)
    return run.refs


def check_ref_id(id: object) -> str:
    """Let the id of a ref through if it can be kept.

    Raises:
        PayloadError: It is no text, empty, or too long.
    """
    return check_text(id, "ref id", longest=_LONGEST_ID)


def make_ref(run: Instance, name: str | None, type: Any) -> Ref[Any]:  # noqa: ANN401 - any annotation
    """Make a ref whose id is its own.

    Raises:
        PayloadError: The name is no text, or too long.
    """
    label = check_text(name, "ref name", longest=_LONGEST_NAME) if name is not None else "ref"
    refs = refs_of(run)
    run.check_commands_allowed("make a ref")
    return _made(run, refs, refs.new_id(label, run.loop.lineage().next_id()), run.info.thread, type, own=True)


def name_ref(run: Instance, id: str, key: str | None, type: Any) -> Ref[Any]:  # noqa: ANN401 - any annotation
    """Make a ref of a given id, or give the one of that id that has no answer, or one that nobody has awaited yet.

    Raises:
        PayloadError: The id or the key is no text, or too long.
    """
    check_ref_id(id)
    thread = check_text(key, "key", longest=_LONGEST_KEY) if key is not None else run.info.thread
    refs = refs_of(run)
    run.check_commands_allowed("make a ref")
    return refs.current(id) or _made(run, refs, id, thread, type, own=False)


def _made(run: Instance, refs: Refs, id: str, thread: str, type: Any, *, own: bool) -> Ref[Any]:  # noqa: ANN401, PLR0913 - the parts of a ref
    decode = decode_json if type is None else decoder_for(type, f"value of ref {id!r}")
    key = f"{thread}|{orjson.dumps({'ref': id}).decode()}"
    ref = Ref[Any](refs, id, key, decode, run.loop.create_future(), own=own)
    refs.add(ref)
    return ref
