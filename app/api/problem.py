"""What callers are told when something is wrong: one table from error class to status, code and title.

Every error answer is ``application/problem+json`` (RFC 9457). ``type`` and ``code`` are stable; ``detail`` is for
people; ``errors`` names the fields at fault. No answer carries a traceback: what was not expected is logged, and
answered as ``internal_error``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from flask import Flask, Response, g
from werkzeug.exceptions import HTTPException

import holdfast
from app.errors import BusyError, NoAnswerError, NotReadyError
from app.json_writer import dump
from app.tracing import trace_fields

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "INVALID",
    "PROBLEMS",
    "FieldError",
    "Problem",
    "ProblemError",
    "faults_of",
    "field_path",
    "install",
    "misfit",
    "problem_response",
    "type_uri",
]

_log = logging.getLogger("holdfast.http")


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of problem.

    Attributes:
        status: The HTTP status.
        code: Its name, for programs.
        title: What it is, whatever the case.
        retry_after: Seconds after which the same request may succeed; 0 where it will not.
    """

    status: int
    code: str
    title: str
    retry_after: int = 0


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field of a request.

    Attributes:
        field: Its path, such as ``input.items.0.sku``; empty for the body as a whole.
    """

    field: str
    message: str


class ProblemError(Exception):
    """A request that a view, or what stands before it, refuses."""

    def __init__(self, kind: Problem, detail: str, errors: Sequence[FieldError] = ()) -> None:
        """Say what kind of problem it is, and what about this request."""
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = tuple(errors)


def field_path(*parts: str | int) -> str:
    """Write the path of a field, such as ``input.items.0.sku``; parts that are empty name the whole."""
    return ".".join(str(part) for part in parts if part != "")


def misfit(message: str, field: str) -> ProblemError:
    """Make the error for one field that does not fit."""
    return ProblemError(INVALID, message, [FieldError(field, message)])


def faults_of(error: holdfast.PayloadError, inside: str = "") -> list[FieldError]:
    """List the fields of a payload that do not fit.

    Args:
        error: What the engine says.
        inside: The field of the body in which the payload stands.
    """
    faults = error.faults if len(error.faults) > 1 else [(error.field, str(error))]
    return [FieldError(field_path(inside, field), message) for field, message in faults]


BAD_REQUEST: Final = Problem(400, "bad_request", "The request cannot be understood")
INVALID_ID: Final = Problem(400, "invalid_id", "An id is not one")
UNAUTHORIZED: Final = Problem(401, "unauthorized", "The token is missing or wrong")
FORBIDDEN: Final = Problem(403, "forbidden", "The caller may not use this route")
FORBIDDEN_ORIGIN: Final = Problem(403, "forbidden_origin", "The request comes from another site")
NOT_FOUND: Final = Problem(404, "not_found", "There is no such route")
METHOD_NOT_ALLOWED: Final = Problem(405, "method_not_allowed", "The route does not take this method")
TOO_LARGE: Final = Problem(413, "too_large", "The request is too large")
UNSUPPORTED_MEDIA_TYPE: Final = Problem(415, "unsupported_media_type", "The body must be application/json")
INVALID: Final = Problem(422, "invalid", "The request does not fit")
INTERNAL: Final = Problem(500, "internal_error", "The service has a defect")
NOT_READY: Final = Problem(503, "not_ready", "The service takes no work now", 1)
NO_REDELIVERY: Final = Problem(503, "no_redelivery", "The sidecar would lose messages", 5)
BUSY: Final = Problem(503, "busy", "Too many requests are waiting", 5)
NO_ANSWER: Final = Problem(503, "no_answer", "The engine did not answer in time", 2)

PROBLEMS: Final[dict[type[Exception], Problem]] = {
    holdfast.InvalidIdError: INVALID_ID,
    holdfast.WorkflowNotFoundError: Problem(404, "workflow_not_found", "There is no such run or workflow"),
    holdfast.DeadLetterNotFoundError: Problem(404, "dead_letter_not_found", "There is no such dead letter"),
    holdfast.WorkflowAlreadyStartedError: Problem(409, "already_started", "The id belongs to another run"),
    holdfast.WorkflowOpenError: Problem(409, "still_open", "The run has to end first"),
    holdfast.WorkflowFinishedError: Problem(409, "already_finished", "The run has ended"),
    holdfast.NondeterminismError: Problem(409, "nondeterminism", "The code does not fit the run's history"),
    holdfast.PayloadError: INVALID,
    holdfast.UpdateRejectedError: Problem(422, "update_rejected", "The run refused the update"),
    holdfast.QueryError: Problem(422, "query_failed", "The run cannot answer the query"),
    holdfast.RequestConflictError: Problem(422, "request_id_reused", "The key was used for another request"),
    holdfast.CorruptDocumentError: Problem(500, "corrupt", "What is stored of the run is damaged"),
    holdfast.UnsupportedOperationError: Problem(501, "unsupported", "The store cannot do this"),
    holdfast.StoreUnavailableError: Problem(503, "store_unavailable", "The store does not answer", 2),
    holdfast.FencedError: NOT_READY,
    holdfast.StoreError: Problem(500, "store_error", "The store refused the call"),
    NoAnswerError: NO_ANSWER,
    BusyError: BUSY,
    NotReadyError: NOT_READY,
}
"""The nearest class of an error decides."""

_STATUSES: Final[dict[int, Problem]] = {
    400: BAD_REQUEST,
    401: UNAUTHORIZED,
    404: NOT_FOUND,
    405: METHOD_NOT_ALLOWED,
    413: TOO_LARGE,
    415: UNSUPPORTED_MEDIA_TYPE,
}
"""The problems that Flask itself finds."""


def type_uri(code: str) -> str:
    """Give the URI that names a kind of problem; it leads nowhere, and never changes."""
    return f"urn:holdfast:problem:{code}"


def problem_response(kind: Problem, detail: str, errors: Sequence[FieldError] = (), **more: str) -> Response:
    """Answer with a problem.

    Args:
        kind: What kind.
        detail: What about this request, for a person.
        errors: The fields at fault.
        more: Further members, of this kind's own.
    """
    body: dict[str, Any] = {
        "type": type_uri(kind.code),
        "title": kind.title,
        "status": kind.status,
        "code": kind.code,
        "detail": detail,
        "errors": [{"field": error.field, "message": error.message} for error in errors],
        "request_id": g.get("request_id", ""),
        **trace_fields(),
        **more,
    }
    response = Response(dump(body), status=kind.status, content_type="application/problem+json")
    if kind.retry_after:
        response.headers["Retry-After"] = str(kind.retry_after)
    return response


def _of_engine(error: Exception) -> Response:
    """Answer with an error of the engine or the service, by the table."""
    kind = next((PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS), INTERNAL)
    if kind is INTERNAL:
        return _unexpected(error)
    errors: list[FieldError] = []
    more: dict[str, str] = {}
    if isinstance(error, holdfast.PayloadError):
        kind = TOO_LARGE if error.too_large else kind
        errors = faults_of(error)
    if isinstance(error, holdfast.WorkflowAlreadyStartedError):
        more = {"id": error.workflow_id, "run_id": error.run_id}
    return problem_response(kind, str(error), errors, **more)


def _of_flask(error: HTTPException) -> Response:
    status = error.code or 500
    code = HTTPStatus(status).phrase.lower().replace(" ", "_").replace("'", "").replace("-", "_")
    kind = _STATUSES.get(status) or Problem(status, code, HTTPStatus(status).phrase)
    own_words = error.description if error.description != type(error).description else None
    response = problem_response(kind, own_words or _DETAILS.get(status) or kind.title)
    allowed = getattr(error, "valid_methods", None)
    if allowed:
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


_DETAILS: Final = {
    404: "there is nothing at this path; GET /openapi.json lists what there is",
    405: "the path is right and the method is not; the Allow header lists those it takes",
    413: "the body is over the service's limit",
}


def _unexpected(error: Exception) -> Response:
    fields = {"request_id": g.get("request_id", ""), **trace_fields()}
    _log.error("request failed", exc_info=error, extra=fields)
    return problem_response(INTERNAL, "the service has a defect; its log has more under the request id")


def install(app: Flask) -> None:
    """Let every error of the application end as a problem."""

    def refused(error: ProblemError) -> Response:
        return problem_response(error.kind, error.detail, error.errors)

    app.register_error_handler(ProblemError, refused)
    app.register_error_handler(HTTPException, _of_flask)
    app.register_error_handler(holdfast.HoldfastError, _of_engine)
    app.register_error_handler(NotReadyError, _of_engine)
    app.register_error_handler(Exception, _unexpected)
