"""What `dapr.yaml` says: how the service and its sidecar are run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RunFile", "read_run_file"]

_HTTP_PORT: Final = "DAPR_HTTP_PORT"
_GRPC_PORT: Final = "DAPR_GRPC_PORT"
_ADDRESS: Final = "HOLDFAST_ADDRESS"


@dataclass(frozen=True, slots=True)
class RunFile:
    """One application and its sidecar, as the Dapr CLI would run them.

    Attributes:
        app_id: Names the application, and is a part of its keys.
        app_port: Where the service listens.
        http_port: Of the sidecar's HTTP API.
        grpc_port: Of the sidecar's gRPC API.
        max_body_size: The largest message the sidecar takes, as a quantity.
        resources: The folders of components and policies.
        configuration: The file of the sidecar's configuration.
        command: Starts the service.
        environment: What the service finds in its environment.
    """

    app_id: str
    app_port: int
    http_port: int
    grpc_port: int
    max_body_size: str
    resources: tuple[Path, ...]
    configuration: Path
    command: tuple[str, ...]
    environment: Mapping[str, str]


def read_run_file(path: Path, environment: Mapping[str, str]) -> RunFile:
    """Read the file; what is in the environment wins over it.

    Args:
        path: Of a file that describes one application.
        environment: May name other ports (``HOLDFAST_ADDRESS``, ``DAPR_HTTP_PORT``, ``DAPR_GRPC_PORT``), and anything
            that the file gives the service.
    """
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    common: dict[str, Any] = content["common"]
    (app,) = content["apps"]
    given = {name: environment.get(name, value) for name, value in app["env"].items()}
    http_port = int(environment.get(_HTTP_PORT, app["daprHTTPPort"]))
    grpc_port = int(environment.get(_GRPC_PORT, app["daprGRPCPort"]))
    return RunFile(
        app_id=app["appID"],
        app_port=int(given[_ADDRESS].rpartition(":")[2]),
        http_port=http_port,
        grpc_port=grpc_port,
        max_body_size=app["maxBodySize"],
        resources=tuple(Path(folder) for folder in common["resourcesPaths"]),
        configuration=Path(common["configFilePath"]),
        command=tuple(app["command"]),
        environment=given | {_HTTP_PORT: str(http_port), _GRPC_PORT: str(grpc_port)},
    )
