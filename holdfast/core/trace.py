"""The W3C trace context that a run belongs to: read, written, and begun anew for the run that follows."""

from __future__ import annotations

import hashlib
import re
from typing import Final, NamedTuple

__all__ = ["Trace"]

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_STATE = re.compile(r"[!-~][ -~]{0,511}")
_FIRST_VERSION: Final = "00"
_NO_VERSION: Final = "ff"
_SAMPLED: Final = 1


class Trace(NamedTuple):
    """Where a run belongs.

    Outside, it is one text: the ``traceparent``, and behind a space the ``tracestate`` if there is one.

    Attributes:
        parent: The ``traceparent``: the ids of the trace and of the span that it goes on from.
        state: The ``tracestate`` that came with it; may be empty.
        link: The ``traceparent`` of the run that this one follows; may be empty.

    Source: W3C Trace Context, Level 1, sections 3.2 and 3.3.
    """

    parent: str
    state: str = ""
    link: str = ""

    @classmethod
    def read(cls, text: object) -> Trace | None:
        """Read what somebody has sent; None where it is no trace context, whatever it is."""
        if not isinstance(text, str):
            return None
        given, _, state = text.partition(" ")
        parent = _checked(given)
        return cls(parent, state if _STATE.fullmatch(state) else "") if parent else None

    @property
    def id(self) -> str:
        """The id of the trace: 32 hexadecimal digits."""
        return self.parent[3:35]

    @property
    def text(self) -> str:
        """It as one text."""
        return f"{self.parent} {self.state}" if self.state else self.parent

    def details(self) -> dict[str, str]:
        """Give the form in which an event tells it."""
        return {"traceparent": self.parent, "tracestate": self.state} if self.state else {"traceparent": self.parent}

    def following(self, run_id: str) -> Trace:
        """Begin the trace of a run that follows this one's: a new id, linked to this, sampled if this one is.

        The ids follow from the run's, which never repeats. The state is that of the old trace, and ends with it.
        """
        digest = hashlib.blake2b(run_id.encode(), digest_size=24).hexdigest()
        return Trace(f"{_FIRST_VERSION}-{digest[:32]}-{digest[32:]}-{self.parent[-2:]}", link=self.parent)


def _checked(text: str) -> str:
    """Give a ``traceparent`` in the form of version 00; empty where it is none."""
    match = _PARENT.fullmatch(text)
    if match is None:
        return ""
    version, trace_id, span_id, flags, more = match.groups()
    if version == _NO_VERSION or not trace_id.strip("0") or not span_id.strip("0"):
        return ""
    if version == _FIRST_VERSION:
        return "" if more else text
    return f"{_FIRST_VERSION}-{trace_id}-{span_id}-{int(flags, 16) & _SAMPLED:02x}"
