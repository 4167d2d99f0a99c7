"""The application: the routes over a service, and what stands before and behind all of them."""

from __future__ import annotations

import importlib.metadata
import re
import secrets
import time
from typing import TYPE_CHECKING, Final

from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from app.api import control, dead_letters, events, health, messages, openapi, problem, runs, workflows
from app.api.metrics import Metrics
from app.api.operations import Access
from app.auth import Guard
from app.bootstrap import build_engine, build_spans
from app.diagnosis import route
from app.logs import log_request
from app.service import Service
from app.settings import load_settings
from app.sidecar import callbacks
from app.sidecar.client import SidecarClient
from app.sidecar.probe import RetryProbe
from app.sidecar.subscriptions import pubsubs
from app.tracing import begin_trace, end_trace

if TYPE_CHECKING:
    from app.api.operations import Api
    from app.settings import Settings
    from holdfast import EngineThread

__all__ = ["ARRIVED", "create_app"]

ARRIVED: Final = "holdfast.arrived"
"""The key in a request's environment of what is called once its body is here, where the server wants to know."""

_PARTS: Final[tuple[Api, ...]] = (
    workflows.api,
    runs.api,
    events.api,
    messages.api,
    dead_letters.api,
    route.api,
    control.api,
    health.api,
    openapi.api,
)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def create_app(settings: Settings | None = None, engine: EngineThread | None = None) -> Flask:
    """Make the application; nothing is started, and no module of workflows is imported, before its service is opened.

    Args:
        settings: Of the service; from the environment by default.
        engine: An engine that is open already, to use instead of one made from the settings; it is closed with the
            service.

    Raises:
        StartupError: A setting is not right.
    """
    settings = settings or load_settings()
    service = Service(settings, build_engine, build_spans)
    if engine is not None:
        service.adopt(engine)
    app = Flask("app", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes + 1  # see _receive
    app.url_map.strict_slashes = True
    app.url_map.merge_slashes = False
    app.extensions["holdfast"] = service
    app.before_request(_begin)
    app.after_request(_finish)
    app.extensions["holdfast.metrics"] = Metrics(app, service)
    problem.install(app)
    app.extensions["holdfast.probe"] = RetryProbe(SidecarClient(settings.sidecar_api_token()), pubsubs(settings))
    app.register_blueprint(callbacks.api)
    policy = {f"{part.name}.{each.name}": each.access for part in _PARTS for each in part.operations}
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith(f"{callbacks.api.name}."):
            policy[rule.endpoint] = Access.SIDECAR
    guard = Guard(settings, policy)
    guard.install(app)
    app.extensions["holdfast.refusals"] = guard.refusals
    app.before_request(_receive)
    for part in _PARTS:
        app.register_blueprint(part)
    operations = [each for part in _PARTS for each in part.operations]
    version = importlib.metadata.version("holdfast")
    app.extensions["holdfast.openapi"] = openapi.document(operations, version, needs_token=settings.token is not None)
    return app


def _begin() -> None:
    """Name the request, note when it came, and find its trace."""
    g.began = time.perf_counter()
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
    begin_trace()


def _receive() -> None:
    """Take the body in, and tell the server that the request has arrived; from here on it may take its time.

    Raises:
        RequestEntityTooLarge: It is over the limit. Werkzeug cuts a body of no announced length off at its own limit,
            which is one byte above ours, and says nothing.
        BadRequest: The client went away in the middle of it; the part that is here may look like a whole.
    """
    limit = current_app.config["MAX_CONTENT_LENGTH"]
    if request.blueprint == callbacks.api.name:
        limit = request.max_content_length = callbacks.BODY_BYTES
    body = request.get_data()
    if len(body) >= limit:
        raise RequestEntityTooLarge
    if request.content_length is not None and len(body) < request.content_length:
        message = "the body is shorter than its Content-Length"
        raise BadRequest(message)
    request.environ.get(ARRIVED, _nothing)()


def _nothing() -> None:
    """Stand in for a server that does not ask."""


def _finish(response: Response) -> Response:
    """Set the headers that every answer has, log the request once its answer is made, and end its span."""
    response.headers["X-Request-ID"] = g.request_id
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    log_request(response)
    end_trace(response)
    return response
