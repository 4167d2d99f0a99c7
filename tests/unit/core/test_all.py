"""All: every result in order, or the first reason once the others have unwound. All settled: how each has ended."""

import itertools

import pytest

from holdfast import CancelToken, RunStatus, WorkflowContext
from tests.play import Begin
from tests.unit.core.combining import begun, completed


@pytest.mark.parametrize("order", list(itertools.permutations("abc")))
def test_all_gives_the_results_in_the_order_of_the_branches(begin: Begin, order: tuple[str, ...]) -> None:
    play = begun(begin, "all", "a", "b", "c")
    for name in order:
        assert not play.ended
        play.resolve(name, name.upper())

    completed(play, ["A", "B", "C"])


def test_the_first_that_is_rejected_cancels_the_others_in_its_own_step(begin: Begin) -> None:
    play = begun(begin, "all", "a", "b", "c")
    play.resolve("a")
    play.reject("c", "no")

    assert play.outputs == ["-b", "delivered"]
    completed(play, ["raised", "no"])


def test_all_rejects_with_the_first_reason_after_the_others_have_unwound(begin: Begin) -> None:
    play = begun(begin, "all", "a", "b", "c", undo=True)
    play.reject("b", "first")
    assert play.outputs == ["-a", "-c"]

    play.reject("undo-a", "second")
    assert not play.ended
    play.reject("undo-c", "third")

    completed(play, ["raised", "first"])


def test_a_result_that_a_cancelled_branch_gives_all_the_same_is_ignored(begin: Begin) -> None:
    play = begun(begin, "all", "a", "b", undo=True, swallows=True)
    play.reject("a", "first")
    play.resolve("undo-b")

    completed(play, ["raised", "first"])


def test_all_of_nothing_is_an_empty_list(begin: Begin) -> None:
    completed(begun(begin, "all"), [])


def test_all_settled_says_of_each_in_order_how_it_ended(begin: Begin) -> None:
    play = begun(begin, "all_settled", "a", "b", "c")
    play.reject("c", {"why": "full"})
    play.resolve("b", None)
    assert play.outputs == []
    play.resolve("a", 1)

    completed(play, [["fulfilled", 1], ["fulfilled", None], ["rejected", {"why": "full"}]])


def test_all_settled_cancels_none(begin: Begin) -> None:
    play = begun(begin, "all_settled", "a", "b", "c")

    for ref in ("a", "b"):
        play.reject(ref, "no")
        assert play.outputs == []
    assert play.run.waits_for() == ["ref 'c'"]
    play.resolve("c")

    assert play.outputs == ["delivered"]


def test_all_settled_of_nothing_is_an_empty_list(begin: Begin) -> None:
    completed(begun(begin, "all_settled"), [])


@pytest.mark.parametrize("combinator", ["race", "all", "any", "all_settled"])
def test_each_cancels_its_branches_when_it_is_cancelled_and_waits_for_them(begin: Begin, combinator: str) -> None:
    play = begun(begin, combinator, "a", "b", undo=True)
    play.cancel("enough")
    assert play.outputs == ["-a", "-b"]

    play.resolve("undo-b")
    assert not play.ended
    play.resolve("undo-a")

    assert play.status is RunStatus.CANCELED
    assert play.failure.message == "enough"
    play.replayed()


@pytest.mark.parametrize("combinator", ["race", "all", "any", "all_settled"])
def test_the_token_says_why_to_the_branches_and_to_who_waits_for_them(begin: Begin, combinator: str) -> None:
    async def run(ctx: WorkflowContext) -> list[str]:
        why = []

        async def branch() -> None:
            try:
                await ctx.ref_id("a")
            except CancelToken as token:
                why.append(str(token))
                raise

        try:
            await getattr(ctx, combinator)(branch(), branch())
        except CancelToken as token:
            why.append(str(token))
        return why

    play = begin(run)
    play.cancel("enough")

    completed(play, ["enough"] * 3)


@pytest.mark.parametrize("combinator", ["race", "all", "any", "all_settled"])
def test_one_that_is_cancelled_is_so_even_if_its_branches_return(begin: Begin, combinator: str) -> None:
    play = begun(begin, combinator, "a", "b", swallows=True)
    play.cancel()

    assert play.outputs == ["-a", "-b"]
    assert play.status is RunStatus.CANCELED


@pytest.mark.parametrize(("combinator", "decide"), [("race", "resolve"), ("all", "reject"), ("any", "resolve")])
def test_who_cancels_it_while_losers_unwind_cancels_these_again(begin: Begin, combinator: str, decide: str) -> None:
    """So a loser that would never end cannot hold the run for good; the outcome is lost."""
    play = begun(begin, combinator, "a", "b", "c", undo=True)
    getattr(play, decide)("a", "decided")
    play.resolve("undo-b")
    assert (play.outputs, play.ended) == (["~b"], False)
    play.cancel()

    assert play.outputs == []
    assert play.status is RunStatus.CANCELED
    play.replayed()
