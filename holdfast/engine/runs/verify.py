"""Catching code that is not deterministic while it is being written: every activation is replayed at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.core.errors import NondeterminismError
from holdfast.core.failure import FailureInfo
from holdfast.core.history import Command, Event, EventType
from holdfast.core.instance import Instance
from holdfast.core.replay import replay_history

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["replay_difference", "stall_failure"]


def replay_difference(
    instance: Instance, history: Sequence[Event], event: Event, commands: Sequence[Command]
) -> FailureInfo | None:
    """Apply a history and one more event to a fresh instance, and hold what that asks for against what was asked for.

    Unlike a replay after a restart this compares values too: a wall clock or a random number shows in them first.

    Returns:
        What differs; None where nothing does.
    """
    fresh = Instance(instance.definition, instance.info, instance.host)
    try:
        replay_history(fresh, history)
        fresh.replaying = True
        fresh.known_patches |= {command.name for command in commands if command.type is EventType.PATCH_MARKED}
        fresh.known_refusals |= {command.id for command in commands if command.type is EventType.OUTPUT_REFUSED}
        again = fresh.activate(event)
        if fresh.fault is None and again == commands:
            return None
        longest = max(len(commands), len(again))
        first = [_shown(command) for command in commands] + ["nothing"] * (longest - len(commands))
        then = [_shown(command) for command in again] + ["nothing"] * (longest - len(again))
        was, now = next((pair for pair in zip(first, then, strict=True) if pair[0] != pair[1]), ("", fresh.fault or ""))
        message = (
            "the code did something else when it was replayed; does it read a clock, random numbers or the order of a "
            f"set? First it asked for {was}, then for {now}"
        )
        return stall_failure(NondeterminismError(message, expected=was, found=now))
    except NondeterminismError as difference:
        return stall_failure(difference)
    finally:
        fresh.close()


def stall_failure(error: NondeterminismError) -> FailureInfo:
    """Describe why code does not fit its history."""
    return FailureInfo("NondeterminismError", str(error), {"expected": error.expected, "found": error.found})


def _shown(command: Command) -> str:
    text = command.value[:200].decode(errors="replace")
    return f"{command.type} {command.name!r} (id {command.id}) {text}".strip()
