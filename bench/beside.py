"""Measure beside a sidecar: ``python -m bench.beside redis --runs 3`` starts it with its backend, and measures ours.

With ``--peer PROGRAM --python PYTHON`` the benchmark of Dapr Workflow runs afterwards, beside the same sidecar and on
the same component; PYTHON has its packages. Each row, one JSON line, tells how much processor time every process took
per step of the load, its idle runs included. It needs what the integration tests need.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.integration.backends import postgres_server, redis_server
from tests.integration.processes import Server
from tests.integration.sidecar import Sidecar, StateComponent, state_component
from tools.run_dapr import programs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KINDS = ("redis", "sqlite", "postgresql", "in-memory")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class World:
    """What runs beside the engine.

    Attributes:
        environment: Tells a program where the sidecar is.
        servers: All of it, by name.
    """

    environment: Mapping[str, str]
    servers: Mapping[str, Server]

    def processor_seconds(self) -> dict[str, float]:
        """Say how long each has worked so far."""
        return {name: _worked(server.pid) for name, server in self.servers.items()}


@contextlib.contextmanager
def backend(kind: str, folder: Path) -> Iterator[tuple[StateComponent, dict[str, Server]]]:
    """Run what the component of a kind keeps its data in; it has every write on the disk before it answers."""
    server, where = None, str(folder / "state.db")
    if kind in {"redis", "postgresql"}:
        server, port = (redis_server if kind == "redis" else postgres_server)(folder)
        where = str(port)
    component = state_component(kind, where, actorStateStore="true")  # Dapr Workflow keeps its state in actors
    if server is None:
        yield component, {}
        return
    server.start()
    try:
        yield component, {"backend": server}
    finally:
        server.stop()


@contextlib.contextmanager
def beside(kind: str, folder: Path) -> Iterator[World]:
    """Run a sidecar with its control plane and a backend."""
    with backend(kind, _made(folder / "backend")) as (component, servers), contextlib.ExitStack() as running:
        plane = [programs.placement(programs.runtime("placement", os.environ))]
        plane += [programs.scheduler(programs.runtime("scheduler", os.environ), _made(folder / "etcd"))]
        for program in plane:
            server = servers[program.name] = Server(program.command, folder / f"{program.name}.log", program.is_up)
            server.start()
            running.callback(server.kill)
        placement, scheduler = plane
        sidecar = Sidecar(
            _made(folder / "sidecar"), component, control_plane=programs.ControlPlane(placement.where, scheduler.where)
        )
        sidecar.start()
        running.callback(sidecar.kill)
        port = sidecar.address.rpartition(":")[2]
        environment = {"DAPR_GRPC_PORT": port, "DAPR_HTTP_PORT": str(sidecar.http_port)}
        yield World({**os.environ, **environment}, {"daprd": sidecar.server, **servers})


def measured(world: World, command: list[str], folder: Path) -> dict[str, Any]:
    """Run a benchmark that prints a row, and add what the servers did for it, per step of all its runs."""
    before = world.processor_seconds()
    done = subprocess.run(command, cwd=folder, env=world.environment, check=True, stdout=subprocess.PIPE, text=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    steps = row["workflows"] * row["steps"]
    after = world.processor_seconds()
    row["servers_cpu_ms_per_step"] = {name: round((after[name] - before[name]) * 1000 / steps, 4) for name in after}
    return row


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--workflows", type=int, default=200)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--concurrency", type=int, default=50)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    options = parser.parse_args()
    load = [f"--{name}={getattr(options, name)}" for name in ("workflows", "steps", "concurrency")]
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as another user
        with beside(options.kind, folder) as world:
            for _ in range(options.runs):
                row = measured(world, [sys.executable, "-m", "bench.run", "--store", "dapr", *load], Path.cwd())
                print(json.dumps({**row, "component": options.kind}), flush=True)
            if options.peer is not None:
                command = [str(options.python.absolute()), str(options.peer.resolve()), *load]
                row = measured(world, command, options.peer.resolve().parent)
                print(json.dumps({**row, "component": options.kind}), flush=True)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _worked(pid: int) -> float:
    """Say how many seconds of the processor a process and its children have had."""
    process = Path(f"/proc/{pid}")
    fields = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    own = sum(int(field) for field in fields[11:15]) / _TICKS  # its own, and that of children that have ended
    children = (process / "task" / str(pid) / "children").read_text(encoding="ascii").split()
    return own + sum(_worked(int(child)) for child in children)


if __name__ == "__main__":
    main()
