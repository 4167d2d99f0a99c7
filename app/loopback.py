"""The names by which programs of one machine reach each other."""

from __future__ import annotations

from typing import Final

__all__ = ["LOOPBACK_NAMES"]

LOOPBACK_NAMES: Final = frozenset({"127.0.0.1", "localhost", "::1"})
