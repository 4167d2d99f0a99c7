"""Replaying recorded histories, to know whether changed code still fits runs that are under way."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from holdfast.core.history import OUTCOMES, Event, EventType, RunStatus
from holdfast.core.host import Host, RunInfo
from holdfast.core.instance import Instance
from holdfast.core.registry import Registry
from holdfast.core.replay import replay_history
from holdfast.engine.runs.world import MAX_PAYLOAD_BYTES
from holdfast.engine.views import HistoryEvent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from holdfast.core.definitions import ActivityFunction, WorkflowFunction

__all__ = ["load_history", "replay", "save_history"]


def replay(
    workflow: WorkflowFunction,
    history: Sequence[HistoryEvent] | str | Path,
    *,
    activities: Iterable[ActivityFunction] = (),
) -> RunStatus:
    """Replay a history against a workflow's code as it is now.

    Args:
        workflow: The workflow function.
        history: What `Engine.history` gave, or the path of a file that `save_history` wrote.
        activities: The activity functions, where the workflow calls some that are named otherwise than they are.

    Returns:
        Where the run stands at the end of the history.

    Raises:
        NondeterminismError: The code asks for something else than what was recorded; the message names both.
    """
    events = load_history(history) if isinstance(history, (str, Path)) else list(history)
    if asyncio._get_running_loop() is None:  # noqa: SLF001 - asks without raising
        return _replay(workflow, events, activities)
    outcome: list[RunStatus | BaseException] = []

    def work() -> None:
        try:
            outcome.append(_replay(workflow, events, activities))
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            outcome.append(error)

    thread = threading.Thread(target=work, name="holdfast-replay")  # workflow code never runs inside another's task
    thread.start()
    thread.join()
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def _replay(
    workflow: WorkflowFunction, history: Sequence[HistoryEvent], activities: Iterable[ActivityFunction]
) -> RunStatus:
    registry = Registry.of([workflow], activities)
    host = Host(registry, MAX_PAYLOAD_BYTES, random.Random, logging.getLogger("holdfast.replay"))
    who = history[0].details if history else {}
    info = RunInfo(
        who.get("workflow_id", "replay"),
        who.get("run_id", "replay"),
        who.get("seed", 0),
        thread_key=who.get("thread_key", ""),
    )
    instance = Instance(registry.workflow(workflow), info, host)
    try:
        replay_history(instance, [_recorded(event) for event in history])
    finally:
        instance.close()
    return OUTCOMES.get(history[-1].type, RunStatus.RUNNING) if history else RunStatus.RUNNING


def _recorded(event: HistoryEvent) -> Event:
    value = b"" if event.value is None and event.type not in _HAVE_VALUES else orjson.dumps(event.value)
    at = round(event.at.timestamp() * 1000)
    return Event(event.type, at, event.id, event.name, value, event.details or None)


_HAVE_VALUES = frozenset(
    {
        EventType.WORKFLOW_STARTED,
        EventType.SIGNAL_RECEIVED,
        EventType.ACTIVITY_COMPLETED,
        EventType.CHILD_COMPLETED,
        EventType.SIGNAL_DELIVERED,
        EventType.UPDATE_ACCEPTED,
        EventType.REF_RESOLVED,
        EventType.REF_REJECTED,
    }
)


def save_history(path: str | Path, history: Sequence[HistoryEvent]) -> None:
    """Write a history to a file, as JSON that a person can read, for `replay`."""
    rows = [
        {
            "seq": event.seq,
            "type": event.type.value,
            "at": event.at.isoformat(),
            "id": event.id,
            "name": event.name,
            "value": event.value,
            "details": event.details,
        }
        for event in history
    ]
    Path(path).write_bytes(orjson.dumps({"events": rows}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def load_history(path: str | Path) -> list[HistoryEvent]:
    """Read a history back from a file.

    Raises:
        ValueError: The file holds none.
    """
    stored: dict[str, Any] = orjson.loads(Path(path).read_bytes())
    try:
        return [
            HistoryEvent(
                row["seq"],
                EventType(row["type"]),
                datetime.fromisoformat(row["at"]).astimezone(UTC),
                row["id"],
                row["name"],
                row["value"],
                row["details"],
            )
            for row in stored["events"]
        ]
    except (KeyError, TypeError) as error:
        message = f"{path} holds no history: {error!r}"
        raise ValueError(message) from error
