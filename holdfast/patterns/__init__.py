"""Ready-made parts of workflows."""

from __future__ import annotations

from holdfast.patterns.human_task import human_task
from holdfast.patterns.scheduler import scheduler

__all__ = ["human_task", "scheduler"]
