"""Where outputs go: one small adapter per broker."""

from __future__ import annotations

from holdfast.engine.bus import LocalBus
from holdfast.ports import Publisher, Record

__all__ = ["LocalBus", "Publisher", "Record"]
