"""What decorators and annotations declare, and what is refused when it is registered rather than when it runs."""

from dataclasses import dataclass
from datetime import timedelta

import pydantic
import pytest

from holdfast import (
    ActivityContext,
    PayloadError,
    RetryPolicy,
    WorkflowContext,
    WorkflowNotFoundError,
    activity,
    workflow,
)
from holdfast.core.activities import ActivityOptions
from holdfast.core.definitions import ActivityDefinition, WorkflowDefinition
from holdfast.core.registry import Registry
from tests.play import Anything


@dataclass
class Order:
    sku: str


class Receipt(pydantic.BaseModel):
    total: int


async def bare(ctx: WorkflowContext, order: Order) -> Receipt:
    """Sell something."""
    return Receipt(total=len(order.sku))


@workflow(name="order", version="2")
async def named(ctx: WorkflowContext) -> None:
    """Do nothing."""


@workflow
async def marked(ctx: WorkflowContext, value: Anything = None) -> Anything:
    return value


def test_a_bare_function_registers_under_its_own_name_as_version_1() -> None:
    definition = WorkflowDefinition.of(bare)

    assert (definition.name, definition.version, definition.takes_input) == ("bare", "1", True)
    assert definition.decode_input(b'{"sku":"a"}') == (Order("a"),)
    assert definition.decode_result(b'{"total":3}') == Receipt(total=3)
    assert definition.input_schema["required"] == ["sku"]
    assert definition.doc == "Sell something."


def test_a_decorator_gives_name_and_version_and_leaves_the_function_alone() -> None:
    definition = WorkflowDefinition.of(named)

    assert (definition.name, definition.version, definition.takes_input) == ("order", "2", False)
    assert definition.input_schema == {"type": "null"}
    assert WorkflowDefinition.of(marked).name == "marked"
    assert marked.__name__ == "marked"


def plain(ctx: WorkflowContext) -> None:
    """Not async."""


async def generator(ctx: WorkflowContext) -> Anything:
    yield 1


async def no_context() -> None:
    """Take nothing."""


async def three(ctx: WorkflowContext, a: int, b: int) -> None:
    """Take too much."""


async def keyword_only(ctx: WorkflowContext, *, value: int) -> None:
    """Take it by name only."""


@pytest.mark.parametrize("function", [plain, generator])
def test_a_workflow_that_is_no_async_def_is_refused(function: Anything) -> None:
    with pytest.raises(TypeError, match=rf"workflow '{function.__name__}' must be an async def function"):
        Registry.of([function], [])


@pytest.mark.parametrize("function", [no_context, three, keyword_only])
def test_a_workflow_with_other_parameters_is_refused(function: Anything) -> None:
    with pytest.raises(TypeError, match=rf"workflow '{function.__name__}' must take \(ctx\) or \(ctx, input\), not \("):
        Registry.of([function], [])


def test_a_lambda_needs_a_name() -> None:
    with pytest.raises(TypeError, match="has no name of its own: give it one with the decorator"):
        ActivityDefinition.of(lambda value: value)


