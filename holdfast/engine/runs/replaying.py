"""Making an instance from a history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.core.instance import Instance
from holdfast.core.replay import replay_history

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.core.history import Event
    from holdfast.engine.records.head import Head
    from holdfast.engine.runs.world import World

__all__ = ["replayed"]


def replayed(world: World, head: Head, history: Sequence[Event]) -> Instance:
    """Make an instance and apply a history to it.

    Raises:
        WorkflowNotFoundError: The workflow is not registered here, in any version.
        NondeterminismError: Its code does not fit the history.
    """
    definition = world.host.registry.workflow(head.workflow, head.version)
    instance = Instance(definition, head.info, world.host)
    try:
        replay_history(instance, history)
    except BaseException:
        instance.close()
        raise
    return instance
