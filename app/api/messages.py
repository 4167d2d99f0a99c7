"""Talking to a run: signals, queries and updates."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

from app.api import models
from app.api.cloudevents import read_signal
from app.api.operations import TRACE_HEADERS, Api, Header, idempotency_key, json_response, service
from app.api.problem import field_path, misfit
from app.errors import NoAnswerError
from app.tracing import sender
from holdfast import EventType
from holdfast.core.strict_json import JsonError, load

if TYPE_CHECKING:
    from flask import Response

    from holdfast import Engine

__all__ = ["api"]

api = Api("messages")


@api.operation(
    "POST",
    "/v1/runs/<id>/signals/<name>",
    payload=True,
    headers=(Header.IDEMPOTENCY_KEY, *TRACE_HEADERS),
    answers={202: models.SignalAccepted},
)
def send_signal(id: str, name: str, payload: object) -> Response:
    """Send a signal; it is durable once this is answered. A CloudEvent, in either mode, is known by its own id."""
    sent = read_signal(payload, idempotency_key())
    service().call(lambda engine: engine.signal(id, name, sent.payload, id=sent.id, trace=sent.trace))
    return json_response({"id": id, "signal": name}, 202)


@api.operation(
    "POST",
    "/v1/runs/<id>/refs/<path:ref>",
    body=models.RefAnswer,
    headers=(Header.IDEMPOTENCY_KEY, *TRACE_HEADERS),
    answers={202: models.RefAnswered},
)
def answer_ref(id: str, ref: str, body: models.RefAnswer) -> Response:
    """Answer a ref by a value or an error; it is durable once this is answered. The answer says what became of it."""
    key, trace = idempotency_key(), sender()
    resolution = service().call(
        lambda engine: engine.resolve_ref(id, ref, body.value, error=body.error, id=key, trace=trace)
    )
    return json_response({"id": id, "ref": ref, "resolution": resolution}, 202)


@api.operation("GET", "/v1/runs/<id>/queries/<name>", query=models.QueryQuery, answers={200: models.PayloadReply})
def ask_query(id: str, name: str, query: models.QueryQuery) -> Response:
    """Ask a run for a view of itself: `status`, `result`, `stack`, or a query of its own."""
    try:
        value = None if query.input is None else load(query.input.encode())
    except JsonError as error:
        raise misfit(str(error), field_path("input", error.field)) from error
    return json_response({"result": service().call(lambda engine: engine.query(id, name, value))})


@api.operation(
    "POST",
    "/v1/runs/<id>/updates/<name>",
    query=models.UpdateQuery,
    payload=True,
    headers=(Header.IDEMPOTENCY_KEY, *TRACE_HEADERS),
    answers={200: models.UpdateReply, 202: models.UpdateReply},
)
def send_update(id: str, name: str, query: models.UpdateQuery, payload: object) -> Response:
    """Ask a run for a validated change, and wait for its reply; 202 where that takes longer."""
    update_id, seconds = idempotency_key() or secrets.token_urlsafe(12), query.wait.total_seconds()
    body: dict[str, Any] = {"id": id, "update_id": update_id}
    order = _Order(id, name, payload, update_id, sender())
    with service().place():
        try:
            result = service().call(lambda engine: _update(engine, order, seconds), waits=seconds)
        except TimeoutError:
            return json_response(body, 202)
    return json_response({**body, "result": result})


class _Order(NamedTuple):
    """An update that somebody asks for."""

    run: str
    name: str
    value: object
    id: str
    trace: str | None


async def _update(engine: Engine, order: _Order, seconds: float) -> Any:  # noqa: ANN401 - any JSON value
    """Wait for the reply to an update; a TimeoutError means that the run has it and has not replied."""
    try:
        async with asyncio.timeout(seconds):
            return await engine.update(order.run, order.name, order.value, id=order.id, trace=order.trace)
    except TimeoutError:
        events = await engine.history(order.run)
        if any(event.id == order.id and event.type is EventType.UPDATE_ACCEPTED for event in events):
            raise
        message = "the update is not durable yet; ask again with the same Idempotency-Key"
        raise NoAnswerError(message) from None
