"""What becomes of a NATS store when its server is away, hangs, or does not let it in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.core.errors import StoreError, StoreUnavailableError
from holdfast.ports import ABSENT, ANY, Conflict, Write, Written
from holdfast.stores.nats import NatsStore
from tests.integration.processes import Backend, Server, free_port
from tests.stores.nats_kit import client_of, new_bucket, opened_store, url_of

pytestmark = pytest.mark.stores

LONG = 60.0
"""Seconds that a call may take: none of these tests waits for them to pass."""


def reconfigured(backend: Backend, change: Callable[[str], str]) -> None:
    """Stop a server, and start it with another configuration."""
    server, _ = backend
    server.stop()
    (configuration,) = Path(server.folder).glob("*.conf")
    configuration.write_text(change(configuration.read_text(encoding="utf-8")), encoding="utf-8")
    server.start()
