"""The routes that the sidecar calls."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from flask import Blueprint, Response, current_app, request

from app.api.operations import json_response, service
from app.errors import NotReadyError
from app.sidecar.batches import Entry, read_batch
from app.sidecar.probe import PROBE_TOPIC, RetryProbe
from app.sidecar.subscriptions import subscriptions
from app.text import counted
from holdfast import HoldfastError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast import Engine

__all__ = ["BODY_BYTES", "api"]

api = Blueprint("sidecar", __name__)

BODY_BYTES: Final = 420 * 1024 * 1024
"""The largest body: a batch of 100 messages of 4 MiB, the sidecar's own limit; a refused batch would come for ever."""

_SUCCESS: Final = "SUCCESS"
_RETRY: Final = "RETRY"
_log = logging.getLogger("holdfast.sidecar")


@api.get("/dapr/subscribe")
def subscribe() -> Response:
    """Say which topics are wanted, and that they come in batches; the sidecar asks once, when it starts."""
    _probe().begin()
    return json_response(subscriptions(service().settings))


@api.get("/dapr/config")
def configuration() -> Response:
    """Say that there are no actors here."""
    return json_response({})


@api.post("/dapr/pubsub/<path:topic>")
def receive(topic: str) -> Response:
    """Take messages of a topic in: each is durable, applied, held or dead, before it is answered as done."""
    raw = request.get_data()
    entries = read_batch(raw)
    alone = entries is None
    if entries is None:
        entries = [Entry("", request.headers.get("Partitionkey", ""), raw)]
    statuses = _probe().answer(entries) if topic == PROBE_TOPIC else _take_in(topic, entries)
    if alone:
        return json_response({"status": statuses[0]})
    found = [{"entryId": entry.id, "status": status} for entry, status in zip(entries, statuses, strict=True)]
    return json_response({"statuses": found})


def _take_in(topic: str, entries: Sequence[Entry]) -> list[str]:
    try:
        return service().call(lambda engine: _deliver(engine, topic, entries))
    except (NotReadyError, HoldfastError) as error:
        again = f"{counted(len(entries), 'message')} of {topic!r} to come again"
        _log.warning("%s: %s", again, error)
        return [_RETRY] * len(entries)


async def _deliver(engine: Engine, topic: str, entries: Sequence[Entry]) -> list[str]:
    """Deliver all of them at once: they share their commits."""
    deliveries = (engine.deliver(topic, entry.key, entry.value) for entry in entries)
    return [_status(found) for found in await asyncio.gather(*deliveries, return_exceptions=True)]


def _status(found: Any) -> str:  # noqa: ANN401 - a delivery, or what kept it from being one
    if not isinstance(found, BaseException):
        return _SUCCESS
    level = logging.WARNING if isinstance(found, HoldfastError) else logging.ERROR
    _log.log(level, "a message is to come again: %s", found, exc_info=found if level == logging.ERROR else None)
    return _RETRY


def _probe() -> RetryProbe:
    probe: RetryProbe = current_app.extensions["holdfast.probe"]
    return probe
