"""Operations: what a route is declared with, and how a request is turned into the arguments of its view.

The declaration is the single source of the route, of the checks before its view, of who may call it, and of its entry
in ``/openapi.json``. Views get values that have been checked, and do nothing but call and render.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from flask import Blueprint, Response, current_app, request
from pydantic import BaseModel, ValidationError

from app.api.problem import INVALID, UNSUPPORTED_MEDIA_TYPE, FieldError, ProblemError, misfit
from app.json_writer import dump
from app.tracing import TRACEPARENT, TRACESTATE
from holdfast.core.ids import check_id
from holdfast.core.strict_json import JsonError, load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.service import Service

__all__ = [
    "NAME_PATTERN",
    "TRACE_HEADERS",
    "Access",
    "Api",
    "Header",
    "Operation",
    "idempotency_key",
    "json_response",
    "service",
]

F = TypeVar("F", bound="Callable[..., Response]")
M = TypeVar("M", bound=BaseModel)

NAME_PATTERN: Final = "[^\\x00-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069\\ufffe\\uffff]{1,256}"
"""The name of a signal, query or update: no control characters, and none that turn the direction of writing."""
_NAME = re.compile(NAME_PATTERN)
_MAX_DIGITS: Final = 15
_KEY = re.compile(r"[!-~]{1,256}")


class Access(StrEnum):
    """Who may call an operation."""

    OPEN = "open"
    """Anybody: it tells only whether the process is well."""
    TOKEN = "token"  # noqa: S105 - the name of a policy
    """Who has the token, where there is one."""
    SIDECAR = "sidecar"
    """The Dapr sidecar, and nobody through it."""


class Header(StrEnum):
    """The request headers that an operation may read."""

    IDEMPOTENCY_KEY = "Idempotency-Key"
    LAST_EVENT_ID = "Last-Event-ID"
    TRACEPARENT = TRACEPARENT
    TRACESTATE = TRACESTATE


TRACE_HEADERS: Final = (Header.TRACEPARENT, Header.TRACESTATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one route.

    Attributes:
        name: What it is called in the OpenAPI document.
        answers: The model of the body for each status that is no problem; a content type where that is not JSON, None
            where there is no body.
        query: The model of the query string; without one no parameter is taken.
        body: The model of the JSON body, which may be left out where nothing in it is required.
        payload: The body is any JSON value, and null where there is none.
        headers: The headers that it reads.
        access: Who may call it.
    """

    method: str
    rule: str
    name: str
    view: Callable[..., Response]
    answers: Mapping[int, type[BaseModel] | str | None]
    query: type[BaseModel] | None
    body: type[BaseModel] | None
    payload: bool
    headers: tuple[Header, ...]
    access: Access

    def serve(self, **path: str) -> Response:
        """Check a request and answer it."""
        arguments: dict[str, Any] = {name: _PATH[name](value) for name, value in path.items()}
        query = _read_query(self.query or _NoQuery)
        if self.query is not None:
            arguments["query"] = query
        if self.body is not None:
            arguments["body"] = _read_body(self.body)
        if self.payload:
            arguments["payload"] = _read_json(default=None)
        return self.view(**arguments)


class Api(Blueprint):
    """A blueprint whose routes are operations."""

    def __init__(self, name: str) -> None:
        """Begin with none."""
        super().__init__(name, __name__)
        self.operations: list[Operation] = []

    def operation(  # noqa: PLR0913 - what a route may be declared with
        self,
        method: str,
        rule: str,
        *,
        answers: Mapping[int, type[BaseModel] | str | None],
        query: type[BaseModel] | None = None,
        body: type[BaseModel] | None = None,
        payload: bool = False,
        headers: tuple[Header, ...] = (),
        access: Access = Access.TOKEN,
    ) -> Callable[[F], F]:
        """Register a view; the arguments are the attributes of `Operation`."""

        def register(view: F) -> F:
            operation = Operation(
                method=method,
                rule=rule,
                name=view.__name__,
                view=view,
                answers=answers,
                query=query,
                body=body,
                payload=payload,
                headers=headers,
                access=access,
            )
            self.operations.append(operation)
            self.add_url_rule(rule, endpoint=view.__name__, view_func=operation.serve, methods=[method])
            return view

        return register


def service() -> Service:
    """Give the service of the application that answers this request."""
    return cast("Service", current_app.extensions["holdfast"])


def json_response(value: object, status: int = 200, **headers: str) -> Response:
    """Answer with JSON."""
    response = Response(dump(value), status=status, content_type="application/json")
    for name, text in headers.items():
        response.headers[name] = text
    return response


def idempotency_key() -> str | None:
    """Give the caller's name for this request, if it has one."""
    key = request.headers.get(Header.IDEMPOTENCY_KEY)
    if key is not None and not _KEY.fullmatch(key):
        message = "the header takes 1 to 256 visible ASCII characters, and no spaces"
        raise misfit(message, Header.IDEMPOTENCY_KEY)
    return key


# Paths.


def _name(value: str) -> str:
    """Let the name of a signal, query or update through."""
    if not _NAME.fullmatch(value):
        message = "a name has 1 to 256 characters, and no control characters"
        raise misfit(message, "name")
    return value


def _number(value: str) -> int:
    """Let the number of a dead letter through."""
    if not (value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS and int(value)):
        message = "a dead letter has a number from 1"
        raise misfit(message, "number")
    return int(value)


_PATH: Final[dict[str, Callable[[str], str | int]]] = {
    "id": check_id,
    "name": _name,
    "number": _number,
    "ref": str,
    "workflow": str,
}
"""How each variable part of a path is checked; all see the decoded value."""


# Query strings.


class _NoQuery(BaseModel, extra="forbid"):
    """No parameters."""


def _read_query(model: type[M]) -> M:
    values: dict[str, str] = {}
    for name, given in request.args.lists():
        if len(given) > 1:
            message = f"the parameter {name!r} stands {len(given)} times in the query string"
            raise misfit(message, name)
        values[name] = given[0]
    return _fit(model, values, "query string")


# Bodies.


def _read_body(model: type[M]) -> M:
    value = _read_json(default={})
    if not isinstance(value, dict):
        message = "the body must be a JSON object"
        raise misfit(message, "")
    return _fit(model, value, "body")


def _read_json(*, default: object) -> Any:  # noqa: ANN401 - any JSON value
    """Read the body; a request may leave it out, and then need not say what it is."""
    if "Content-Type" in request.headers or "Content-Encoding" in request.headers:
        _check_media_type()
    raw = request.get_data()
    if not raw:
        return default
    _check_media_type()
    try:
        return load(raw)
    except JsonError as error:
        raise misfit(str(error), error.field) from error


def _check_media_type() -> None:
    charset = request.mimetype_params.get("charset", "utf-8").lower().replace("_", "-")
    is_json = request.mimetype == "application/json" or request.mimetype.endswith("+json")
    if not is_json or charset not in {"utf-8", "utf8"}:
        message = f"the body is {request.content_type or 'of no declared type'!r}: send application/json"
        raise ProblemError(UNSUPPORTED_MEDIA_TYPE, message[:300])
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        message = "compressed bodies are not taken: send it without Content-Encoding"
        raise ProblemError(UNSUPPORTED_MEDIA_TYPE, message)


def _fit(model: type[M], value: Mapping[str, Any], what: str) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = [
            FieldError(".".join(str(part) for part in each["loc"]), each["msg"].removeprefix("Value error, "))
            for each in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        detail = f"the {what} does not fit: " + "; ".join(f"{each.field}: {each.message}" for each in found[:5])
        raise ProblemError(INVALID, detail, found) from error
