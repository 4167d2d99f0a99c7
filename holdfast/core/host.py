"""What an instance is given: what it shares with other runs, who it is, and what it waits for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import logging
    import random
    from asyncio import Future
    from collections.abc import Callable

    from holdfast.core.codec import Decoder
    from holdfast.core.history import Command
    from holdfast.core.registry import Registry

__all__ = ["Host", "RunInfo", "Waiting"]


@dataclass(frozen=True, slots=True)
class Host:
    """What all runs of an engine share.

    Attributes:
        registry: The workflows and activities that are known.
        payload_limit: The most bytes of one value.
        new_random: Makes a stream of random numbers from a seed.
        logger: Where workflow code logs to.
        max_callbacks: How many callbacks one event may cause before the run counts as stuck.
    """

    registry: Registry
    payload_limit: int
    new_random: Callable[[str], random.Random]
    logger: logging.Logger
    max_callbacks: int = 10_000


class RunInfo(NamedTuple):
    """Who a run is.

    Attributes:
        seed: What the run's random numbers, and the hashes of its tasks, follow from.
        trace_id: The trace that it belongs to; for logs, never for decisions.
        thread_key: The key that it was started under, where the workflow id is but made of it; else empty.
    """

    workflow_id: str
    run_id: str
    seed: int
    trace_id: str = ""
    thread_key: str = ""

    @property
    def thread(self) -> str:
        """The key by which records from outside name it."""
        return self.thread_key or self.workflow_id

    def log_fields(self, workflow: str) -> dict[str, str]:
        """Give what a record of a log says of the run beside its message."""
        fields = {"workflow_id": self.workflow_id, "run_id": self.run_id, "workflow": workflow}
        return {**fields, "trace_id": self.trace_id} if self.trace_id else fields


@dataclass(slots=True)
class Waiting:
    """A command whose answer workflow code waits for."""

    command: Command
    future: Future[Any]
    decode: Decoder
