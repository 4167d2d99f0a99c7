"""Threads: runs that are known by a key of any form, and started by whoever needs them first."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any, Final

from holdfast.core.children import workflow_named
from holdfast.core.codec import encode
from holdfast.core.errors import PayloadError
from holdfast.core.history import Command, EventType
from holdfast.core.ids import check_text, is_id
from holdfast.core.outputs import require_room

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.core.instance import Instance

__all__ = ["check_key", "ensure_thread", "thread_id"]

_LONGEST_KEY: Final = 1_024


def check_key(key: object) -> str:
    """Let a key through if it can be kept.

    Raises:
        PayloadError: It is no text, empty, or over 1,024 bytes.
    """
    text = check_text(key, "thread key", longest=_LONGEST_KEY)
    if len(text.encode()) > _LONGEST_KEY:
        message = f"thread key has {len(text.encode()):,} bytes; the limit is {_LONGEST_KEY:,}"
        raise PayloadError(message, field="thread key")
    return text


def thread_id(key: str) -> str:
    """Give the workflow id of a key: the key itself if it is one, else ``t-`` and 26 characters of its SHA-256."""
    if is_id(key):
        return key
    return f"t-{base64.b32encode(hashlib.sha256(key.encode()).digest()).decode().lower()[:26]}"


def ensure_thread(run: Instance, key: str, value: object, workflow: Callable[..., Any] | str | None) -> None:
    """Ask for a run under a key.

    Raises:
        PayloadError: The input is not JSON or too large, the key cannot be kept, or too much is on its way.
    """
    name = run.definition.name if workflow is None else workflow_named(run, workflow)[0]
    raw = encode(value, f"input of workflow {name!r}", limit=run.host.payload_limit)
    details = {"workflow_id": thread_id(check_key(key)), "key": key}
    command_id = run.loop.lineage().next_id()
    require_room(run, command_id, name)
    run.issue(Command(EventType.THREAD_ENSURED, run.loop.now_ms, command_id, name, raw, details))
