"""Any: the first branch that is fulfilled decides; if none is, all reasons come together."""

from typing import Any

import pytest

from holdfast import AggregateError, RefError, WorkflowContext
from tests.play import Begin, Play
from tests.unit.core.combining import begun, completed, publishing, waits_for


def begun_of(begin: Begin, *names: str) -> Play:
    """Start a run that returns the reasons where none is fulfilled."""

    @publishing
    async def run(ctx: WorkflowContext) -> Any:  # noqa: ANN401 - any JSON value
        try:
            return await ctx.any([waits_for(name)(ctx) for name in names])
        except AggregateError as error:
            return [str(error), *(reason.value for reason in error.errors if isinstance(reason, RefError))]

    return begin(run)


def test_the_first_that_is_fulfilled_cancels_the_others_in_its_own_step(begin: Begin) -> None:
    play = begun(begin, "any", "a", "b", "c")
    play.resolve("b", 2)

    assert play.outputs == ["-a", "-c", "delivered"]
    completed(play, 2)


def test_one_that_is_rejected_before_changes_nothing(begin: Begin) -> None:
    play = begun(begin, "any", "a", "b", "c")
    play.reject("a", "no")
    assert play.outputs == []
    play.resolve("c", 3)

    assert play.outputs == ["-b", "delivered"]
    completed(play, 3)


def test_the_result_is_delivered_after_the_others_have_unwound(begin: Begin) -> None:
    play = begun(begin, "any", "a", "b", undo=True)
    play.resolve("a", 1)
    assert (play.outputs, play.ended) == (["-b"], False)
    play.reject("undo-b", "ignored")

    completed(play, 1)


@pytest.mark.parametrize("order", ["abc", "cba", "bca"])
def test_if_all_are_rejected_their_reasons_come_in_the_order_of_the_branches(begin: Begin, order: str) -> None:
    play = begun_of(begin, "a", "b", "c")
    for name in order:
        assert not play.ended
        play.reject(name, name.upper())

    completed(play, ["no branch was fulfilled: RefError: A; RefError: B; RefError: C", "A", "B", "C"])


def test_any_of_nothing_is_rejected_with_no_reasons(begin: Begin) -> None:
    completed(begun_of(begin), ["no branch was fulfilled: there was none"])


def test_a_branch_that_was_cancelled_counts_as_rejected(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[str]:
        try:
            await ctx.any(waits_for_nothing(ctx))
        except AggregateError as error:
            return [type(reason).__name__ for reason in error.errors]
        return []

    async def waits_for_nothing(ctx: WorkflowContext) -> None:
        async with ctx.cancellation_scope() as scope:
            scope.cancel()
            await ctx.ref_id("never")

    completed(begin(run), ["CancelledError"])
