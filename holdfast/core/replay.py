"""Applying a recorded history to a fresh instance, and holding what it asks for against what was recorded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.core.codec import decode_json
from holdfast.core.errors import NondeterminismError
from holdfast.core.failure import FailureInfo
from holdfast.core.history import COMMANDS, INPUTS, Command, Event, EventType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.core.instance import Instance

__all__ = ["DEFERRED", "replay_history"]

DEFERRED = "deferred"
"""In the details of an input that was recorded without being applied."""


def replay_history(run: Instance, history: Sequence[Event]) -> None:
    """Bring a fresh instance to where a history ends.

    Args:
        run: An instance to which no event has been applied.
        history: All events of the run, the first one first.

    Raises:
        NondeterminismError: The code asks for something else than what the history records; the instance is of no
            more use but to be closed.
    """
    run.replaying = True
    run.known_patches = frozenset(event.name for event in history if event.type is EventType.PATCH_MARKED)
    run.known_refusals = frozenset(event.id for event in history if event.type is EventType.OUTPUT_REFUSED)
    position = 0
    while position < len(history):
        event = _applied(history, position)
        position += 1
        if event is None:
            run.note()
            continue
        recorded = position
        while recorded < len(history) and history[recorded].type in COMMANDS:
            recorded += 1
        found = run.activate(event)
        if run.fault is not None:
            raise NondeterminismError(run.fault)
        _compare(history[position:recorded], found, event, position)
        position = recorded
    run.replaying = False


def _applied(history: Sequence[Event], position: int) -> Event | None:
    """Say what was applied to the instance where this entry stands; None for what was only noted."""
    event = history[position]
    if event.type is EventType.EVENT_APPLIED and event.details is not None:
        seq: int = event.details["seq"]
        return replace(history[seq - 1], at=event.at)
    if event.type not in INPUTS or (event.details and event.details.get(DEFERRED)):
        return None
    return event


def _compare(recorded: Sequence[Event], found: Sequence[Command], cause: Event, seq: int) -> None:
    """Hold the two sides against each other; their order may differ, for Python versions interleave tasks unlike."""
    wanted = [event.fingerprint for event in recorded]
    asked = [command.fingerprint for command in found]
    if wanted == asked or sorted(wanted) == sorted(asked):
        return
    missing = next((event for event, key in zip(recorded, wanted, strict=True) if key not in asked), None)
    extra = next((command for command, key in zip(found, asked, strict=True) if key not in wanted), None)
    expected = missing.words() if missing is not None else "nothing more"
    got = _words(extra) if extra is not None else "nothing"
    message = f"the code does not fit the history: after event {seq}, {cause.words()}, expected {expected}, found {got}"
    raise NondeterminismError(message, expected=expected, found=got)


def _words(command: Command) -> str:
    """Name a command; where it is the run's failure, say what the code has raised."""
    if command.type is not EventType.WORKFLOW_FAILED:
        return command.words()
    failure = FailureInfo.from_json(decode_json(command.value))
    return f"{command.words()}: {failure.type}: {failure.message}"
