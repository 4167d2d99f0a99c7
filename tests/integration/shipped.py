"""A daprd with the resources of this repository: as a laptop and Kubernetes have them, but for addresses."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tests.integration.processes import Server, free_port
from tests.integration.sidecar import ROOT, program
from tools.run_dapr import programs
from tools.run_dapr.run_file import read_run_file

ON_REDIS = ("components/state/redis", "components/pubsub/redis")
STANDARD = ("components/secrets/local-env", "dapr")


class ShippedSidecar:
    """The sidecar of `dapr.yaml`, on ports of its own.

    Attributes:
        address: Of its gRPC port.
        http_port: Of its HTTP port.
        app_port: Where it looks for the application.
    """

    def __init__(
        self,
        folder: Path,
        *components: str,
        resources: Sequence[Path] = (),
        instead: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        app_port: int | None = None,
    ) -> None:
        """Describe it.

        Args:
            folder: Where it runs.
            components: Folders of this repository that it loads, besides policies and secret store.
            resources: Other folders that it loads, as they are.
            instead: Words in the resources that something else stands for, such as the address of a server.
            environment: Of the sidecar.
            app_port: Where the application is; by default there is none.
        """
        self.http_port, grpc_port = free_port(), free_port()
        self.app_port = app_port or free_port()
        self.address = f"127.0.0.1:{grpc_port}"
        self.log = folder / "daprd.log"
        (folder / "var").mkdir()  # where a component of SQLite has its file
        run = replace(
            read_run_file(ROOT / "dapr.yaml", {}),
            app_port=self.app_port,
            http_port=self.http_port,
            grpc_port=grpc_port,
            configuration=ROOT / "dapr" / "config.yaml",
        )
        copies = [copied(ROOT / name, folder, instead or {}) for name in (*components, *STANDARD)]
        control_plane = programs.ControlPlane("", "")
        daprd = programs.daprd(program("daprd"), run, [*copies, *resources], control_plane, "")
        command = [*daprd.command, "--dapr-graceful-shutdown-seconds=1"]
        self._server = Server(command, self.log, daprd.is_up, environment=environment)
        self.start, self.stop, self.kill = self._server.start, self._server.stop, self._server.kill

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}/v1.0"

    def said(self) -> str:
        """Its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")


def copied(source: Path, folder: Path, instead: Mapping[str, str]) -> Path:
    """Copy a folder of resources, with other words for some."""
    target = folder / "resources" / "-".join(source.relative_to(ROOT).parts)
    shutil.copytree(source, target)
    for path in target.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        for word, other in instead.items():
            text = text.replace(word, other)
        path.write_text(text, encoding="utf-8")
    return target


def redis_at(port: int) -> Mapping[str, str]:
    """What makes the components use a Redis on that port."""
    return {"127.0.0.1:6379": f"127.0.0.1:{port}"}
