"""What a run wants done outside of it: kept with the run until that is done, and durable where it belongs."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, NamedTuple

__all__ = ["PUBLISHED", "Outgoing", "OutgoingKind"]


class OutgoingKind(StrEnum):
    """What is to be done."""

    START = "start"
    SIGNAL = "signal"
    CANCEL = "cancel"
    TERMINATE = "terminate"
    CLOSED = "closed"
    OUTPUT = "output"
    RESULT = "result"
    ENSURE = "ensure"


PUBLISHED: Final = frozenset({OutgoingKind.OUTPUT, OutgoingKind.RESULT})
"""What leaves through the publisher; the rest is carried to other runs."""


class Outgoing(NamedTuple):
    """One effect on another run, or one output.

    Attributes:
        run_id: The run it comes from; an effect may outlive its run.
        number: Its place among the effects of that run.
        kind: What is to be done.
        target: The workflow id of the other run; empty for an output, and for the record of the run's own result.
        command_id: The command that it carries out, or (`CLOSED`) the command of the parent that it answers; empty for
            the record of the result.
    """

    run_id: str
    number: int
    kind: OutgoingKind
    target: str
    command_id: str

    def message_id(self, workflow_id: str) -> str:
        """Make the id by which a duplicate is known where it arrives."""
        return f"{workflow_id}/{self.run_id}/{self.number}"

    def to_json(self) -> list[Any]:
        """Give what stands in the head."""
        return list(self)

    @classmethod
    def from_json(cls, stored: list[Any]) -> Outgoing:
        """Read an entry back."""
        run_id, number, kind, target, command_id = stored
        return cls(run_id, number, OutgoingKind(kind), target, command_id)
