"""Which store a measurement takes: one by the name of its kind, made for it, or any by its URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import uuid4

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["HELP", "url_of"]

HELP: Final = (
    "memory, sqlite (a new file), dapr (the component statestore of the sidecar at DAPR_GRPC_PORT), or the URL of a "
    "store; {} in it becomes a new name: kafka://localhost:9092/bench-{}"
)
_URLS: Final = {"memory": "memory:", "sqlite": "sqlite:///{folder}/{name}.db", "dapr": "dapr:statestore"}


def url_of(store: str, folder: Path) -> str:
    """Give the URL of a store to measure.

    Args:
        store: As `HELP` says.
        folder: Where files are made.
    """
    name = uuid4().hex[:12]
    if store in _URLS:
        return _URLS[store].format(folder=folder, name=name)
    return store.replace("{}", name)
