"""Records as CloudEvents in JSON, with an id of ours: a broker's own envelope would get a new one each time."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from holdfast.ports import Record

__all__ = ["CONTENT_TYPE", "EVENT_TYPE", "cloud_event"]

CONTENT_TYPE: Final = "application/cloudevents+json"
EVENT_TYPE: Final = "holdfast.output"


def cloud_event(record: Record, source: str) -> bytes:
    """Write a record as a CloudEvent: ``source`` and ``id`` name it, its workflow id is the ``subject``.

    The key goes along as ``partitionkey``, for whoever takes the event in need not see what the broker parts by.

    Args:
        record: The record.
        source: Who publishes it; the same after a restart, so that consumers know an event that comes again.

    Source: CloudEvents 1.0, JSON event format, section 3.1, and the partitioning extension.
    """
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": record.id,
        "source": source,
        "type": EVENT_TYPE,
        "subject": record.id.partition("/")[0],
        "datacontenttype": record.content_type,
    }
    if record.key is not None:
        event["partitionkey"] = record.key
    if record.trace:
        parent, _, state = record.trace.partition(" ")
        # Without ``traceid``, its older name for it, a sidecar puts its own trace in place of this one.
        event |= {"traceparent": parent, "traceid": parent, **({"tracestate": state} if state else {})}
    if record.content_type == "application/json":
        event["data"] = orjson.Fragment(record.value)
    elif record.content_type.startswith("text/"):
        event["data"] = record.value.decode()
    else:
        event["data_base64"] = base64.b64encode(record.value).decode()
    return orjson.dumps(event)
