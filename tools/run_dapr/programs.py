"""The processes beside each other: what starts each of them, and how to see that it serves."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.run_dapr.network import HOST, answers, answers_ping, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tools.run_dapr.run_file import RunFile

__all__ = [
    "ControlPlane",
    "MissingProgramError",
    "Program",
    "daprd",
    "placement",
    "redis",
    "runtime",
    "scheduler",
    "service",
]

_BUILD: Final = Path("tools", "dapr-runtime", "build")
_SECONDS: Final = 60.0
_SERVICE_SECONDS: Final = 400.0
"""It waits, by its own setting, for up to five minutes until a predecessor lets go of the store."""


class MissingProgramError(Exception):
    """A program is not on this machine; the text says how to get it."""


@dataclass(frozen=True, slots=True)
class Program:
    """A process to start.

    Attributes:
        name: For people.
        command: With all its arguments.
        where: The address it serves at.
        is_up: Whether it serves.
        environment: Added to that of this process.
        seconds: How long it may take until it serves.
    """

    name: str
    command: Sequence[str]
    where: str
    is_up: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    seconds: float = _SECONDS


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """Where the sidecar finds what stands behind all sidecars.

    Attributes:
        placement: ``host:port``.
        scheduler: ``host:port``.
    """

    placement: str
    scheduler: str


def runtime(name: str, environment: Mapping[str, str]) -> str:
    """Find a program of the Dapr runtime: named by the environment, or built by ``make dapr-runtime``.

    Raises:
        MissingProgramError: It is neither.
    """
    named = environment.get(name.upper())
    if named:
        if shutil.which(named) is None:
            message = f"{name.upper()}: {named} is not a program that can be run here"
            raise MissingProgramError(message)
        return named
    folder = subprocess.run([str(_BUILD), "--where"], check=True, capture_output=True, text=True).stdout.strip()
    path = Path(folder) / name
    if not path.exists():
        message = f"{name} is missing: run `make dapr-runtime`, or name the program in {name.upper()}"
        raise MissingProgramError(message)
    return str(path)


def redis(folder: Path) -> Program:
    """Run a Redis that has every write on the disk before it answers.

    Raises:
        MissingProgramError: There is none on this machine.
    """
    program = shutil.which("redis-server")
    if program is None:
        message = "redis-server is missing (Debian: redis-server); or set REDIS_URL=redis://host:port to one that runs"
        raise MissingProgramError(message)
    port = free_port()
    options = {
        "bind": HOST,
        "port": str(port),
        "dir": str(folder.absolute()),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
    }
    return Program("redis", _command(program, options), f"{HOST}:{port}", partial(answers_ping, port))


def placement(program: str) -> Program:
    """Run the service by which actors, and Dapr's own workflows, find their hosts."""
    port, health = free_port(), free_port()
    name = "holdfast-placement"
    options = {
        "id": name,
        "initial-cluster": f"{name}={HOST}:{free_port()}",
        "listen-address": HOST,
        "port": str(port),
        **_observed(health),
    }
    up = partial(answers, health, "/healthz")
    return Program("placement", _assigned(program, options), f"{HOST}:{port}", up)


def scheduler(program: str, folder: Path) -> Program:
    """Run the service that keeps Dapr's jobs and reminders."""
    port, health = free_port(), free_port()
    name = "holdfast-scheduler"
    options = {
        "id": name,
        "etcd-initial-cluster": f"{name}=http://{HOST}:{free_port()}",
        "etcd-client-port": str(free_port()),
        "etcd-data-dir": str(folder.absolute()),
        "identity-directory-write": str(folder.absolute() / "identity"),
        "listen-address": HOST,
        "override-broadcast-host-port": f"{HOST}:{port}",
        "port": str(port),
        **_observed(health),
    }
    up = partial(answers, health, "/healthz")
    return Program("scheduler", _assigned(program, options), f"{HOST}:{port}", up)


def daprd(
    program: str, run: RunFile, resources: Sequence[Path], control_plane: ControlPlane, redis_password: str
) -> Program:
    """Run the sidecar. It is up when the service can reach its backends; the service itself may come later."""
    options = {
        "app-id": run.app_id,
        "app-port": str(run.app_port),
        "app-protocol": "http",
        "app-channel-address": HOST,
        "config": str(run.configuration),
        "dapr-listen-addresses": HOST,
        "dapr-http-port": str(run.http_port),
        "dapr-grpc-port": str(run.grpc_port),
        "dapr-internal-grpc-listen-address": HOST,
        "dapr-internal-grpc-port": str(free_port()),
        "metrics-listen-address": HOST,
        "metrics-port": str(free_port()),
        "max-body-size": run.max_body_size,
        "placement-host-address": control_plane.placement,
        "scheduler-host-address": control_plane.scheduler,
    }
    command = [*_assigned(program, options), *(f"--resources-path={folder}" for folder in resources)]
    secrets = {"REDIS_PASSWORD": redis_password} if redis_password else {}
    up = partial(answers, run.http_port, "/v1.0/healthz/outbound")
    return Program("daprd", command, f"http://{HOST}:{run.http_port}", up, secrets)


def service(run: RunFile) -> Program:
    """Run the service. It is up when its index is built and the runs are its own."""
    return Program(
        "holdfast",
        run.command,
        f"http://{run.environment['HOLDFAST_ADDRESS']}",
        partial(answers, run.app_port, "/readyz"),
        run.environment,
        _SERVICE_SECONDS,
    )


def _observed(health: int) -> dict[str, str]:
    """Give the options of the ports at which placement and scheduler are looked at.

    Up to Dapr 1.18 the one for health listens on all addresses all the same; all it says is whether they are well.
    """
    return {
        "healthz-listen-address": HOST,
        "healthz-port": str(health),
        "metrics-listen-address": HOST,
        "metrics-port": str(free_port()),
    }


def _command(program: str, options: Mapping[str, str]) -> list[str]:
    """Write options as Redis reads them."""
    return [program, *(word for name, value in options.items() for word in (f"--{name}", value))]


def _assigned(program: str, options: Mapping[str, str]) -> list[str]:
    """Write options as the Dapr runtime reads them: a flag takes its value only after ``=``."""
    return [program, *(f"--{name}={value}" for name, value in options.items())]
