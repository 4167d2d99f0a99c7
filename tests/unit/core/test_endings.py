"""How a run ends: by what its code returns or raises, by continue-as-new, by an exit; and what ends it on the way."""

import asyncio
import sys
from dataclasses import dataclass
from typing import NoReturn

import pytest

import holdfast.core.instance
from holdfast import WorkflowContext
from holdfast.core.history import RunStatus
from tests.play import Anything, Begin, nothing_escapes


@dataclass
class Order:
    sku: str


def test_what_it_returns_is_its_result(begin: Begin) -> None:
    async def run(ctx: WorkflowContext, order: Order) -> Order:
        return Order(order.sku * 2)

    play = begin(run, {"sku": "ab"})

    assert (play.status, play.result) == (RunStatus.COMPLETED, {"sku": "abab"})


def test_what_it_raises_is_its_failure_with_causes(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        try:
            await ctx.execute_activity("charge")
        except Exception as error:
            raise RuntimeError("order failed") from error

    play = begin(run)
    play.fail("charge", ValueError("card declined"), attempt=3)

    assert play.status is RunStatus.FAILED
    assert [play.failure.type, play.failure.cause.type if play.failure.cause else ""] == [
        "RuntimeError",
        "ActivityError",
    ]
    assert play.failure.innermost().message == "card declined"


@pytest.mark.parametrize("result", [object(), float("nan"), "x" * 500])
def test_a_result_that_cannot_be_kept_fails_the_run(begin: Begin, result: Anything) -> None:
    async def run(ctx: WorkflowContext) -> Anything:
        return result

    play = begin(run, payload_limit=200)

    assert play.failure.type == "PayloadError"
    assert play.failure.message.startswith("result of workflow 'run'")


def test_an_input_that_no_longer_fits_fails_the_run(begin: Begin) -> None:
    async def run(ctx: WorkflowContext, order: Order) -> None:
        """Never begin."""

    play = begin(run, {"s": 1})

    assert (play.failure.type, play.words) == ("PayloadError", ["workflow_failed"])


def test_sys_exit_in_workflow_code_fails_that_run(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        await ctx.execute_activity("a")
        sys.exit(3)

    play = begin(run)
    with nothing_escapes():
        play.complete("a")

    assert play.status is RunStatus.FAILED
    assert (play.failure.type, play.failure.message) == ("SystemExit", "3")
    play.replayed()


def test_an_interrupt_in_workflow_code_fails_that_run(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        raise KeyboardInterrupt

    with nothing_escapes():
        assert begin(run).failure.type == "KeyboardInterrupt"


@pytest.mark.parametrize("place", ["task", "callback", "group", "timer"])
def test_an_exit_anywhere_in_the_run_fails_it(begin: Begin, place: str) -> None:
    async def leave() -> NoReturn:
        sys.exit(4)

    async def run(ctx: WorkflowContext) -> None:
        loop = asyncio.get_running_loop()
        match place:
            case "task":
                await asyncio.create_task(leave())
            case "callback":
                loop.call_soon(sys.exit, 4)
            case "group":
                async with asyncio.TaskGroup() as group:
                    group.create_task(leave())
            case _:
                loop.call_later(5, sys.exit, 4)
        await ctx.receive_signal("never")

    with nothing_escapes():
        play = begin(run)
        if place == "timer":
            play.fire()

    assert play.failure.type == "SystemExit"


class Boom(BaseException):
    """Not an Exception, on purpose."""


def boom() -> NoReturn:
    raise Boom("no")


def test_a_base_exception_of_the_main_task_fails_the_run(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        boom()

    with nothing_escapes():
        assert (begin(run).failure.type, begin(run).failure.message) == ("Boom", "no")


@pytest.mark.parametrize("place", ["callback", "done callback", "continue in callback"])
def test_a_base_exception_of_a_callback_does_not_escape_the_activation(begin: Begin, place: str) -> None:
    async def run(ctx: WorkflowContext) -> None:
        loop = asyncio.get_running_loop()
        match place:
            case "callback":
                loop.call_soon(boom)
            case "done callback":
                done = loop.create_future()
                done.add_done_callback(lambda _: boom())
                done.set_result(None)
            case _:
                loop.call_soon(ctx.continue_as_new)
        await ctx.receive_signal("never")

    with nothing_escapes():
        play = begin(run)

    assert play.ended or play.run.fault is not None or not play.open


def test_an_ordinary_error_of_a_callback_is_reported_and_the_run_goes_on(
    begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    async def run(ctx: WorkflowContext) -> str:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await ctx.receive_signal("on")
        return "on"

    play = begin(run)
    play.signal("on")

    assert play.result == "on"
    assert "a callback of workflow code raised" in caplog.text


def test_a_task_that_fails_and_is_never_awaited_is_reported(begin: Begin, caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        raise ValueError("unseen")

    async def run(ctx: WorkflowContext) -> str:
        task = asyncio.create_task(fails())
        await ctx.receive_signal("on")
        del task
        return "on"

    play = begin(run)
    play.signal("on")

    assert play.result == "on"


def test_continue_as_new_ends_the_run_at_once(begin: Begin) -> None:
    async def run(ctx: WorkflowContext, count: int) -> None:
        await ctx.execute_activity("a")
        ctx.continue_as_new(count + 1)

    play = begin(run, 1)
    play.complete("a")

    assert (play.status, play.result) == (RunStatus.CONTINUED_AS_NEW, 2)
    play.replayed()


@pytest.mark.parametrize("how", ["except Exception", "except BaseException", "finally", "in a task", "in a group"])
def test_continue_as_new_never_returns_whatever_the_code_catches(begin: Begin, how: str) -> None:
    async def run(ctx: WorkflowContext, count: int = 0) -> str:
        async def go_on() -> NoReturn:
            ctx.continue_as_new(5)

        match how:
            case "except Exception":
                try:
                    ctx.continue_as_new(5)
                except Exception:  # noqa: BLE001
                    return "caught"
            case "except BaseException":
                try:
                    ctx.continue_as_new(5)
                except BaseException:  # noqa: BLE001
                    return "caught"
            case "finally":
                try:
                    ctx.continue_as_new(5)
                finally:
                    await ctx.execute_activity("late")
            case "in a task":
                await asyncio.create_task(go_on())
            case _:
                async with asyncio.TaskGroup() as group:
                    group.create_task(go_on())
        return "on"

    play = begin(run)

    assert (play.status, play.result) == (RunStatus.CONTINUED_AS_NEW, 5)


@pytest.mark.parametrize("value", ["many", object()])
def test_continue_as_new_checks_the_input_at_the_call(begin: Begin, value: Anything) -> None:
    async def run(ctx: WorkflowContext, count: int = 0) -> str:
        try:
            ctx.continue_as_new(value)
        except Exception as error:  # noqa: BLE001
            return type(error).__name__

    assert begin(run, 1).result == "PayloadError"


def test_code_that_spins_without_waiting_stalls(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        ready: list[int] = []
        while not ready:  # noqa: ASYNC110 - the trap itself
            await asyncio.sleep(0)

    play = begin(run)

    assert play.run.fault == "workflow code did not yield: 10,000 callbacks for one event"
    assert not play.ended


def test_tasks_that_wake_each_other_for_ever_stall(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        there: asyncio.Queue[int] = asyncio.Queue()
        back: asyncio.Queue[int] = asyncio.Queue()

        async def pass_on(source: asyncio.Queue[int], target: asyncio.Queue[int]) -> None:
            while True:
                await target.put(await source.get())

        there.put_nowait(1)
        await asyncio.gather(pass_on(there, back), pass_on(back, there))

    assert "did not yield" in (begin(run).run.fault or "")


def test_conditions_that_hold_for_ever_stall(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        while True:
            await ctx.wait_condition(every_second_time)

    tries = 0

    def every_second_time() -> bool:
        nonlocal tries
        tries += 1
        return tries % 2 == 0

    play = begin(run)

    assert "did not yield" in (play.run.fault or "")


def test_a_busy_event_below_the_bound_is_fine(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> int:
        for _ in range(9_000):
            await asyncio.sleep(0)
        return 1

    assert begin(run).result == 1


def test_a_full_history_refuses_commands_and_names_the_way_out(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdfast.core.instance, "MAX_HISTORY_EVENTS", 20)

    async def run(ctx: WorkflowContext, count: int = 0) -> str:
        try:
            while True:
                await ctx.execute_activity("a")
        except Exception as error:  # noqa: BLE001
            if count:
                ctx.continue_as_new(0)
            return str(error)

    play = begin(run)
    while not play.ended:
        play.complete("a")
    assert play.result == "the history is at its limit of 20 events: end it with ctx.continue_as_new"
    assert len(play.history) <= 22

    again = begin(run, 1)
    while not again.ended:
        again.complete("a")
    assert again.status is RunStatus.CONTINUED_AS_NEW


def test_the_limit_of_a_history_is_fifty_thousand_events() -> None:
    assert holdfast.core.instance.MAX_HISTORY_EVENTS == 50_000
