"""Workflows of the corpus that cancel in structure: combinators, scopes, shields; activities, timers and refs."""

import asyncio
from typing import Any

from holdfast import ActivityError, CancelToken, RefError, WorkflowContext, workflow
from tests.laws.activities import ACTIVITIES, double, echo, refuse, undo
from tests.laws.case import Case, Deed, answer, cancel, case, signal
from tests.laws.case import refuse as answer_no
from tests.play import Anything, Code


async def booked(ctx: WorkflowContext, what: str) -> str:
    """Book something and confirm it; say so, and undo it, if that is called off."""
    try:
        await ctx.execute_activity(echo, f"book {what}")
        return str(await ctx.execute_activity(echo, f"confirm {what}"))
    except CancelToken:
        ctx.output("calls", f"cancel {what}")
        await ctx.execute_activity(undo, what)
        raise


@workflow(outputs=["calls"])
async def trip_in_time(ctx: WorkflowContext, seconds: float) -> Anything:
    """All parts of a trip, or none of them if they take too long; what was booked is undone before that is told."""

    async def too_late() -> None:
        try:
            await ctx.sleep(seconds)
        except CancelToken:
            ctx.output("calls", "0")
            raise
        message = "too late"
        raise TimeoutError(message)

    try:
        return await ctx.race(ctx.all(booked(ctx, part) for part in ("car", "hotel", "flight")), too_late())
    except TimeoutError as error:
        return str(error)


@workflow(outputs=["calls"])
async def cheapest(ctx: WorkflowContext) -> list[Any]:
    """The first offer that comes, beside refs that nobody answers and offers that are refused."""

    async def refused(name: str) -> None:
        await ctx.execute_activity(refuse, name)

    offer = await ctx.any(refused("a"), booked(ctx, "b"), ctx.ref("offer"), booked(ctx, "c"))
    settled = await ctx.all_settled(refused("d"), ctx.execute_activity(double, 4), ctx.race(ctx.ref(), ctx.sleep(2)))
    named = [one.status if one.reason is None else type(one.reason).__name__ for one in settled]
    try:
        await ctx.all(refused("e"), ctx.all(booked(ctx, "f"), ctx.ref_id("never")))
    except ActivityError as error:
        named.append(error.activity)
    return [offer, *named]


@workflow(outputs=["calls"])
async def groups(ctx: WorkflowContext) -> list[str]:
    """Two scopes, one in the other, with work beside their bodies; the inner one is cancelled, and then the outer."""
    seen: list[str] = []
    outer = ctx.cancellation_scope()

    async def stop(scope: Any, name: str) -> None:  # noqa: ANN401 - a scope
        await ctx.receive_signal(f"stop {name}")
        seen.append(name)
        scope.cancel()

    stopping = [asyncio.create_task(stop(outer, "outer"))]
    try:
        async with outer:
            outer.start(booked(ctx, "outer"))
            inner = ctx.cancellation_scope()
            stopping.append(asyncio.create_task(stop(inner, "inner")))
            try:
                async with inner:
                    inner.start(booked(ctx, "inner"))
                    await ctx.all(inner.start(booked(ctx, "awaited")), ctx.ref("never"))
            except CancelToken:
                seen.append(await booked(ctx, "instead"))
            await ctx.ref_id("never")
    except CancelToken:
        seen.append("cancelled")
    await outer.unwound()
    for task in stopping:
        task.cancel()
    return seen


@workflow(outputs=["calls"])
async def keeps_going(ctx: WorkflowContext) -> str:
    """What is shielded ends, with its own scope and time limit, before the cancellation of the run is seen."""

    async def settle() -> str:
        async with ctx.cancellation_scope() as scope:
            beside = scope.start(ctx.execute_activity(echo, "beside"))
            try:
                async with asyncio.timeout(20):
                    await ctx.race(ctx.ref("never"), ctx.ref_id("never"))
            except TimeoutError:
                return str(await beside)
        return "never"

    try:
        return await ctx.shield(settle())
    finally:
        ctx.output("calls", "told")
        await ctx.execute_activity(undo, "all")


@workflow(outputs=["calls"])
async def desk(ctx: WorkflowContext) -> list[Any]:
    """Commands by one ref, each carried out in a race with what may call it off; two wait for the same answer."""
    done: list[Any] = []
    close = ctx.ref_id("close")
    closing = asyncio.ensure_future(ctx.all_settled(close, close))
    while True:
        command = await ctx.race(ctx.ref_id("command"), asyncio.shield(closing))
        if closing.done():
            return [*done, *(settled.value for settled in command)]
        try:
            done.append(await ctx.race(booked(ctx, command), ctx.ref_id(f"not {command}")))
        except RefError as error:
            done.append(error.value)


def of(code: Code, *deeds: Deed, **options: Anything) -> Case:
    return case(code, *deeds, activities=ACTIVITIES, **options)


CASES = (
    of(trip_in_time, input=60),
    of(trip_in_time, input=3, name="trip_too_late"),
    of(trip_in_time, cancel(2), input=60, name="trip_called_off"),
    of(trip_in_time, cancel(4), input=3, name="trip_called_off_too_late"),
    of(cheapest),
    of(groups, signal(1, "stop inner"), signal(4, "stop outer")),
    of(groups, signal(2, "stop outer"), signal(2, "stop inner"), name="groups_stopped_at_once"),
    of(groups, signal(2, "stop inner"), cancel(3), name="groups_cancelled"),
    of(keeps_going, cancel(1)),
    of(
        desk,
        answer(1, "command", "early"),
        answer(1, "command", "earlier than it is waited for"),
        answer_no(2, "not early", {"why": "full"}),
        answer(3, "not early", "too late"),
        answer(9, "command", "last"),
        answer(20, "close", "good night"),
        answer(20, "command", "closed"),
    ),
)
