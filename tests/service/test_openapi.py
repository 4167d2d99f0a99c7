"""The OpenAPI document tells the truth: it is valid, complete, and the service keeps to it under odd requests."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from app.durations import parse_duration
from app.factory import create_app
from app.settings import Settings
from tests.service.kit import application, ended, start, waits_for

TOKEN = "a-token-of-some-length"
EXAMPLES = int(os.environ.get("HOLDFAST_TEST_EXAMPLES", "25"))
OPEN_RUN, DONE_RUN = "open-run", "done-run"
WORKFLOWS = itertools.cycle(["quick", "echo", "fails"])


def document(app: Flask) -> dict[str, Any]:
    found: dict[str, Any] = app.test_client().get("/openapi.json").get_json()
    return found


def test_the_document_is_openapi_3_1_and_names_every_operation_once(app: Flask) -> None:
    found = document(app)
    operations = [operation for path in found["paths"].values() for operation in path.values()]

    assert found["openapi"] == "3.1.0"
    assert all(operation["summary"].endswith(".") for operation in operations)
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    for name, schema in found["components"]["schemas"].items():
        jsonschema_rs.Draft202012Validator(schema | {"components": found["components"]}), name


def test_every_operation_documents_its_problems(app: Flask) -> None:
    for path in document(app)["paths"].values():
        for operation in path.values():
            assert "application/problem+json" in operation["responses"]["default"]["content"]


def test_a_service_with_a_token_says_so(app: Flask) -> None:
    with application(token=TOKEN) as guarded:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        found = guarded.test_client().get("/openapi.json", headers=headers).get_json()

    assert found["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    assert found["paths"]["/v1/runs"]["get"]["security"] == [{"token": []}]
    assert found["paths"]["/livez"]["get"]["security"] == []
    assert "securitySchemes" not in document(app)["components"]


def test_answers_fit_the_schemas(app: Flask, client: FlaskClient) -> None:
    found = document(app)
    start(client, "lost", "lost-1")
    waits_for(client, "lost-1", "not registered")

    for path, template in {
        "/v1/workflows": "/v1/workflows",
        "/v1/runs": "/v1/runs",
        "/v1/runs/lost-1": "/v1/runs/{id}",
        "/v1/runs/lost-1/history": "/v1/runs/{id}/history",
        "/readyz": "/readyz",
    }.items():
        schema = found["paths"][template]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        validator = jsonschema_rs.Draft202012Validator(schema | {"components": found["components"]})
        validator.validate(client.get(path).get_json())


@pytest.fixture(scope="module")
def odd_requests() -> Iterator[Any]:
    """The interface, with a run that is open, a run that has ended, and nobody who waits for long."""
    with application(threads=64, call_timeout=5) as app:
        client = app.test_client()
        start(client, "order", OPEN_RUN, {"sku": "A1"})
        start(client, "quick", DONE_RUN)
        ended(client, DONE_RUN)
        schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
        schema.hook("map_path_parameters")(_known_ids)
        schema.hook("map_query")(_short_waits)
        yield schema


def _known_ids(context: Any, parameters: dict[str, Any] | None) -> dict[str, Any] | None:  # noqa: ANN401
    """Let half of the well-formed ids belong to a run, and of the names to a workflow."""
    if not parameters:
        return parameters
    id = parameters.get("id")
    if isinstance(id, str) and id.isalnum() and len(id) % 2:
        is_stream = context.operation.path.endswith("/events")
        parameters["id"] = DONE_RUN if is_stream or len(id) % 4 == 1 else OPEN_RUN
    if "workflow" in parameters and len(str(parameters["workflow"])) % 2:
        parameters["workflow"] = next(WORKFLOWS)
    return parameters


def _short_waits(_context: Any, query: dict[str, Any] | None) -> dict[str, Any] | None:  # noqa: ANN401
    """Keep a wait from taking as long as it says."""
    if query and "wait" in query:
        try:
            parse_duration(query["wait"])
        except ValueError:
            return query
        query["wait"] = "0.05"
    return query


CASES = [
    (path, method, mode)
    for path, methods in document(create_app(Settings(store="memory:")))["paths"].items()
    for method, operation in methods.items()
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or operation["parameters"]
]


MEANT = {
    "/v1/workflows/{workflow}/runs",
    "/v1/runs",
    "/v1/runs/{id}/queries/{name}",
    "/v1/runs/{id}/updates/{name}",
    "/v1/runs/{id}/rerun",
}
"""Operations that may refuse what fits their schema: the workflow, the run or an earlier answer decides."""


@pytest.mark.slow
@pytest.mark.parametrize(("path", "method", "mode"), CASES)
def test_odd_requests_get_what_the_document_says(
    odd_requests: Any,  # noqa: ANN401 - a schema of schemathesis
    path: str,
    method: str,
    mode: GenerationMode,
) -> None:
    @given(case=odd_requests[path][method].as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def check(case: Any) -> None:  # noqa: ANN401 - a case of schemathesis
        case.call_and_validate(excluded_checks=[positive_data_acceptance] if path in MEANT else [])

    check()