def test_an_annotation_that_cannot_be_resolved_says_what_to_do() -> None:
    async def odd(ctx: WorkflowContext, value: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821
        """Take what nobody has defined."""

    with pytest.raises(
        TypeError, match=r"the annotation 'Nowhere' of 'odd' cannot be resolved .*import the type at run time"
    ):
        WorkflowDefinition.of(odd)


def test_an_annotation_that_has_no_json_form_is_refused_at_registration() -> None:
    class Opaque:
        pass

    async def odd(ctx: WorkflowContext, value: Opaque) -> None:
        """Take what JSON cannot say."""

    with pytest.raises(TypeError, match=r"input of workflow 'odd' is annotated .* which cannot be decoded"):
        Registry.of([odd], [])


def test_an_annotation_as_text_may_name_what_the_function_closes_over() -> None:
    @dataclass
    class Local:
        a: int

    async def odd(ctx: WorkflowContext, value: "Local") -> "Local":
        return Local(value.a)

    assert WorkflowDefinition.of(odd).decode_input(b'{"a":1}') == (Local(1),)


@activity(name="charge-card", retry=RetryPolicy(max_attempts=5), timeout=timedelta(seconds=30), heartbeat_timeout=2)
async def charge(order: Order, context: ActivityContext) -> Receipt:
    return Receipt(total=1)


def ship(order: Order) -> None:
    """Ship it."""


def nothing() -> int:
    return 1


def only_context(context: ActivityContext) -> int:
    return context.attempt


class Callable:
    __name__ = "callable-object"

    async def __call__(self, value: int) -> int:
        return value


@pytest.mark.parametrize(
    ("function", "name", "is_async", "wants_context"),
    [
        (charge, "charge-card", True, True),
        (ship, "ship", False, False),
        (nothing, "nothing", False, False),
        (only_context, "only_context", False, True),
        (Callable(), "callable-object", True, False),
    ],
)
def test_an_activity_is_read_off_its_signature(
    function: Anything, name: str, *, is_async: bool, wants_context: bool
) -> None:
    definition = ActivityDefinition.of(function)

    assert (definition.name, definition.is_async, definition.wants_context) == (name, is_async, wants_context)


def test_an_activity_is_called_with_what_it_takes() -> None:
    context = ActivityContext("wf", "1", 4, "key")

    assert ActivityDefinition.of(only_context).invoke(b"null", context) == 4
    assert ActivityDefinition.of(nothing).invoke(b"null", None) == 1
    with pytest.raises(PayloadError, match="input of activity 'nothing': it takes none"):
        ActivityDefinition.of(nothing).invoke(b"1", None)
    with pytest.raises(PayloadError, match="input of activity 'ship': field 'sku'"):
        ActivityDefinition.of(ship).invoke(b"{}", None)


def test_no_input_leaves_a_parameter_to_its_default() -> None:
    def sized(size: int = 7) -> int:
        return size

    async def run(ctx: WorkflowContext, size: int = 9) -> int:
        return size

    assert ActivityDefinition.of(sized).invoke(b"null", None) == 7
    assert ActivityDefinition.of(sized).invoke(b"3", None) == 3
    assert WorkflowDefinition.of(run).decode_input(b"null") == ()
    assert WorkflowDefinition.of(run).decode_input(b"4") == (4,)


def test_a_decorated_activity_has_its_defaults_and_a_call_may_override_some() -> None:
    options = ActivityDefinition.of(charge).options

    assert options == ActivityOptions(RetryPolicy(max_attempts=5), timeout_ms=30_000, heartbeat_ms=2_000)
    changed = options.override(None, 1, None, timedelta(minutes=1))
    assert changed == ActivityOptions(
        RetryPolicy(max_attempts=5), timeout_ms=1_000, heartbeat_ms=2_000, schedule_to_close_ms=60_000
    )


def test_an_activity_with_two_inputs_is_refused() -> None:
    def two(a: int, b: int) -> None:
        """Take too much."""

    with pytest.raises(TypeError, match=r"activity 'two' must take \(input\) or \(input, context: ActivityContext\)"):
        Registry.of([], [two])


@pytest.mark.parametrize("option", ["timeout", "heartbeat_timeout", "schedule_to_close"])
def test_a_limit_that_is_no_duration_is_refused_by_name(option: str) -> None:
    with pytest.raises(ValueError, match=rf"^{option} must be between 0 seconds and 100 years"):
        activity(**{option: -1})  # type: ignore[call-overload]


def version(number: str, result: str) -> Anything:
    @workflow(name="v", version=number)
    async def run(ctx: WorkflowContext) -> str:
        return result

    return run


def test_new_runs_get_the_version_that_was_registered_last() -> None:
    registry = Registry.of([version("2", "b"), version("1", "a")], [])

    assert registry.workflow("v").version == "1"
    assert registry.workflow("v", "2").version == "2"


def test_a_version_that_is_gone_is_tried_on_the_newest() -> None:
    assert Registry.of([version("2", "b")], []).workflow("v", "1").version == "2"


def test_an_unknown_workflow_lists_the_known_ones() -> None:
    with pytest.raises(WorkflowNotFoundError, match="no workflow 'x' is registered here; known: bare, order"):
        Registry.of([named, bare], []).workflow("x")
    with pytest.raises(WorkflowNotFoundError, match="known: none"):
        Registry().workflow("x")


def test_two_functions_may_not_claim_one_name_and_version() -> None:
    with pytest.raises(ValueError, match="two workflows are named 'v' version '1'"):
        Registry.of([version("1", "a"), version("1", "b")], [])
    with pytest.raises(ValueError, match="two activities are named 'ship'"):
        Registry.of([], [ship, activity(name="ship")(nothing)])


def test_the_same_function_may_be_registered_twice() -> None:
    registry = Registry.of([bare, bare], [nothing, nothing])

    assert [definition.name for definition in registry.workflows()] == ["bare"]


def test_workflows_are_listed_by_name_and_version() -> None:
    registry = Registry.of([version("2", "b"), version("1", "a"), bare], [])

    assert [(d.name, d.version) for d in registry.workflows()] == [("bare", "1"), ("v", "1"), ("v", "2")]


def test_an_activity_can_be_made_and_called_by_its_own_test() -> None:
    beats: list[object] = []

    context = ActivityContext("wf", "1", 2, "key", last_heartbeat={"row": 5}, heartbeat=beats.append)
    context.heartbeat({"row": 6})

    assert (context.workflow_id, context.activity_id, context.attempt) == ("wf", "1", 2)
    assert (context.idempotency_key, context.last_heartbeat) == ("key", {"row": 5})
    assert beats == [{"row": 6}]
    assert not context.cancelled
    context.cancel()
    assert context.cancelled


def test_a_result_that_does_not_fit_its_annotation_is_named() -> None:
    with pytest.raises(PayloadError, match="result of workflow 'bare': field 'total'"):
        WorkflowDefinition.of(bare).decode_result(b"{}")
