"""What is started, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.run_dapr import programs
from tools.run_dapr.resources import RunningRedis, read_redis_url, rendered, uses_redis

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tools.run_dapr.run_file import RunFile

__all__ = ["plan"]


def plan(run: RunFile, environment: Mapping[str, str], folder: Path) -> list[programs.Program]:
    """List the programs: the backends first, the service last.

    Args:
        run: What `dapr.yaml` says.
        environment: May name a Redis that runs (``REDIS_URL``), and the programs of the runtime.
        folder: Takes data, and the resources that the sidecar reads.

    Raises:
        MissingProgramError: One of them is not on this machine.
        RedisUrlError: The Redis cannot be used.
    """
    server, redis = _redis(run, environment, folder)
    placement = programs.placement(programs.runtime("placement", environment))
    scheduler = programs.scheduler(programs.runtime("scheduler", environment), folder / "scheduler")
    control_plane = programs.ControlPlane(placement.where, scheduler.where)
    resources = rendered(run.resources, redis, folder / "resources")
    daprd = programs.daprd(programs.runtime("daprd", environment), run, resources, control_plane, redis.password)
    return [*server, placement, scheduler, daprd, programs.service(run)]


def _redis(run: RunFile, environment: Mapping[str, str], folder: Path) -> tuple[list[programs.Program], RunningRedis]:
    """Find the Redis that the components are on; none is started where there is one, or none is needed."""
    url = environment.get("REDIS_URL", "")
    if url:
        return [], read_redis_url(url)
    if not uses_redis(run.resources):
        return [], RunningRedis("")
    server = programs.redis(folder / "redis")
    return [server], RunningRedis(server.where)
