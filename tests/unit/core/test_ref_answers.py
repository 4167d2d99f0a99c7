"""Answers to refs that are not waited for: those that come early are kept, those that come late are dropped."""

import asyncio
from typing import Any

from holdfast import RefError, WorkflowContext
from holdfast.core.refs import MAX_EARLY
from tests.play import Anything, Begin
from tests.unit.core.combining import completed, refs_of


def test_answers_that_come_before_their_ref_are_kept_in_order(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[Any]:
        await ctx.ref_id("go")
        taken = [await ctx.ref_id("early")]
        try:
            await ctx.ref_id("early")
        except RefError as error:
            taken.append(error.value)
        return [*taken, await ctx.ref_id("early")]

    play = begin(run)
    play.resolve("early", 1)
    play.reject("early", 2)
    assert [(id, answer.raw) for id, answer in refs_of(play).early()] == [("early", b"1"), ("early", b"2")]
    play.resolve("go")
    assert list(refs_of(play).early()) == []
    play.resolve("early", 3)

    completed(play, [1, 2, 3])


def test_answers_that_come_before_their_ref_are_bounded(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[Any]:
        await ctx.ref_id("go")
        return [await ctx.ref_id("early") for _ in range(MAX_EARLY + 1)]

    play = begin(run)
    for number in range(MAX_EARLY):
        assert number == 0 or refs_of(play).has_room
        play.resolve("early", number)
    assert not refs_of(play).has_room
    play.resolve("early", "one too many")
    assert refs_of(play).take_dropped() == 1

    play.resolve("go")
    assert refs_of(play).has_room
    play.resolve("early", "the last")

    completed(play, [*range(MAX_EARLY), "the last"])


def test_answers_for_a_ref_of_its_own_id_that_is_settled_are_dropped_and_counted(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        ref = ctx.ref()
        ctx.set_query_handler("ref", lambda: ref.id)
        first = await ref
        await ctx.ref_id("end")
        return [first, await ref]

    play = begin(run)
    ref = play.query("ref")
    play.resolve(ref, 1)
    for answer in (play.resolve, play.reject):
        assert refs_of(play).drops(ref)
        assert answer(ref, 2) == []
    assert refs_of(play).take_dropped() == 2
    play.resolve("end")

    completed(play, [1, 1])


def test_an_answer_may_come_before_a_ref_of_its_own_id_too_and_settles_it(begin: Begin) -> None:
    """Somebody may know the id before the run comes to it: from the run that this one does again."""

    async def run(ctx: WorkflowContext) -> Anything:
        await ctx.ref_id("go")
        ref = ctx.ref("decision")
        ctx.set_query_handler("ref", lambda: ref.id)
        await ctx.ref_id("end")
        return await ref

    before = begin(run)
    before.resolve("go")
    ref = before.query("ref")

    play = begin(run)
    for step in (ref, "go", ref, "end"):
        play.resolve(step, play.now)

    completed(play, play.history[1].at - 1)
    assert refs_of(play).take_dropped() == 1


async def gives_up(ctx: WorkflowContext) -> Anything:
    """Wait for a ref that nobody answers in time, then for another of the same id."""
    try:
        async with asyncio.timeout(60):
            await ctx.ref_id("x")
    except TimeoutError:
        await ctx.ref_id("go")
    return await ctx.ref_id("x")


def test_answers_for_a_ref_that_is_cancelled_are_dropped_until_there_is_another_of_its_id(begin: Begin) -> None:
    play = begin(gives_up)
    play.fire()
    assert refs_of(play).drops("x")
    play.resolve("x", "too late")
    assert refs_of(play).take_dropped() == 1

    play.resolve("go")
    assert not refs_of(play).drops("x")
    play.resolve("x", "in time")

    completed(play, "in time")


async def mailbox(ctx: WorkflowContext) -> list[Any]:
    """Take three messages, and make a call between any two of them."""
    taken = []
    for _ in range(3):
        taken.append(await ctx.ref_id("main"))
        await ctx.ref_id("call")
    return taken


def test_a_mailbox_loses_nothing_while_something_else_is_awaited(begin: Begin) -> None:
    """A loop that takes commands by one id may do what it likes between two of them."""
    play = begin(mailbox)
    for number in (1, 2, 3):
        play.resolve("main", number)
    for _ in range(3):
        play.resolve("call")

    completed(play, [1, 2, 3])
    assert refs_of(play).take_dropped() == 0


def test_an_answer_that_fits_no_one_stays_until_the_run_leaves_memory_and_comes_back(begin: Begin) -> None:
    play = begin(mailbox)
    play.resolve("main", 1)
    play.resolve("main", 2)
    play.reload()
    assert [id for id, _ in refs_of(play).early()] == ["main"]
    for ref in ("call", "call", "main", "call"):
        play.resolve(ref, 3)

    completed(play, [1, 2, 3])


def test_an_id_that_is_waited_for_already_gives_the_same_ref(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[Any]:
        first, second = ctx.ref_id("x"), ctx.ref_id("x")
        return [first is second, *(await ctx.all(first, second)), first is ctx.ref_id("x")]

    play = begin(run)
    play.resolve("x", 1)

    completed(play, [True, 1, 1, False])
