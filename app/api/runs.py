"""Runs: listing them, looking at one, and its history."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from app.api import models
from app.api.operations import Api, json_response, service
from app.api.problem import misfit
from app.api.search import read_search

if TYPE_CHECKING:
    from flask import Response

    from holdfast import RunDescription, RunSummary

__all__ = ["api", "shown"]

api = Api("runs")


def shown(run: RunDescription | RunSummary) -> dict[str, Any]:
    """Give a run as the service shows it: with its workflow id as `id`, which is what the routes call it."""
    return {"id": run.workflow_id, **{field.name: getattr(run, field.name) for field in fields(run)}}


@api.operation("GET", "/v1/runs", query=models.ListQuery, answers={200: models.RunPage})
def list_runs(query: models.ListQuery) -> Response:
    """List runs, the newest first."""
    search = read_search(query.q)
    filters = {"status": query.status, "workflow": query.workflow, "limit": query.limit, "cursor": query.cursor}
    try:
        page = service().call(
            lambda engine: engine.list(**filters, text=search.text, attributes=search.attributes)  # type: ignore[arg-type]
        )
    except ValueError as error:  # status and limit are checked already
        raise misfit(str(error), "cursor") from error
    return json_response({"items": [shown(run) for run in page.items], "next_cursor": page.next_cursor})


@api.operation("GET", "/v1/runs/<id>", query=models.RunQuery, answers={200: models.Run})
def get_run(id: str, query: models.RunQuery) -> Response:
    """Show a run, and what it waits for."""
    return json_response(shown(service().call(lambda engine: engine.describe(id, run_id=query.run_id))))


@api.operation("GET", "/v1/runs/<id>/history", query=models.HistoryQuery, answers={200: models.History})
def get_history(id: str, query: models.HistoryQuery) -> Response:
    """Give the events of a run, the oldest first."""
    events = service().call(lambda engine: engine.history(id, run_id=query.run_id))
    return json_response({"id": id, "events": events[query.after :]})
