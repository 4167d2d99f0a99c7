"""Where each kind of store keeps its data while it is measured: a new server each time, gone afterwards."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import platform
import re
import shutil
import socket
import sqlite3
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import requests

from bench.beside import backend
from tests.integration.processes import serving
from tests.integration.sidecar import BUILD, Sidecar
from tests.stores.servers import EVENT_KEY, inngest_server, kafka_server, nats_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

__all__ = ["PLACES", "Place"]

_running = contextlib.contextmanager(serving)


@dataclass(frozen=True, slots=True)
class Place:
    """A store to measure.

    Attributes:
        url: Opens it; ``{}`` in it becomes a new name.
        versions: Of all that takes part, by name.
        environment: What a program has to be told besides the URL.
    """

    url: str
    versions: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def _memory(_folder: Path) -> Iterator[Place]:
    yield Place("memory:", {"Python": platform.python_version()})


@contextlib.contextmanager
def _sqlite(folder: Path) -> Iterator[Place]:
    yield Place(f"sqlite:///{folder}/{{}}.db", {"SQLite": sqlite3.sqlite_version})


@contextlib.contextmanager
def _dapr(folder: Path) -> Iterator[Place]:
    """A sidecar with a Redis that has every write on the disk before it answers."""
    folder.joinpath("sidecar").mkdir()
    with backend("redis", folder) as (component, _):
        sidecar = Sidecar(folder / "sidecar", component)
        sidecar.start()
        try:
            environment = {"DAPR_GRPC_PORT": sidecar.address.rpartition(":")[2]}
            versions = {"Dapr": _dapr_version(sidecar.http_port), "Redis": _redis_version(), **_packages("dapr")}
            yield Place("dapr:statestore", versions, environment)
        finally:
            sidecar.kill()


@contextlib.contextmanager
def _kafka(folder: Path) -> Iterator[Place]:
    with _running(kafka_server(folder)) as (server, port):
        versions = {"Kafka": _kafka_version(server.pid), **_packages("confluent-kafka")}
        yield Place(f"kafka://127.0.0.1:{port}/bench-{{}}", versions)


@contextlib.contextmanager
def _nats(folder: Path) -> Iterator[Place]:
    with _running(nats_server(folder)) as (_, port):
        yield Place(f"nats://127.0.0.1:{port}/bench-{{}}", {"NATS": _nats_version(port), **_packages("nats-py")})


@contextlib.contextmanager
def _inngest(folder: Path) -> Iterator[Place]:
    with _running(inngest_server(folder)) as (_, port):
        versions = {"reference server": importlib.metadata.version("holdfast"), **_packages("requests")}
        yield Place(f"inngest+http://127.0.0.1:{port}", versions, {"INNGEST_EVENT_KEY": EVENT_KEY})


def _redis_version() -> str:
    said = subprocess.run([shutil.which("redis-server") or "", "--version"], check=True, capture_output=True, text=True)
    return next(word.removeprefix("v=") for word in said.stdout.split() if word.startswith("v="))


def _dapr_version(port: int) -> str:
    """Ask the sidecar; one that was built from source does not know, but what it was built from does."""
    told = str(requests.get(f"http://127.0.0.1:{port}/v1.0/metadata", timeout=5).json()["runtimeVersion"])
    built = re.search(r"github.com/dapr/dapr v(\S+)", (BUILD.parent / "go.mod").read_text(encoding="utf-8"))
    return built[1] if told == "edge" and built else told


def _kafka_version(pid: int) -> str:
    """Read it off the archives that a broker was started with: its protocol does not tell."""
    words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")
    archive = next(Path(words[words.index("-cp") + 1]).parent.glob("kafka_*.jar"))
    return archive.stem.rpartition("-")[2]


def _packages(*names: str) -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in names}


def _nats_version(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        greeting = connection.recv(4096)
    return str(json.loads(greeting.removeprefix(b"INFO "))["version"])


PLACES: Final[Mapping[str, Callable[[Path], AbstractContextManager[Place]]]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    "dapr": _dapr,
    "kafka": _kafka,
    "nats": _nats,
    "inngest": _inngest,
}
