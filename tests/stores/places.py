"""Where a service or an engine can have its runs: a server, and the words that name it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration.processes import Backend, Server
from tests.stores.servers import EVENT_KEY, inngest_server, kafka_server, nats_server


@dataclass(frozen=True, slots=True)
class Place:
    """A server that keeps runs.

    Attributes:
        backend: It, and its port.
        url: As the setting HOLDFAST_STORE has it.
        environment: What a process needs besides to use it.
    """

    backend: Backend
    url: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def server(self) -> Server:
        return self.backend[0]

    @property
    def settings(self) -> dict[str, str]:
        """Of a service that has its runs here."""
        return {"store": self.url, **self.environment}


def kafka(folder: Path) -> Place:
    backend = kafka_server(folder)
    return Place(backend, f"kafka://127.0.0.1:{backend[1]}/runs")


def nats(folder: Path) -> Place:
    backend = nats_server(folder)
    return Place(backend, f"nats://127.0.0.1:{backend[1]}/runs")


def inngest(folder: Path) -> Place:
    backend = inngest_server(folder)
    return Place(backend, f"inngest+http://127.0.0.1:{backend[1]}", {"INNGEST_EVENT_KEY": EVENT_KEY})


PLACES: dict[str, Callable[[Path], Place]] = {"kafka": kafka, "nats": nats, "inngest": inngest}
"""By the names of their stores."""
