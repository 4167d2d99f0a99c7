"""Functions that a model may ask for: what it is told of them, and what becomes of what it writes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from holdfast import (
    ActivityContext,
    ActivityError,
    InvalidIdError,
    PayloadError,
    RetryPolicy,
    WorkflowContext,
    activity,
)
from holdfast.activities import LlmTool, LlmToolCall, tool_activity
from holdfast.core.definitions import ActivityDefinition
from holdfast.testing import TestEnvironment
from tests.play import Anything

ALONE = ActivityContext("run", "1", 1, "key")


@dataclass(frozen=True)
class Line:
    sku: str
    quantity: int = 1


class Refund(BaseModel):
    order_id: str
    lines: list[Line]


@tool_activity
def refund(
    order_id: str,
    cents: Annotated[int, Field(ge=1, description="how much")],
    context: ActivityContext,
    lines: list[Line] = [],  # noqa: B006 - not changed, and what people write
    copy: bool = False,  # noqa: FBT001, FBT002 - also the name of a method of models
) -> Refund:
    """Give money back,
    in part or in whole.

    Never more than was paid.
    """
    assert context.attempt == 1
    assert copy in {True, False}
    assert cents > 0
    return Refund(order_id=order_id, lines=lines)


@tool_activity(name="look-up", description="Find out.", timeout=timedelta(seconds=5), retry=RetryPolicy(max_attempts=7))
async def look(day: date, **more: Anything) -> dict[str, Anything]:
    """Not shown."""
    return {"day": day.isoformat(), "type": type(day).__name__, **more}


WRITTEN = {
    "type": "object",
    "properties": {"query": {"type": "string", "minLength": 2, "pattern": "^[a-z]+$"}, "at": {"$ref": "#/$defs/at"}},
    "required": ["query"],
    "additionalProperties": False,
    "$defs": {"at": {"type": "string", "format": "date"}},
}


def search(query: str, at: date | None = None) -> str:
    return f"{query} {at!r}"


def refused(tool: Anything, arguments: Anything) -> PayloadError:
    with pytest.raises(PayloadError) as caught:
        tool(arguments, ALONE)
    return caught.value


def test_a_model_is_told_name_purpose_and_arguments() -> None:
    assert refund.tool.name == "refund"
    assert refund.tool.description == "Give money back, in part or in whole."
    schema = refund.tool.parameters
    assert schema["required"] == ["order_id", "cents"]
    assert list(schema["properties"]) == ["order_id", "cents", "lines", "copy"]
    assert schema["properties"]["cents"] == {
        "description": "how much",
        "minimum": 1,
        "title": "Cents",
        "type": "integer",
    }
    assert schema["properties"]["copy"]["default"] is False
    assert schema["additionalProperties"] is False
    assert look.tool.name == "look-up"
    assert look.tool.description == "Find out."


def test_it_is_an_activity_like_any_other() -> None:
    plain, waiting = ActivityDefinition.of(refund), ActivityDefinition.of(look)

    assert (plain.name, plain.is_async, plain.wants_context) == ("refund", False, True)
    assert (waiting.name, waiting.is_async) == ("look-up", True)
    assert (waiting.options.timeout_ms, waiting.options.retry.max_attempts) == (5_000, 7)


async def test_a_workflow_calls_it_with_an_object_or_with_what_the_model_wrote() -> None:
    async def agent(ctx: WorkflowContext) -> list[Anything]:
        call = LlmToolCall("1", "refund", '{"order_id": "A1", "cents": "5", "lines": [{"sku": "x"}]}')
        by_text = await ctx.execute_activity(refund, call.arguments)
        by_object = await ctx.execute_activity(refund, {"order_id": "A2", "cents": 5})
        assert isinstance(by_text, Refund)
        return [by_text, by_object, await ctx.execute_activity(look, {"day": "2026-11-21", "more": [1]})]

    async with TestEnvironment(workflows=[agent], activities=[refund, look]) as env:
        assert await env.execute(agent) == [
            {"order_id": "A1", "lines": [{"sku": "x", "quantity": 1}]},
            {"order_id": "A2", "lines": []},
            {"day": "2026-11-21", "type": "date", "more": [1]},
        ]


async def test_what_does_not_fit_fails_at_once_and_can_be_told_to_the_model() -> None:
    async def agent(ctx: WorkflowContext) -> Anything:
        call = LlmToolCall("call-1", "refund", '{"order_id": 7, "cents": 0, "secret": "4711"}')
        try:
            await ctx.execute_activity(refund, call.arguments)
        except ActivityError as error:
            return [error.attempt, error.cause.type, call.answer(f"error: {error.cause.message}")]

    async with TestEnvironment(workflows=[agent], activities=[refund]) as env:
        attempt, kind, told = await env.execute(agent)

    assert (attempt, kind) == (1, "PayloadError")
    assert told["role"] == "tool"
    assert (told["tool_call_id"], told["name"]) == ("call-1", "refund")
    assert told["content"] == (
        "error: arguments of tool 'refund': order_id: Input should be a valid string; "
        "cents: Input should be greater than or equal to 1; secret: Extra inputs are not permitted"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("order_id,cents", "the text is not JSON"),
        ('{"cents": 1, "cents": 2}', "the key 'cents' stands twice"),
        ("[1]", "must be an object, not list"),
        ("null", "order_id: Field required; cents: Field required"),
        ("", "order_id: Field required; cents: Field required"),
        (None, "order_id: Field required; cents: Field required"),
        ({"order_id": "A1", "cents": 1, "lines": [{"sku": "x"}, {}]}, "lines.1.sku: Field required"),
    ],
)
def test_whatever_a_model_writes_is_refused_in_words(arguments: Anything, words: str) -> None:
    error = refused(refund, arguments)

    assert str(error).startswith("arguments of tool 'refund'")
    assert words in str(error)


def test_the_message_names_every_field_and_shows_no_value() -> None:
    error = refused(refund, {"order_id": "A1", "cents": "secret", "lines": "secret"})

    assert [field for field, _ in error.faults] == ["cents", "lines"]
    assert error.field == "cents"
    assert "secret" not in str(error)


def test_a_schema_of_ones_own_is_what_the_model_is_told_and_is_checked_besides_the_annotations() -> None:
    tool = tool_activity(search, WRITTEN)

    assert tool.tool.parameters == WRITTEN
    assert tool({"query": "abc", "at": "2026-11-21"}, ALONE) == "abc datetime.date(2026, 11, 21)"
    error = refused(tool, {"query": "SECRET", "at": "yesterday", "x": 1})
    assert dict(error.faults) == {
        "query": 'it does not match "^[a-z]+$"',
        "at": 'it is not a "date"',
        "": "Additional properties are not allowed ('x' was unexpected)",
    }
    assert "SECRET" not in str(error)
    assert "is a required property" in str(refused(tool, ""))


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "objekt"}, "cannot be used"),
        ({"type": "object", "properties": {"query": {"$ref": "https://example.com/x.json"}}}, "Retrieval is disabled"),
        ({"type": "object", "properties": {"query": {"$ref": "#/$defs/x"}}}, "does not exist"),
        ({"type": "object", "properties": {"question": {}}}, "has properties that it does not take: question"),
        ({"type": "string"}, "must be that of an object"),
    ],
)
def test_a_schema_that_cannot_work_is_refused_when_the_tool_is_made(schema: dict[str, Anything], words: str) -> None:
    with pytest.raises(ValueError, match="the schema of tool 'search'") as error:
        tool_activity(search, schema)
    assert words in str(error.value)


def test_a_schema_may_have_any_property_where_the_function_takes_any_argument() -> None:
    async def anything(**arguments: Anything) -> dict[str, Anything]:
        return arguments

    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}

    assert tool_activity(anything, schema).tool == LlmTool("anything", "", schema)


def test_a_function_that_no_model_could_call_is_refused() -> None:
    def positional(first: int, /) -> None: ...

    def many(*numbers: int) -> None: ...

    def unknown(value: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821 - on purpose

    def opaque(value: Opaque) -> None: ...

    for function in (positional, many):
        with pytest.raises(TypeError, match="must take its arguments by name"):
            tool_activity(function)
    with pytest.raises(TypeError, match=r"'Missing' is not defined.*import the type at run time"):
        tool_activity(unknown)
    with pytest.raises(TypeError, match="cannot be decoded from JSON"):
        tool_activity(opaque)
    with pytest.raises(InvalidIdError, match="the name of a tool"):
        tool_activity(lambda: None)
    with pytest.raises(TypeError, match="'step' is an activity already"):
        tool_activity(step)


class Opaque:
    """No type that JSON has a form of."""


@activity
def step() -> None: ...


class Desk:
    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, guest: str) -> str:
        """Greet a guest."""
        return f"{self.name} greets {guest}"

    def ring(self, times: int = 1) -> str:
        """Ring the bell."""
        return f"{self.name} rings {times} times"


async def test_methods_and_objects_are_tools_too() -> None:
    desk = Desk("front")
    ring, greet = tool_activity(desk.ring), tool_activity(desk, name="greet", description="Greet.")

    async def agent(ctx: WorkflowContext) -> list[str]:
        return [await ctx.execute_activity(ring, {"times": 2}), await ctx.execute_activity(greet, {"guest": "ann"})]

    async with TestEnvironment(workflows=[agent], activities=[ring, greet]) as env:
        assert await env.execute(agent) == ["front rings 2 times", "front greets ann"]
    assert ring.tool.parameters["properties"] == {"times": {"default": 1, "title": "Times", "type": "integer"}}
    assert greet.tool.parameters["required"] == ["guest"]


def test_a_default_that_json_has_no_form_of_is_the_functions_own_affair() -> None:
    missing: Anything = object()

    def find(at: date = missing) -> bool:
        return at is missing

    tool = tool_activity(find)

    assert tool.tool.parameters["properties"] == {"at": {"format": "date", "title": "At", "type": "string"}}
    assert tool({}, ALONE) is True
    assert tool({"at": "2026-11-21"}, ALONE) is False


def test_no_model_can_give_the_context() -> None:
    def anything(context: ActivityContext, **more: Anything) -> list[str]:
        return [context.workflow_id, *more]

    tool = tool_activity(anything)

    assert tool({"p0": 1, "p1": 2}, ALONE) == ["run", "p0", "p1"]
    assert str(refused(tool, {"context": 1})) == "arguments of tool 'anything': context: it is not an argument"
