"""What a check has found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Verdict"]

Verdict = Literal["ok", "warning", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check has found.

    Attributes:
        check: What was looked at.
        verdict: ``ok``, ``warning``, or ``wrong``.
        found: What there is to see.
        advice: What to do; empty where nothing is to be done.
    """

    check: str
    verdict: Verdict
    found: str
    advice: str = ""
