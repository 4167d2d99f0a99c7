"""Records of ``workflow-scheduler``: each sets, moves or calls off the timer of an address.

An address is the key of a thread, ``|``, and the record that the thread gets when the time has come. The protocol is
that of kafka-workflow's scheduler, with its gaps closed: an address has one timer, and the newest record counts; the
record may hold any ``|``; a timer of no time at all is ``+0``, for ``0`` calls it off.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from holdfast.core.codec import encode
from holdfast.core.durations import milliseconds
from holdfast.core.errors import PayloadError
from holdfast.core.ids import short_hash
from holdfast.core.strict_json import JsonError, load
from holdfast.core.threads import check_key
from holdfast.engine.messages.envelope import Envelope, read_envelope
from holdfast.engine.messages.resume import start_of
from holdfast.engine.messages.routing import Message, identity

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SCHEDULER", "SCHEDULER_TOPIC", "read_timer"]

SCHEDULER_TOPIC: Final = "workflow-scheduler"
SCHEDULER: Final = "workflow-scheduler"
"""The workflow that carries the records out, one run for each address: `holdfast.patterns.scheduler`."""

_MILLISECONDS: Final = re.compile(r"\+?[0-9]{1,15}")


def read_timer(value: bytes, key: str, given: str, *, limit: int) -> Message:
    """Find out what a record asks for.

    Args:
        value: Milliseconds as decimal text, or a CloudEvent with them as its data; ``0``, null or nothing calls the
            timer off.
        key: The address; where it is empty the event's attribute ``partitionkey`` or ``subject`` is.
        given: The deliverer's own name for the record, where it has none itself.
        limit: The most bytes of the address.

    Raises:
        PayloadError: The value is no such text, or the key no address.
    """
    envelope = _opened(value)
    address = key or envelope.text("partitionkey") or envelope.text("subject")
    thread, record = _taken_apart(address)
    delay = _delay(envelope.data)
    timer = {"key": check_key(thread), "value": record, "delay": delay}
    return Message(
        workflow_id=f"timer-{short_hash(address, 26)}",
        signal="delay",
        payload=encode(timer, "address of a timer", limit=limit),
        id=identity(envelope, given),
        source="",
        sequence=0,
        start=SCHEDULER if delay is not None else "",
        trace=envelope.trace,
        lapses=delay is None,
    )


def _opened(value: bytes) -> Envelope:
    """Take a record for the plain text that it is, where not all of what it may be is JSON."""
    text = value.decode("ascii", errors="replace").strip()
    if not text:
        return Envelope({}, None)
    return Envelope({}, text) if _MILLISECONDS.fullmatch(text) else read_envelope(value)


def _delay(data: Any) -> int | None:  # noqa: ANN401 - any JSON value
    """Read milliseconds; None calls off."""
    text = "0" if data is None else str(data)
    if isinstance(data, bool) or not _MILLISECONDS.fullmatch(text):
        message = f"a timer needs milliseconds as decimal text, not {text[:40]!r}"
        raise PayloadError(message)
    if text == "0":
        return None
    try:
        return milliseconds(timedelta(milliseconds=int(text)), "a timer")
    except ValueError as error:
        raise PayloadError(str(error)) from error


def _taken_apart(address: str) -> tuple[str, str]:
    """Part an address where a resume record begins: either side may hold the character that parts them."""
    for position in _bars(address):
        thread, record = address[:position], address[position + 1 :]
        if thread and _is_record(record):
            return thread, record
    message = f"the key {address[:80]!r} is no address: the key of a thread, |, and a resume record"
    raise PayloadError(message)


def _bars(text: str) -> Iterator[int]:
    position = text.find("|")
    while position >= 0:
        yield position
        position = text.find("|", position + 1)


def _is_record(text: str) -> bool:
    if start_of(text) is not None:
        return True
    try:
        found = load(text.encode()) if text.startswith("{") else None
    except JsonError:
        return False
    return isinstance(found, dict) and "ref" in found
