"""Ids: which ones are allowed, and how those of commands and children follow from where they were asked for."""

from __future__ import annotations

import base64
import hashlib
import re

from holdfast.core.errors import InvalidIdError, PayloadError

__all__ = ["MAX_COMMAND_ID", "check_id", "check_text", "child_run_id", "is_id", "lineage_id", "short_hash"]

MAX_COMMAND_ID = 16
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def is_id(text: str) -> bool:
    """Say whether a text can be an id as it is."""
    return _ID.fullmatch(text) is not None


def check_id(value: object, what: str = "workflow id") -> str:
    """Let an id through if every store and executor can keep it.

    Raises:
        InvalidIdError: It does not match ``[A-Za-z0-9_-]{1,64}`` from end to end.
    """
    if isinstance(value, str) and is_id(value):
        return value
    shown = repr(value)
    if len(shown) > 80:  # noqa: PLR2004 - a bad id may be of any length; the message is not
        shown = shown[:77] + "..."
    message = f"{what} {shown} is not valid: 1 to 64 characters out of A-Z, a-z, 0-9, '_' and '-'"
    raise InvalidIdError(message)


def check_text(value: object, what: str, *, longest: int = 256, empty: bool = False) -> str:
    """Let a name or a reason through if it can be stored and shown.

    Args:
        value: The text.
        what: Its name, for the message and as the field at fault.
        longest: The most characters it may have.
        empty: It may be empty.

    Raises:
        PayloadError: It is no text, is empty or too long, or holds half a character that no encoding has.
    """
    if not isinstance(value, str):
        problem = f"must be a text, not {type(value).__name__}"
    elif not value and not empty:
        problem = "must not be empty"
    elif len(value) > longest:
        problem = f"has {len(value):,} characters; the limit is {longest:,}"
    elif any("\ud800" <= character <= "\udfff" for character in value):
        problem = "holds half a character, which cannot be stored"
    else:
        return value
    message = f"{what} {problem}"
    raise PayloadError(message, field=what)


def short_hash(text: str, length: int) -> str:
    """Hash a text into lower-case base32 characters, at most 26 of them."""
    digest = hashlib.blake2b(text.encode(), digest_size=20).digest()
    return base64.b32encode(digest).decode().lower()[:length]


def lineage_id(parent: str, ordinal: int) -> str:
    """Make the id of the nth thing that a task asked for: a command, or another task.

    The id is the path of ordinals from the run's main task (``3``, ``2.1``) while that is short, and a hash of
    parent and ordinal beyond, so it depends on nothing but where in the code's task tree it was asked for.
    """
    path = f"{parent}.{ordinal}" if parent else str(ordinal)
    return path if len(path) <= MAX_COMMAND_ID else "h" + short_hash(path, MAX_COMMAND_ID - 1)


def child_run_id(parent_workflow_id: str, parent_run_id: str, command_id: str) -> str:
    """Make the default id of a child run: readable by its parent's, unique by its lineage."""
    return f"{parent_workflow_id[:40]}-{short_hash(f'{parent_workflow_id}/{parent_run_id}/{command_id}', 16)}"
