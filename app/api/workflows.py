"""Workflows, and starting runs of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import url_for

from app.api import models
from app.api.operations import TRACE_HEADERS, Api, Header, idempotency_key, json_response, service
from app.api.starting import start, wait_for

if TYPE_CHECKING:
    from flask import Response

    from holdfast.core.definitions import WorkflowDefinition

__all__ = ["api"]

api = Api("workflows")


@api.operation("GET", "/v1/workflows", answers={200: models.Definitions})
def list_workflows() -> Response:
    """List the workflows that can be started, with the schema of their input."""
    return json_response({"items": [_shown(known, newest=newest) for known, newest in service().definitions()]})


def _shown(known: WorkflowDefinition, *, newest: bool) -> dict[str, Any]:
    return {
        "name": known.name,
        "version": known.version,
        "newest": newest,
        "takes_input": known.takes_input,
        "input_schema": known.input_schema,
        "outputs": sorted(known.outputs),
        "doc": known.doc,
    }


@api.operation(
    "POST",
    "/v1/workflows/<workflow>/runs",
    query=models.StartQuery,
    body=models.StartBody,
    headers=(Header.IDEMPOTENCY_KEY, *TRACE_HEADERS),
    answers={201: models.Started, 200: models.Started},
)
def start_run(workflow: str, query: models.StartQuery, body: models.StartBody) -> Response:
    """Start a run; 200 where `use_existing` found one."""
    if query.wait is None:
        started = start(service(), workflow, body, idempotency_key())
    else:
        with service().place():
            started = start(service(), workflow, body, idempotency_key())
            wait_for(service(), started, query.wait.total_seconds())
    status = 201 if started.created else 200
    return json_response(started.shown(), status, Location=url_for("runs.get_run", id=started.id))
