"""Refs: awaited by many, before and after they are answered, with values and errors, and cancelled with the last."""

import asyncio
import gc
from dataclasses import dataclass
from typing import Any

import pytest

from holdfast import CancelToken, PayloadError, RefError, WorkflowContext
from tests.play import Anything, Begin
from tests.unit.core.combining import completed, refs_of


def test_a_ref_gives_the_value_that_it_is_answered_with(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        ref = ctx.ref("decision")
        ctx.set_query_handler("ref", lambda: ref.id)
        return await ref

    play = begin(run)
    assert play.asked == []  # that there is a ref is no event
    ref = play.query("ref")
    assert play.run.waits_for() == [f"ref {ref!r}"]
    play.resolve(ref, {"approved": True})

    completed(play, {"approved": True})


def test_every_task_that_awaits_a_ref_gets_its_value(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[Any]:
        ref = ctx.ref_id("x")
        return list(await asyncio.gather(ref, ref, ctx.all(ref, ref), asyncio.create_task(one_more(ref))))

    async def one_more(ref: Any) -> Anything:  # noqa: ANN401 - a ref
        return [await ref, await ref]

    play = begin(run)
    play.resolve("x", 7)

    completed(play, [7, 7, [7, 7], [7, 7]])


def test_a_ref_that_has_its_answer_gives_it_to_who_awaits_it_later(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[Any]:
        good, bad = ctx.ref_id("good"), ctx.ref_id("bad")
        await ctx.ref_id("go")
        seen = [good.done, bad.done, await good]
        for _ in range(2):
            try:
                await bad
            except RefError as error:
                seen.append(error.value)
        return seen

    play = begin(run)
    play.resolve("good", 1)
    play.reject("bad", "no")
    play.resolve("go")

    completed(play, [True, True, 1, "no", "no"])


@pytest.mark.parametrize("value", [None, "no", 0, ["a", {"b": 1.5}], {"code": 409}], ids=repr)
def test_an_error_may_be_any_json_value(begin: Begin, value: Anything) -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        try:
            return await ctx.ref_id("x")
        except RefError as error:
            return [error.ref, error.value]

    play = begin(run)
    play.reject("x", value)

    completed(play, ["x", value])


def test_an_error_that_nobody_catches_is_in_the_failure_of_the_run(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        return await ctx.ref_id("x")

    play = begin(run)
    play.reject("x", {"code": 409})

    assert (play.failure.type, play.failure.message) == ("RefError", '{"code":409}')
    assert play.failure.details == {"code": 409}


@dataclass
class Decision:
    by: str
    approved: bool = False


async def decides(ctx: WorkflowContext) -> list[Any]:
    try:
        decision = await ctx.ref_id("x", type=Decision)
    except PayloadError as error:
        return [str(error)]
    return [type(decision).__name__, decision.by]


def test_an_answer_is_decoded_as_the_type_of_its_ref(begin: Begin) -> None:
    play = begin(decides)
    play.resolve("x", {"by": "ann"})

    completed(play, ["Decision", "ann"])


def test_an_answer_that_does_not_fit_is_an_error_where_it_is_awaited(begin: Begin) -> None:
    play = begin(decides)
    play.resolve("x", {"approved": True})

    (message,) = play.result
    assert message.startswith("value of ref 'x'")
    assert "by" in message
    play.replayed()


def test_a_wait_that_is_given_up_leaves_the_ref_to_the_others(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[Any]:
        ref = ctx.ref_id("x")
        other = asyncio.ensure_future(ref)
        try:
            async with asyncio.timeout(60):
                await ref
        except TimeoutError:
            return ["late", ref.done, await other]
        return []

    play = begin(run)
    play.fire()
    assert play.run.waits_for() == ["ref 'x'"]
    play.resolve("x", 1)

    completed(play, ["late", False, 1])
    assert refs_of(play).take_dropped() == 0


def test_a_ref_is_cancelled_with_the_last_that_awaits_it(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[Any]:
        ref = ctx.ref_id("x")
        tasks = [asyncio.ensure_future(ref) for _ in range(2)]
        await ctx.ref_id("go")
        seen = []
        for task in tasks:
            task.cancel()
            await asyncio.wait([task])
            seen.append(ref.done)
        return seen

    play = begin(run)
    play.resolve("go")

    completed(play, [False, True])
    assert refs_of(play).drops("x")


def test_an_error_that_nobody_awaits_is_no_error_in_the_log(begin: Begin, caplog: pytest.LogCaptureFixture) -> None:
    async def run(ctx: WorkflowContext) -> None:
        ctx.ref_id("x")
        await ctx.ref_id("end")

    play = begin(run)
    play.reject("x", "no")
    play.resolve("end")
    completed(play, None)
    gc.collect()

    assert caplog.records == []


def test_a_token_is_what_a_cancelled_wait_raises(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        try:
            await ctx.ref_id("x")
        except CancelToken as token:
            return str(token)
        return "never"

    play = begin(run)
    play.cancel("enough")

    completed(play, "enough")
