"""Race: the first branch that settles decides, the others are cancelled, and have unwound when it is delivered."""

import asyncio

import pytest

from holdfast import CancelToken, RefError, RunStatus, WorkflowContext
from tests.play import Anything, Begin
from tests.unit.core.combining import begun, combining, completed, publishing, waits_for


@pytest.mark.parametrize("winner", ["a", "b", "c"])
def test_the_first_that_is_fulfilled_wins(begin: Begin, winner: str) -> None:
    play = begun(begin, "race", "a", "b", "c")
    play.resolve(winner, 5)

    completed(play, 5)


def test_the_first_that_is_rejected_wins_too(begin: Begin) -> None:
    play = begun(begin, "race", "a", "b")
    play.reject("b", {"code": 7})

    completed(play, ["raised", {"code": 7}])


def test_all_others_are_cancelled_in_the_step_of_the_winner(begin: Begin) -> None:
    play = begun(begin, "race", "a", "b", "c")
    assert play.outputs == ["+a", "+b", "+c"]
    play.resolve("b")

    assert play.outputs == ["-a", "-c", "delivered"]


def test_the_winner_is_delivered_after_the_slowest_clean_up(begin: Begin) -> None:
    play = begun(begin, "race", "a", "b", "c", undo=True)
    play.resolve("b", "won")
    assert play.outputs == ["-a", "-c"]

    play.resolve("undo-c")
    assert (play.outputs, play.ended) == (["~c"], False)
    play.resolve("undo-a")

    assert play.outputs == ["~a", "delivered"]
    completed(play, "won")


def test_a_loser_that_waits_for_a_timer_to_clean_up_delays_the_race_as_well(begin: Begin) -> None:
    async def loser(ctx: WorkflowContext) -> None:
        try:
            await ctx.ref_id("never")
        finally:
            await ctx.sleep(60)

    play = begin(combining("race", waits_for("a"), loser))
    play.resolve("a", 1)
    assert play.words == ["timer_started"]
    play.fire()

    completed(play, 1)


def test_a_loser_that_swallows_its_cancellation_and_goes_on_waiting_hangs_the_race(begin: Begin) -> None:
    async def stubborn(ctx: WorkflowContext) -> Anything:
        try:
            return await ctx.ref_id("b")
        except CancelToken:
            return await ctx.ref_id("for-good")

    play = begin(combining("race", waits_for("a"), stubborn))
    play.resolve("a", 1)
    for ref in ("b", "a", "else"):
        play.resolve(ref)
        assert not play.ended
    assert play.run.waits_for() == ["ref 'for-good'"]
    play.resolve("for-good", 2)

    completed(play, 1)


@pytest.mark.parametrize("ends", ["returns", "raises"])
def test_what_a_loser_gives_or_raises_afterwards_is_ignored(begin: Begin, ends: str) -> None:
    async def loser(ctx: WorkflowContext) -> str:
        try:
            await ctx.ref_id("never")
        except CancelToken:
            await ctx.ref_id("later")
            if ends == "raises":
                raise ValueError("too late") from None
        return "too late"

    play = begin(combining("race", loser, waits_for("a")))
    play.reject("a", "first")
    play.resolve("later")

    completed(play, ["raised", "first"])


def test_what_comes_for_a_loser_later_is_dropped(begin: Begin) -> None:
    play = begun(begin, "race", "a", "b", undo=True)
    play.resolve("a", 1)

    assert play.resolve("b", "late") == []
    play.resolve("undo-b")

    completed(play, 1)
    assert play.run.refs is not None
    assert play.run.refs.take_dropped() == 1


def test_of_two_that_are_settled_already_the_first_in_order_wins(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        second, first = ctx.ref_id("second"), ctx.ref_id("first")
        await asyncio.wait([asyncio.ensure_future(ref) for ref in (first, second)])
        return await ctx.race(first, second)

    play = begin(run)
    play.resolve("second", 2)
    play.resolve("first", 1)

    completed(play, 1)


def test_a_race_without_branches_never_settles(begin: Begin) -> None:
    play = begun(begin, "race")

    play.signal("any")
    play.resolve("any")
    assert not play.ended
    play.cancel("enough")

    assert play.status is RunStatus.CANCELED
    assert play.failure.message == "enough"


def test_a_race_of_one_is_that_one(begin: Begin) -> None:
    play = begun(begin, "race", "a")
    play.resolve("a", 1)

    completed(play, 1)


def test_a_branch_that_is_cancelled_by_somebody_else_settles_the_race(begin: Begin) -> None:
    @publishing
    async def run(ctx: WorkflowContext) -> str:
        branch = asyncio.ensure_future(waits_for("a")(ctx))
        racing = ctx.race(branch, waits_for("b")(ctx))
        await ctx.ref_id("go")
        branch.cancel()
        try:
            await racing
        except CancelToken:
            return "cancelled"
        return "never"

    play = begin(run)
    play.resolve("go")

    assert play.outputs == ["-a", "-b"]
    completed(play, "cancelled")


def test_a_branch_that_wins_at_once_lets_the_others_take_their_first_step(begin: Begin) -> None:
    """What a loser says when it begins, and what it says when it is cancelled, always go together."""

    async def at_once(ctx: WorkflowContext) -> str:
        ctx.output("seen", "won")
        return "won"

    play = begin(combining("race", at_once, waits_for("b"), waits_for("c")))

    assert play.outputs == ["won", "+b", "+c", "-b", "-c", "delivered"]
    completed(play, "won")


def test_an_error_of_a_branch_ends_the_run_if_nobody_catches_it(begin: Begin) -> None:
    @publishing
    async def run(ctx: WorkflowContext) -> Anything:
        return await ctx.race(ctx.ref_id("a"), ctx.ref_id("b"))

    play = begin(run)
    play.reject("a", "no")

    assert play.failure.type == RefError.__name__
    assert play.failure.message == "no"
