"""What went wrong with a call over HTTP, and what that means for the caller: try again, or never."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from holdfast.core.errors import StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

__all__ = ["KEY_HINT", "KeyRefusedError", "answered_badly", "not_answered", "pause_of"]

KEY_HINT: Final = "; set INNGEST_EVENT_KEY, or event_key, to the server's own"
"""What to do about a call that was refused for its key: follows the words of the error."""

_LONGEST_PAUSE: Final = 60.0
"""A server that asks to be left alone for longer is asked again after that: it may be a mistake, or a wrong clock."""

_AGAIN: Final = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
_WRONG_KEY: Final = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_HINTS: Final[dict[int, str]] = {
    HTTPStatus.NOT_FOUND: "; is this a server of this protocol, at this base URL?",
    HTTPStatus.METHOD_NOT_ALLOWED: "; is this a server of this protocol, at this base URL?",
}
_SECONDS: Final = re.compile(r"\d{1,18}(\.\d{1,18})?")
_EXCERPT: Final = 200
_OBJECT: Final = re.compile(r"^(<[^<>]*>|\w+\([^()]*\)): ")
"""How the client's messages begin: with the object that speaks."""


class KeyRefusedError(StoreUnavailableError):
    """The server wants another key. While the store is in use that passes: keys are changed here and there in turn."""


def not_answered(error: Exception, doing: str) -> StoreUnavailableError:
    """Say that no whole answer came.

    Args:
        error: What the call raised.
        doing: What was done and where, for the text.
    """
    return StoreUnavailableError(f"no answer {doing}: {_innermost(error)}")


def answered_badly(response: BaseHTTPResponse, doing: str, secret: str) -> StoreError:
    """Say what an answer means that is none of those the protocol knows.

    Args:
        response: The answer.
        doing: What was done and where, for the text.
        secret: Must not be in the text, even if the server says it.

    Returns:
        `StoreUnavailableError` where the server may answer otherwise another time, else `StoreError`.
    """
    status = response.status
    words = " ".join([str(status), *(response.reason or "").split()])
    if status in _WRONG_KEY:
        return KeyRefusedError(f"the server refuses the event key {doing}: {words}")
    words = f"{words}: {_excerpt(response)}".rstrip(": ")
    if secret:
        words = words.replace(secret, "***")
    if 300 <= status < 400:  # noqa: PLR2004 - the class of redirections
        return StoreError(f"the server redirects, and redirects are not followed, {doing}: {words}")
    if status < 400 or status >= 500 or status in _AGAIN:  # noqa: PLR2004 - classes of answers
        return StoreUnavailableError(f"the server failed {doing}: {words}", retry_after=pause_of(response))
    return StoreError(f"the server refuses {doing}: {words}{_HINTS.get(status, '')}")


def pause_of(response: BaseHTTPResponse) -> float | None:
    """Read for how many seconds a server wants to be left alone; None where it does not say, or nobody can read it."""
    text = response.headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), _LONGEST_PAUSE)
    try:
        until = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None
    return min(max(until - time.time(), 0.0), _LONGEST_PAUSE)


def _excerpt(response: BaseHTTPResponse) -> str:
    """Give the beginning of what a server says, or where it redirects to, on one line."""
    text = response.headers.get("Location") or response.data[: 4 * _EXCERPT].decode("utf-8", "replace")
    return " ".join(re.sub(r"[^\x20-\x7e]+", " ", text).split())[:_EXCERPT]


def _innermost(error: BaseException) -> str:
    """Find what the layers of the client have wrapped up: its words alone can be read."""
    while error.args and isinstance(error.args[-1], BaseException):
        error = error.args[-1]
    return _OBJECT.sub("", str(error)) or type(error).__name__
