"""What the service loads: every module offers its functions, and real input for its workflow."""

import importlib
import json

import pytest

from holdfast.core.definitions import ActivityDefinition, WorkflowDefinition
from tests.examples.kit import DATA

INPUTS = {
    "trip_booking": "trip.json",
    "order_approval": "order.json",
    "expense": "expense.json",
    "data_pipeline": "pipeline.json",
    "support_agent": "ticket.json",
}


@pytest.mark.parametrize("name", INPUTS)
def test_a_module_offers_every_function_that_it_decorates(name: str) -> None:
    module = importlib.import_module(f"examples.{name}")
    functions = [value for value in vars(module).values() if callable(value)]

    assert {id(one) for one in module.workflows} == {id(f) for f in functions if hasattr(f, "__holdfast_workflow__")}
    assert {id(one) for one in module.activities} == {id(f) for f in functions if hasattr(f, "__holdfast_activity__")}
    assert all(WorkflowDefinition.of(one).doc for one in module.workflows)
    assert all(ActivityDefinition.of(one).name for one in module.activities)


@pytest.mark.parametrize(("name", "file"), INPUTS.items())
def test_the_first_workflow_of_a_module_has_its_name_and_takes_its_data(name: str, file: str) -> None:
    definition = WorkflowDefinition.of(importlib.import_module(f"examples.{name}").workflows[0])
    raw = (DATA / file).read_bytes()

    definition.decode_input(raw)

    assert definition.name == name
    known = definition.input_schema["properties"].keys()
    assert set(json.loads(raw)) <= known, "a field that nobody reads"


def test_every_file_of_data_is_the_input_of_an_example() -> None:
    assert sorted(path.name for path in DATA.iterdir()) == sorted(INPUTS.values())
