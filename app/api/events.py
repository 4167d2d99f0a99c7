"""The events of a run as they happen: server-sent events, resumed without a gap by ``Last-Event-ID``."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from flask import Response, request

from app.api.operations import Api, Header, service
from app.api.problem import misfit
from app.json_writer import dump
from app.streams import follow
from holdfast import RunStatus
from holdfast.core.history import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.service import Service
    from holdfast import Engine

__all__ = ["api"]

api = Api("events")

_STREAM: Final = "text/event-stream"
_RETRY: Final = b"retry: 1000\n\n"
_BEAT: Final = b": still here\n\n"
_MAX_DIGITS: Final = 9


@api.operation("GET", "/v1/runs/<id>/events", headers=(Header.LAST_EVENT_ID,), answers={200: _STREAM, 204: None})
def watch_run(id: str) -> Response:
    """Follow a run until it ends; 204 where it has ended, and the caller has seen all of it."""
    known = _last_event_id()
    with ExitStack() as resources:
        resources.enter_context(service().place())
        after = service().call(lambda engine: _place(engine, id, known))
        if after is None:
            return Response(status=204)
        if request.method == "HEAD":
            return Response(content_type=_STREAM)
        response = Response(_stream(service(), id, after), content_type=_STREAM, headers={"X-Accel-Buffering": "no"})
        response.call_on_close(resources.pop_all().close)
    return response


async def _place(engine: Engine, id: str, after: int) -> int | None:
    """Say after which event to go on; None where there is nothing to come."""
    run = await engine.describe(id)
    events = len(await engine.history(id)) if after or run.status is RunStatus.CORRUPT else 0
    if after > events:
        return 0  # a number of an earlier run of this id
    return None if after and after == events and not run.status.is_open else after


def _stream(service: Service, id: str, after: int) -> Iterator[bytes]:
    yield _RETRY
    status = None
    for event in follow(service, id, after):
        if event is None:
            yield _BEAT
            continue
        status = OUTCOMES.get(event.type)
        yield b"id: %d\ndata: %b\n\n" % (event.seq, dump(event))
    if status is not None:
        yield b"event: end\ndata: %b\n\n" % dump({"status": status})


def _last_event_id() -> int:
    text = request.headers.get(Header.LAST_EVENT_ID, "0")
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        message = "the header takes the number of an event"
        raise misfit(message, Header.LAST_EVENT_ID)
    return int(text)
