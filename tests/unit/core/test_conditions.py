"""Waiting for the run's own state: tried after each event, looked at without asking for anything."""

import asyncio
import sys

import pytest

from holdfast import WorkflowContext
from tests.play import Anything, Begin, nothing_escapes


async def count_to_three(ctx: WorkflowContext) -> int:
    count = 0

    async def listen() -> None:
        nonlocal count
        async for _ in ctx.signal_channel("tick"):
            count += 1

    listening = asyncio.create_task(listen())
    await ctx.wait_condition(lambda: count >= 3)
    listening.cancel()
    return count


def test_it_is_over_as_soon_as_the_condition_holds(begin: Begin) -> None:
    play = begin(count_to_three)
    assert "a condition of its own" in play.run.waits_for()
    for _ in range(3):
        assert not play.ended
        play.signal("tick")

    assert play.result == 3
    play.replayed()


def test_a_condition_that_holds_already_waits_for_nothing(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> int:
        await ctx.wait_condition(lambda: True, timeout=5)
        return 1

    assert begin(run).words == ["workflow_completed"]


@pytest.mark.parametrize("holds", [True, False])
def test_a_wait_may_be_bounded(begin: Begin, *, holds: bool) -> None:
    async def run(ctx: WorkflowContext) -> str:
        flags: list[int] = []

        async def listen() -> None:
            flags.append(await ctx.receive_signal("flag"))

        listening = asyncio.create_task(listen())
        try:
            await ctx.wait_condition(lambda: bool(flags), timeout=60)
        except TimeoutError:
            return "late"
        finally:
            listening.cancel()
        return "in time"

    play = begin(run)
    if holds:
        play.signal("flag", 1)
    else:
        play.fire()

    assert play.result == ("in time" if holds else "late")


def test_one_condition_may_let_another_hold(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[str]:
        order: list[str] = []

        async def chain(needs: str, gives: str) -> None:
            await ctx.wait_condition(lambda: needs in order)
            order.append(gives)

        chains = [asyncio.create_task(chain(a, b)) for a, b in [("c", "d"), ("b", "c"), ("a", "b")]]
        order.append(await ctx.receive_signal("first"))
        await asyncio.gather(*chains)
        return order

    play = begin(run)
    play.signal("first", "a")

    assert play.result == ["a", "b", "c", "d"]


def test_what_a_condition_raises_goes_to_who_waits_for_it(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        values: list[int] = [1]

        async def drain() -> None:
            await ctx.receive_signal("drain")
            values.clear()

        draining = asyncio.create_task(drain())
        try:
            await ctx.wait_condition(lambda: values[0] > 1)
        except IndexError:
            await draining
            return "empty"
        return "full"

    play = begin(run)
    play.signal("drain")

    assert play.result == "empty"


def test_a_condition_may_not_ask_for_anything(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        first = True

        def greedy() -> bool:
            nonlocal first
            if first:
                first = False
                return False
            ctx.set_attributes(a=1)
            return True

        try:
            await ctx.wait_condition(greedy)
        except Exception as error:  # noqa: BLE001
            return f"{type(error).__name__}: {error}"
        return "asked"

    play = begin(run)

    assert play.words == ["workflow_completed"]
    assert play.result == "QueryError: a query or validator only looks at the run, it cannot ask for attributes_set"


def test_a_condition_whose_waiter_gave_up_is_not_tried_again(begin: Begin) -> None:
    tried = 0

    async def run(ctx: WorkflowContext) -> int:
        def condition() -> bool:
            nonlocal tried
            tried += 1
            return False

        try:
            await ctx.wait_condition(condition, timeout=1)
        except TimeoutError:
            await ctx.receive_signal("on")
        return 1

    play = begin(run)
    play.fire()
    before = tried
    play.signal("other")
    play.signal("on")

    assert tried == before
    assert play.ended


class Boom(BaseException):
    """Not an Exception, on purpose."""


def leave() -> None:
    sys.exit(3)


def boom() -> None:
    raise Boom


def interrupt() -> None:
    raise KeyboardInterrupt


def token() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("bad", [leave, boom, interrupt, token])
def test_a_condition_that_raises_no_ordinary_error_does_not_escape_the_activation(begin: Begin, bad: Anything) -> None:
    async def run(ctx: WorkflowContext) -> None:
        armed: list[int] = []

        async def arm() -> None:
            armed.append(await ctx.receive_signal("arm"))

        arming = asyncio.create_task(arm())
        await ctx.wait_condition(lambda: bad() if armed else False)
        await arming

    play = begin(run)
    with nothing_escapes():
        play.signal("arm", 1)

    assert play.ended or play.run.fault is not None
