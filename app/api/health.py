"""Whether the process is well, whether it can take work, and its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Response, current_app

from app.api import models
from app.api.metrics import CONTENT_TYPE, Metrics
from app.api.operations import Access, Api, json_response, service
from app.api.problem import NO_REDELIVERY, NOT_READY, problem_response

if TYPE_CHECKING:
    from app.sidecar.probe import RetryProbe

__all__ = ["api"]

api = Api("health")


@api.operation("GET", "/livez", access=Access.OPEN, answers={200: models.Health})
def livez() -> Response:
    """Say whether the process works; where it does not, it should be restarted. The store does not matter here."""
    if service().is_stuck:
        return problem_response(NOT_READY, "workflow code has not given the engine's thread back for over 30 seconds")
    return json_response({"status": "alive"})


@api.operation("GET", "/readyz", access=Access.OPEN, answers={200: models.Health})
def readyz() -> Response:
    """Say whether work can be taken: the index is built, the runs are ours, the store answers, messages come again."""
    return _readiness()


@api.operation("GET", "/healthz", access=Access.OPEN, answers={200: models.Health})
def healthz() -> Response:
    """Do what `/readyz` does, under the name that a Dapr sidecar asks for."""
    return _readiness()


def _readiness() -> Response:
    reason = service().not_ready()
    if reason:
        return problem_response(NOT_READY, reason)
    probe: RetryProbe = current_app.extensions["holdfast.probe"]
    trouble = probe.trouble()
    if trouble:
        return problem_response(NO_REDELIVERY, trouble)
    return json_response({"status": "ready", "store": service().settings.store_kind})


@api.operation("GET", "/metrics", answers={200: CONTENT_TYPE})
def metrics() -> Response:
    """Give the service's numbers, for Prometheus."""
    numbers: Metrics = current_app.extensions["holdfast.metrics"]
    return Response(numbers.exposition(), content_type=CONTENT_TYPE)
