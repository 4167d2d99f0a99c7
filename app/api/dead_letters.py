"""Messages from topics that found no run, and those that still wait for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Response

from app.api import models
from app.api.operations import Api, json_response, service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast import Engine, HeldMessage

__all__ = ["api"]

api = Api("dead_letters")


@api.operation("GET", "/v1/dead-letters", query=models.PageQuery, answers={200: models.DeadLetterPage})
def list_dead_letters(query: models.PageQuery) -> Response:
    """List messages that found no run, the newest first, each with the reason."""
    return json_response(service().call(lambda engine: engine.dead_letters(limit=query.limit, cursor=query.cursor)))


@api.operation("GET", "/v1/dead-letters/<number>", answers={200: models.DeadLetter})
def get_dead_letter(number: int) -> Response:
    """Show a message that found no run."""
    return json_response(service().call(lambda engine: engine.dead_letter(number)))


@api.operation("POST", "/v1/dead-letters/<number>/replay", answers={200: models.Replayed})
def replay_dead_letter(number: int) -> Response:
    """Deliver a message again, as what it was; it is gone from here once it is applied or held."""
    delivery = service().call(lambda engine: engine.replay_dead_letter(number))
    return json_response({"number": number, "delivery": delivery})


@api.operation("DELETE", "/v1/dead-letters/<number>", answers={204: None})
def drop_dead_letter(number: int) -> Response:
    """Delete a message that found no run."""
    service().call(lambda engine: engine.drop_dead_letter(number))
    return Response(status=204)


@api.operation("GET", "/v1/held-messages", query=models.LimitQuery, answers={200: models.HeldMessages})
def list_held_messages(query: models.LimitQuery) -> Response:
    """List messages that wait for their run to begin, or for those before them, the oldest first."""

    async def held(engine: Engine) -> Sequence[HeldMessage]:
        return await engine.held_messages(limit=query.limit)

    return json_response({"items": service().call(held)})
