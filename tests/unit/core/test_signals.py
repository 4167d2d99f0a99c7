"""Signals are buffered per name in the order they come, before anyone waits and while nobody does."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from holdfast import PayloadError, WorkflowContext, WorkflowNotFoundError
from holdfast.core.failure import FailureInfo
from holdfast.core.history import EventType
from holdfast.core.mailbox import Mailbox
from holdfast.core.outcome import encode_failure
from tests.play import Anything, Begin, json_bytes


@dataclass
class Approval:
    by: str


def test_signals_are_taken_in_arrival_order_also_those_that_came_first(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[int]:
        await ctx.execute_activity("first")
        return [await ctx.receive_signal("n") for _ in range(3)]

    play = begin(run)
    play.signal("n", 1)
    play.signal("n", 2)
    play.complete("first")
    assert not play.ended

    play.signal("n", 3)
    assert play.result == [1, 2, 3]


def test_each_name_has_a_buffer_of_its_own(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[Any]:
        return [await ctx.receive_signal("b"), await ctx.receive_signal("a")]

    play = begin(run)
    play.signal("a", 1)
    assert play.run.waits_for() == ["signal 'b'"]
    play.signal("b", 2)

    assert play.result == [2, 1]


def test_a_type_decides_the_decoding(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        approval = await ctx.receive_signal("approval", type=Approval)
        assert isinstance(approval, Approval)
        return approval.by

    play = begin(run)
    play.signal("approval", {"by": "ann"})

    assert play.result == "ann"


def test_a_payload_that_does_not_fit_is_an_error_once(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[str]:
        seen = []
        for _ in range(2):
            try:
                seen.append((await ctx.receive_signal("approval", type=Approval)).by)
            except PayloadError as error:
                seen.append(error.field)
        return seen

    play = begin(run)
    play.signal("approval", {"from": "ann"})
    play.signal("approval", {"by": "bob"})

    assert play.result == ["by", "bob"]


@pytest.mark.parametrize("in_time", [True, False])
def test_a_wait_may_be_bounded(begin: Begin, *, in_time: bool) -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        try:
            return await ctx.receive_signal("x", timeout=60)
        except TimeoutError as error:
            return str(error)

    play = begin(run)
    if in_time:
        play.signal("x", 1)
        assert play.words == ["timer_cancelled", "workflow_completed"]
    else:
        play.fire()

    assert play.result == (1 if in_time else "signal 'x' did not come within 60 s")


def test_a_wait_without_time_takes_what_is_there_or_nothing(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[Any]:
        await ctx.execute_activity("first")
        taken = []
        for _ in range(2):
            try:
                taken.append(await ctx.receive_signal("x", timeout=0))
            except TimeoutError:
                taken.append("none")
        return taken

    play = begin(run)
    play.signal("x", 1)
    play.complete("first")

    assert play.result == [1, "none"]


def test_a_channel_iterates_without_end(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> int:
        total = 0
        async for amount in ctx.signal_channel("add", type=int):
            total += amount
            if total > 10:
                break
        return total

    play = begin(run)
    for amount in (4, 5, 6):
        play.signal("add", amount)

    assert play.result == 15


def test_of_several_takers_the_one_that_waited_longest_is_served(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> list[Any]:
        return list(await asyncio.gather(*(ctx.receive_signal("x") for _ in range(3))))

    play = begin(run)
    for number in (1, 2, 3):
        play.signal("x", number)

    assert play.result == [1, 2, 3]


def test_a_signal_meant_for_a_taker_that_gives_up_goes_to_the_next(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        first = asyncio.create_task(ctx.receive_signal("x"))
        second = asyncio.create_task(ctx.receive_signal("x"))
        await ctx.receive_signal("stop")
        first.cancel()
        return await second

    play = begin(run)
    play.signal("stop")
    play.signal("x", 1)

    assert play.result == 1


async def test_an_item_whose_taker_is_cancelled_as_it_wakes_goes_to_the_next() -> None:
    mailbox: Mailbox[int] = Mailbox()
    first = asyncio.create_task(mailbox.take())
    second = asyncio.create_task(mailbox.take())
    await asyncio.sleep(0)

    mailbox.put(1)
    first.cancel()

    assert await second == 1
    assert first.cancelled()
    assert not mailbox.awaited


def test_a_signal_to_another_run_is_asked_for_and_may_be_awaited(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        arrived = ctx.signal("other", "hello", {"a": 1})
        await ctx.sleep(1)
        await arrived
        try:
            await ctx.signal("gone", "hello")
        except WorkflowNotFoundError as error:
            return str(error)
        return ""

    play = begin(run)
    sent = play.asked[0]
    assert (sent.type, sent.name, sent.value, sent.details) == (
        "signal_sent",
        "hello",
        b'{"a":1}',
        {"workflow_id": "other"},
    )
    play.apply(EventType.SIGNAL_DELIVERED, id=sent.id, value=b"null")
    play.fire()
    play.apply(
        EventType.SIGNAL_UNDELIVERED,
        id=play.asked[0].id,
        value=encode_failure(FailureInfo("WorkflowNotFoundError", "there is no workflow 'gone'")),
    )

    assert play.result == "there is no workflow 'gone'"


def test_a_signal_that_could_not_be_delivered_and_nobody_awaits_is_no_error(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        ctx.signal("gone", "hello")
        await ctx.receive_signal("on")
        return "on"

    play = begin(run)
    failure = encode_failure(FailureInfo("WorkflowNotFoundError", "no"))
    play.apply(EventType.SIGNAL_UNDELIVERED, id=play.asked[0].id, value=failure)
    play.signal("on")

    assert play.result == "on"


@pytest.mark.parametrize(("target", "payload"), [("a b", 1), ("ok", object()), ("ok", "x" * 300)])
def test_a_signal_that_cannot_be_sent_is_an_error_at_the_call(begin: Begin, target: str, payload: object) -> None:
    async def run(ctx: WorkflowContext) -> None:
        await ctx.signal(target, "hello", payload)

    play = begin(run, payload_limit=200)

    assert play.words == ["workflow_failed"]
    assert play.failure.type in {"InvalidIdError", "PayloadError"}


def test_at_most_a_thousand_signals_may_be_under_way(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        sent = 0
        try:
            while True:
                ctx.signal("other", "n", sent)
                sent += 1
        except PayloadError as error:
            return f"{sent}: {error}"

    play = begin(run)

    assert play.result.startswith("1000: 1,000 child runs and signals have no answer yet")


def test_an_answer_to_a_call_that_lost_a_race_is_dropped(begin: Begin) -> None:
    """What `ctx.signal` gives is a future that the race cancels, and it has been sent all the same."""

    async def run(ctx: WorkflowContext) -> Anything:
        await ctx.race(ctx.signal("other", "hello"), ctx.signal("third", "hello"), ctx.ref_id("go"))
        return await ctx.ref_id("end")

    play = begin(run)
    first, second = (command for command in play.asked if command.type is EventType.SIGNAL_SENT)
    play.resolve("go")
    play.apply(EventType.SIGNAL_DELIVERED, id=first.id, value=b"null")
    failure = {"type": "WorkflowNotFoundError", "message": "no such run"}
    play.apply(EventType.SIGNAL_UNDELIVERED, id=second.id, value=json_bytes(failure))
    assert play.run.fault is None
    play.resolve("end", 1)

    assert play.result == 1
    play.replayed()
