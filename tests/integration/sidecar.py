"""A real daprd with components and policies, on ports of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.conftest import require
from tests.integration.processes import Server, free_port, http_status
from tools.run_dapr.programs import ControlPlane

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "tools" / "dapr-runtime" / "build"


class Resource(Protocol):
    """What a sidecar loads from a file."""

    @property
    def name(self) -> str: ...

    def yaml(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Text:
    """A resource as it is written: a policy, a subscription, or a component that another resource belongs to."""

    name: str
    text: str

    def yaml(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class StateComponent:
    """A component for the sidecar to load.

    Attributes:
        name: What the application calls it.
        type: Such as ``state.redis``.
        metadata: Its settings.
        version: Of the component.
    """

    name: str
    type: str
    metadata: Mapping[str, str]
    version: str = "v1"

    def yaml(self) -> str:
        lines = [f'    - {{name: {name}, value: "{value}"}}' for name, value in self.metadata.items()]
        return "\n".join(
            [
                "apiVersion: dapr.io/v1alpha1",
                "kind: Component",
                f"metadata: {{name: {self.name}}}",
                "spec:",
                f"  type: {self.type}",
                f"  version: {self.version}",
                "  metadata:" if lines else "  metadata: []",
                *lines,
                "",
            ]
        )


def state_component(kind: str, where: str, **metadata: str) -> StateComponent:
    """Describe a state component, named ``statestore``.

    Args:
        kind: ``redis``, ``postgresql``, ``sqlite`` or ``in-memory``.
        where: The port of its server, or its file; nothing for memory.
        metadata: Other settings.
    """
    version = "v1"
    match kind:
        case "redis":
            metadata = {"redisHost": f"127.0.0.1:{where}", "redisPassword": "", **metadata}
        case "postgresql":
            address = f"host=127.0.0.1 port={where} user=postgres dbname=postgres connect_timeout=5"
            metadata, version = {"connectionString": address, **metadata}, "v2"
        case "sqlite":
            metadata = {"connectionString": where, **metadata}
    return StateComponent("statestore", f"state.{kind}", metadata, version)


def _configuration(folder: Path, denied: Sequence[str]) -> Path:
    """Write one that names a way to find other sidecars which does not exist: the default asks the whole network."""
    path = folder / "configuration.yaml"
    rules = [
        f"{{name: {name}, version: {version}, protocol: grpc}}" for name, version in (api.split() for api in denied)
    ]
    spec = f"spec: {{nameResolution: {{component: none, version: v1}}, api: {{denied: [{', '.join(rules)}]}}}}"
    lines = ["apiVersion: dapr.io/v1alpha1", "kind: Configuration", "metadata: {name: tests}", spec, ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def program(name: str) -> str:
    """Find a program of the Dapr runtime: named by the environment, or built by ``make dapr-runtime``."""
    named = os.environ.get(name.upper())
    if named:
        return named
    folder = subprocess.run([str(BUILD), "--where"], check=True, capture_output=True, text=True).stdout.strip()
    path = Path(folder) / name
    require(path.exists(), f"{name}: run make dapr-runtime, or name it in {name.upper()}")
    return str(path)


class Sidecar:
    """A daprd, which keeps its ports when it is started again.

    Attributes:
        address: Of its gRPC port.
        http_port: Of its HTTP port.
        internal_port: Where other sidecars call it.
        environment: Of its next start.
        log: Takes what it says.
        server: Its process.
    """

    def __init__(  # noqa: PLR0913 - each is an option of daprd
        self,
        folder: Path,
        *resources: Resource,
        app_id: str = "holdfast",
        app_port: int | None = None,
        environment: Mapping[str, str] | None = None,
        denied: Sequence[str] = (),
        control_plane: ControlPlane | None = None,
    ) -> None:
        """Write its resources; `start` starts it. Without `app_port` there is no application.

        An API that is denied is named as ``"conversation v1alpha2"``. Actors, and so Dapr's own workflows, need a
        control plane.
        """
        self._resources = folder / "components"
        self._resources.mkdir()
        for resource in resources:
            self.add(resource)
        self.http_port, grpc_port, self.internal_port = free_port(), free_port(), free_port()
        self.address = f"127.0.0.1:{grpc_port}"
        options = {
            "app-id": app_id,
            "resources-path": str(self._resources),
            "dapr-http-port": str(self.http_port),
            "dapr-grpc-port": str(grpc_port),
            "dapr-internal-grpc-port": str(self.internal_port),
            "dapr-internal-grpc-listen-address": "127.0.0.1",
            "config": str(_configuration(folder, denied)),
            "dapr-listen-addresses": "127.0.0.1",
            "enable-metrics": "false",
            **({"app-port": str(app_port)} if app_port else {"disable-init-endpoints": "config,subscribe"}),
            **(
                {"placement-host-address": control_plane.placement, "scheduler-host-address": control_plane.scheduler}
                if control_plane
                else {}
            ),
            "dapr-graceful-shutdown-seconds": "1",
            "log-level": "info",
        }
        command = [program("daprd"), *(f"--{name}={value}" for name, value in options.items())]
        ready = lambda: http_status(self.http_port, "/v1.0/healthz/outbound") == 204  # noqa: E731
        self.log = folder / "daprd.log"
        self.server = Server(command, self.log, ready, environment=environment)
        self.start, self.stop, self.kill = self.server.start, self.server.stop, self.server.kill
        self.environment = self.server.environment
        self.halt, self.resume = self.server.halt, self.server.resume

    def add(self, resource: Resource) -> None:
        """Write the file of a resource."""
        (self._resources / f"{resource.name}.yaml").write_text(resource.yaml(), encoding="utf-8")

    def remove(self, resource: Resource) -> None:
        """Take the file of a resource away."""
        (self._resources / f"{resource.name}.yaml").unlink()
