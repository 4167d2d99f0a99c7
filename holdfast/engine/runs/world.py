"""What all runs of an engine share: its limits, its registry, and where time, ids and chance come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.core.host import Host
    from holdfast.ports import Clock

__all__ = ["MAX_PAYLOAD_BYTES", "World"]

MAX_PAYLOAD_BYTES = 1024 * 1024


@dataclass(slots=True)
class World:
    """The surroundings of a run.

    Attributes:
        host: What instances share.
        clock: The time.
        new_id: Makes ids that never repeat.
        chance: Draws a random number in [0, 1).
        verify: Replay each run after every activation, and stall it at the first difference.
        hooked: Somebody wants to hear of what happens, so it is worth telling.
        in_flight: The attempts that are running or queued in this process: (run id, command id).
        publisher_trouble: Why the publisher takes nothing at the moment; empty where it does.
        stuck_outputs: Why the next output of a workflow id has not left at the last attempt, by workflow id.
        owner_since: When this process became the owner, in milliseconds since 1970: an attempt that was due before may
            have been begun by the owner before it.
        follows_clean_end: The process before this one has noted which attempts were on when it ended.
        token: Names this opening of the engine, and no other.
        dropped_answers: How many answers came for refs that were done with.
        dropped_refs: How many refs had no answer when their run ended.
        awaited: The workflow ids for which messages are held, with the numbers of their letters.
    """

    host: Host
    clock: Clock
    new_id: Callable[[], str]
    chance: Callable[[], float]
    verify: bool = False
    hooked: bool = False
    in_flight: set[tuple[str, str]] = field(default_factory=set)
    publisher_trouble: str = ""
    stuck_outputs: dict[str, str] = field(default_factory=dict)
    owner_since: int = 0
    follows_clean_end: bool = False
    token: str = ""
    dropped_answers: int = 0
    dropped_refs: int = 0
    awaited: dict[str, set[int]] = field(default_factory=dict)
    _writes: int = 0

    def new_seed(self) -> int:
        """Draw the seed of a run."""
        return int(self.chance() * 2**52)

    def next_write_id(self) -> str:
        """Name a write, so that it is known again when its outcome was not told."""
        self._writes = number = self._writes + 1
        return f"{self.token}.{number}"
