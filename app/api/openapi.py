"""The OpenAPI 3.1 document, made from the declared operations."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from flask import current_app
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.api.models import ID_SCHEMA
from app.api.operations import NAME_PATTERN, Access, Api, Header, json_response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flask import Response

    from app.api.operations import Operation

__all__ = ["api", "document"]

api = Api("openapi")

_REF: Final = "#/components/schemas/{model}"
_VARIABLE = re.compile(r"<(?:\w+:)?(\w+)>")
_PATH_SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "id": ID_SCHEMA,
    "name": {"type": "string", "pattern": f"^{NAME_PATTERN}$"},
    "ref": {"type": "string", "minLength": 1, "maxLength": 1024},
    "number": {"type": "integer", "minimum": 1, "maximum": 10**15 - 1},
    "workflow": {"type": "string", "minLength": 1},
}
_HEADER_SCHEMAS: Final[dict[Header, dict[str, Any]]] = {
    Header.IDEMPOTENCY_KEY: {"type": "string", "pattern": "^[!-~]{1,256}$"},
    Header.LAST_EVENT_ID: {"type": "string", "pattern": "^[0-9]{1,9}$"},
    Header.TRACEPARENT: {"type": "string"},
    Header.TRACESTATE: {"type": "string"},
}


class FieldProblem(BaseModel):
    """What is wrong with one field of a request."""

    field: str
    message: str


class Problem(BaseModel, extra="allow"):
    """What is wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[FieldProblem]
    request_id: str
    trace_id: str = ""


@api.operation("GET", "/openapi.json", answers={200: "application/json"})
def openapi() -> Response:
    """Describe the interface."""
    return json_response(current_app.extensions["holdfast.openapi"])


def document(operations: Iterable[Operation], version: str, *, needs_token: bool) -> dict[str, Any]:
    """Make the document.

    Args:
        operations: What the application offers.
        version: Of the service.
        needs_token: Whether callers have to present one.
    """
    operations = list(operations)
    schemas, definitions = models_json_schema(
        [(model, "serialization" if is_answer else "validation") for model, is_answer in _models(operations)],
        ref_template=_REF,
    )
    references: dict[Any, dict[str, Any]] = {model: schema for (model, _), schema in schemas.items()}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        entry = _entry(operation, references, definitions.get("$defs", {}), needs_token=needs_token)
        paths.setdefault(_VARIABLE.sub(r"{\1}", operation.rule), {})[operation.method.lower()] = entry
    components: dict[str, Any] = {"schemas": definitions.get("$defs", {})}
    if needs_token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Holdfast", "version": version, "description": "Durable workflows."},
        "paths": paths,
        "components": components,
    }


def _models(operations: Iterable[Operation]) -> Iterable[tuple[type[BaseModel], bool]]:
    """Give every model once, and whether it is of answers."""
    found: dict[type[BaseModel], bool] = {Problem: True}
    for operation in operations:
        found |= {model: False for model in (operation.query, operation.body) if model is not None}
        found |= {model: True for model in operation.answers.values() if isinstance(model, type)}
    return found.items()


def _entry(
    operation: Operation, references: dict[Any, dict[str, Any]], schemas: dict[str, Any], *, needs_token: bool
) -> dict[str, Any]:
    summary = (operation.view.__doc__ or operation.name).splitlines()[0]
    entry: dict[str, Any] = {
        "operationId": operation.name,
        "summary": summary,
        "parameters": [*_path_parameters(operation), *_query_parameters(operation, schemas), *_headers(operation)],
        "responses": _responses(operation, references),
    }
    if operation.body is not None:
        required = bool(schemas[operation.body.__name__].get("required"))
        entry["requestBody"] = {"required": required, "content": _json(references[operation.body])}
    elif operation.payload:
        entry["requestBody"] = {"required": False, "content": _json({})}
    if needs_token:
        entry["security"] = [] if operation.access is Access.OPEN else [{"token": []}]
    return entry


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _PATH_SCHEMAS[name]}
        for name in _VARIABLE.findall(operation.rule)
    ]


def _query_parameters(operation: Operation, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    schema = schemas[operation.query.__name__]
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _present(each)}
        for name, each in schema["properties"].items()
    ]


def _present(schema: dict[str, Any]) -> dict[str, Any]:
    """Leave null out of the schema of a parameter: a query string cannot hold it."""
    choices = [each for each in schema.get("anyOf", []) if each != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name not in {"anyOf", "default", "title"}}
    if not choices:
        return rest
    return {**rest, **choices[0]} if len(choices) == 1 else {**rest, "anyOf": choices}


def _headers(operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": header.value, "in": "header", "required": False, "schema": _HEADER_SCHEMAS[header]}
        for header in operation.headers
    ]


def _responses(operation: Operation, references: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, model in operation.answers.items():
        content: dict[str, Any] = {}
        if isinstance(model, str):
            content = {"content": {model: {"schema": {}}}}
        elif model is not None:
            content = {"content": _json(references[model])}
        responses[str(status)] = {"description": "done" if status < 300 else "", **content}  # noqa: PLR2004
    problem = {"application/problem+json": {"schema": references[Problem]}}
    responses["default"] = {"description": "a problem", "content": problem}
    return responses
