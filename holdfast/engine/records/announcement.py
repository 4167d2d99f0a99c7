"""The record that tells other services how a run has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from holdfast.core.codec import decode_json
from holdfast.core.failure import FailureInfo
from holdfast.core.history import Event, EventType, RunStatus
from holdfast.core.outputs import JSON

if TYPE_CHECKING:
    from holdfast.engine.records.head import Head

__all__ = ["ERROR_TOPIC", "RESULT_TOPIC", "announcement"]

RESULT_TOPIC: Final = "workflow-result"
ERROR_TOPIC: Final = "workflow-error"


def announcement(head: Head) -> Event:
    """Give the output that tells how a run has ended, as if its code had asked for it.

    Of a run that has completed that is its result, ``null`` included; of another what it raised: the JSON value of a
    `RefError`, the text of any other error.
    """
    details = {"content_type": JSON, "key": head.thread or head.workflow_id}
    if head.status is RunStatus.COMPLETED:
        return Event(EventType.OUTPUT_SENT, head.finished, "", RESULT_TOPIC, head.value, details)
    failure = FailureInfo.from_json(decode_json(head.value))
    said = failure.details if failure.type == "RefError" else failure.message or failure.type
    return Event(EventType.OUTPUT_SENT, head.finished, "", ERROR_TOPIC, orjson.dumps(said), details)
