"""Control of a run: cancel, terminate, pause, resume, rerun and purge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Response, url_for

from app.api import models
from app.api.operations import Api, json_response, service
from app.api.problem import misfit

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from holdfast import Engine, RunDescription

__all__ = ["api"]

api = Api("control")

_ACCEPTED = {202: models.RunRef}


def _control(id: str, order: Callable[[Engine], Coroutine[Any, Any, None]]) -> Response:
    async def call(engine: Engine) -> RunDescription:
        await order(engine)
        return await engine.describe(id)

    run = service().call(call)
    return json_response({"id": id, "run_id": run.run_id, "status": run.status}, 202)


@api.operation("POST", "/v1/runs/<id>/cancel", body=models.Reason, answers=_ACCEPTED)
def cancel_run(id: str, body: models.Reason) -> Response:
    """Ask a run to cancel: its clean-up still runs."""
    return _control(id, lambda engine: engine.cancel(id, reason=body.reason))


@api.operation("POST", "/v1/runs/<id>/terminate", body=models.Reason, answers=_ACCEPTED)
def terminate_run(id: str, body: models.Reason) -> Response:
    """End a run here and now, without its clean-up."""
    return _control(id, lambda engine: engine.terminate(id, reason=body.reason))


@api.operation("POST", "/v1/runs/<id>/pause", body=models.Reason, answers=_ACCEPTED)
def pause_run(id: str, body: models.Reason) -> Response:
    """Let a run do nothing until it is resumed."""
    return _control(id, lambda engine: engine.pause(id, reason=body.reason))


@api.operation("POST", "/v1/runs/<id>/resume", body=models.Reason, answers=_ACCEPTED)
def resume_run(id: str, body: models.Reason) -> Response:
    """Let a paused run go on, or try whether a stalled one can."""
    return _control(id, lambda engine: engine.resume(id, reason=body.reason))


@api.operation("POST", "/v1/runs/<id>/rerun", body=models.Rerun, answers={201: models.RunRef})
def rerun_run(id: str, body: models.Rerun) -> Response:
    """Run a run that has ended again, from one of its events."""

    async def call(engine: Engine) -> dict[str, object]:
        handle = await engine.rerun(id, from_event=body.from_event, reason=body.reason)
        return {"id": id, "run_id": handle.run_id, "status": await handle.status()}

    try:
        started = service().call(call)
    except ValueError as error:
        raise misfit(str(error), "from_event") from error
    return json_response(started, 201, Location=url_for("runs.get_run", id=id))


@api.operation("DELETE", "/v1/runs/<id>", query=models.PurgeQuery, answers={204: None})
def purge_run(id: str, query: models.PurgeQuery) -> Response:
    """Delete a run that has ended, with all runs before it."""
    service().call(lambda engine: engine.purge(id, reason=query.reason))
    return Response(status=204)
