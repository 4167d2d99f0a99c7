"""Where documents are kept: one small adapter per backend, and a store of whole workflow states over any of them."""

from __future__ import annotations

from holdfast.stores.memory import MemoryStore
from holdfast.stores.registry import Factory, names, open, register  # noqa: A004 - read as stores.open
from holdfast.stores.sqlite import SqliteStore
from holdfast.stores.workflow_store import WorkflowFilter, WorkflowState, WorkflowStore

__all__ = [
    "Factory",
    "MemoryStore",
    "SqliteStore",
    "WorkflowFilter",
    "WorkflowState",
    "WorkflowStore",
    "names",
    "open",
    "register",
]
