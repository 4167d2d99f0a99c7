"""The limits that every adapter checks before it sends anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.core.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.ports import Capabilities, Write

__all__ = ["check_reads", "check_writes"]


def check_reads(limits: Capabilities, keys: Sequence[str]) -> None:
    """Refuse a read of more keys than the backend takes in one call."""
    if len(keys) > limits.max_batch:
        msg = f"{len(keys)} keys in one read; at most {limits.max_batch} are allowed"
        raise StoreError(msg)


def check_writes(limits: Capabilities, writes: Sequence[Write]) -> None:
    """Refuse a batch that the backend would not take, before any of it is written.

    Raises:
        StoreError: Too many writes, a value that is too large, or too many bytes in all.
    """
    if len(writes) > limits.max_batch:
        msg = f"{len(writes)} writes in one batch; at most {limits.max_batch} are allowed"
        raise StoreError(msg)
    sizes = [len(key) + (0 if value is None else len(value)) for key, value, _ in writes]
    if max(sizes, default=0) > limits.max_value_bytes:
        _refuse_large_value(limits, writes)
    if sum(sizes) > limits.max_batch_bytes:
        msg = f"{sum(sizes)} bytes in one batch; at most {limits.max_batch_bytes} are allowed"
        raise StoreError(msg)


def _refuse_large_value(limits: Capabilities, writes: Sequence[Write]) -> None:
    for key, value, _ in writes:
        if value is not None and len(value) > limits.max_value_bytes:
            msg = f"the value of {key!r} has {len(value)} bytes; at most {limits.max_value_bytes} are allowed"
            raise StoreError(msg)
