"""What `dapr.yaml` says: how the service and its sidecar are run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BadSettingError", "RunFile", "read_run_file"]

_HTTP_PORT: Final = "DAPR_HTTP_PORT"
_GRPC_PORT: Final = "DAPR_GRPC_PORT"
_ADDRESS: Final = "HOLDFAST_ADDRESS"
_LAST_PORT: Final = 65_535


class BadSettingError(ValueError):
    """A variable of the environment cannot be used; the text names it."""


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

    Raises:
        BadSettingError: One of them names no port.
    """
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    common: dict[str, Any] = content["common"]
    (app,) = content["apps"]
    given = {name: environment.get(name, value) for name, value in app["env"].items()}
    http_port = _port(_HTTP_PORT, environment.get(_HTTP_PORT, str(app["daprHTTPPort"])))
    grpc_port = _port(_GRPC_PORT, environment.get(_GRPC_PORT, str(app["daprGRPCPort"])))
    return RunFile(
        app_id=app["appID"],
        app_port=_port(_ADDRESS, given[_ADDRESS].rpartition(":")[2], "write host:port, such as 127.0.0.1:8000"),
        http_port=http_port,
        grpc_port=grpc_port,
        max_body_size=app["maxBodySize"],
        resources=tuple(Path(folder) for folder in common["resourcesPaths"]),
        configuration=Path(common["configFilePath"]),
        command=tuple(app["command"]),
        environment=given | {_HTTP_PORT: str(http_port), _GRPC_PORT: str(grpc_port)},
    )


def _port(name: str, text: str, advice: str = "write a number from 1 to 65535") -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= _LAST_PORT:
        return int(text)
    message = f"{name}: {text!r} is not a port: {advice}"
    raise BadSettingError(message)
