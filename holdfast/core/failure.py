"""A failure as it is recorded: plain data that outlives the exception, its class and the process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

__all__ = ["FailureInfo"]

_MAX_MESSAGE = 4_000
_MAX_CAUSES = 8
_MAX_DETAILS_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class FailureInfo:
    """What went wrong, in a form that can be stored and compared.

    Attributes:
        type: The name of the exception's class, such as ``"TimeoutError"``.
        message: Its text, cut at 4,000 characters.
        details: The exception's own ``details`` attribute, if it has one that is JSON.
        cause: What it was raised from.
    """

    type: str
    message: str
    details: Any = None
    cause: FailureInfo | None = None

    @classmethod
    def of(cls, error: BaseException) -> FailureInfo:
        """Record an exception and the chain of its causes, at most eight deep."""
        return cls._of(error, _MAX_CAUSES)

    @classmethod
    def _of(cls, error: BaseException, depth: int) -> FailureInfo:
        cause = getattr(error, "cause", None)
        if not isinstance(cause, FailureInfo):
            inner = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__
            cause = cls._of(inner, depth - 1) if inner is not None and depth > 1 else None
        return cls(type(error).__name__, _text(error), _plain(getattr(error, "details", None)), cause)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> FailureInfo:
        """Read a failure back from its stored form."""
        cause = value.get("cause")
        return cls(
            value["type"],
            value["message"],
            value.get("details"),
            cls.from_json(cause) if cause else None,
        )

    def to_json(self) -> dict[str, Any]:
        """Give the stored form; absent parts are left out."""
        value: dict[str, Any] = {"type": self.type, "message": self.message}
        if self.details is not None:
            value["details"] = self.details
        if self.cause is not None:
            value["cause"] = self.cause.to_json()
        return value

    def innermost(self) -> FailureInfo:
        """Follow the causes to the one that started it."""
        failure = self
        while failure.cause is not None:
            failure = failure.cause
        return failure

    @property
    def reason(self) -> str:
        """What started it, in words: the message of the innermost cause that has one, else the type of the failure."""
        failure: FailureInfo | None = self
        reason = self.type
        while failure is not None:
            reason = failure.message or reason
            failure = failure.cause
        return reason


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the exception's own __str__ is user code and may raise anything
        text = "(its message could not be made)"
    return text[:_MAX_MESSAGE].encode("utf-8", "replace").decode()


def _plain(details: object) -> object:
    """Let JSON values through and drop the rest: details are a courtesy, never a reason to fail."""
    try:
        raw = orjson.dumps(details)
    except TypeError:
        return None
    return orjson.loads(raw) if len(raw) <= _MAX_DETAILS_BYTES else None
