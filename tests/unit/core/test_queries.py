"""Queries look at a run and leave it as it was; updates change it behind a validator, and reply."""

import asyncio
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from holdfast import PayloadError, QueryError, UpdateRejectedError, WorkflowContext
from tests.play import Anything, Begin, json_bytes, nothing_escapes


@dataclass
class Change:
    amount: int


async def account(ctx: WorkflowContext) -> int:
    balance = 0

    def deposit(change: Change) -> int:
        nonlocal balance
        balance += change.amount
        return balance

    def not_negative(change: Change) -> None:
        if change.amount < 0:
            raise ValueError("a deposit is positive")

    async def audited(amount: int) -> str:
        nonlocal balance
        checked = await ctx.execute_activity("audit", amount)
        balance += amount
        return f"{checked}: {balance}"

    ctx.set_query_handler("balance", lambda: balance)
    ctx.set_query_handler("times", multiply)
    ctx.set_update_handler("deposit", deposit, validator=not_negative)
    ctx.set_update_handler("audited", audited)
    await ctx.receive_signal("close")
    return balance


def multiply(by: int) -> int:
    return 2 * by


def test_a_query_answers_from_local_state(begin: Begin) -> None:
    play = begin(account)
    assert play.query("balance") == 0
    play.update("deposit", {"amount": 5})

    assert play.query("balance") == 5
    assert play.query("times", 4) == 8


def test_an_unknown_query_lists_the_known_and_the_built_in(begin: Begin) -> None:
    with pytest.raises(QueryError, match="unknown query 'x'; known: balance, result, stack, status, times"):
        begin(account).query("x")


def test_a_query_input_that_does_not_fit_is_a_query_error(begin: Begin) -> None:
    with pytest.raises(QueryError, match="query 'times' failed: PayloadError: input of query 'times'"):
        begin(account).query("times", "many")


def test_a_query_handler_must_be_a_plain_function(begin: Begin) -> None:
    async def answer() -> int:
        return 1

    async def run(ctx: WorkflowContext) -> None:
        ctx.set_query_handler("x", answer)

    assert begin(run).failure.message == "the handler of query 'x' must be a plain function: a query cannot wait or act"


async def nothing() -> None:
    """Do nothing."""


async def other(ctx: WorkflowContext) -> None:
    """Be another workflow."""


ACTIONS: dict[str, Any] = {
    "attributes": lambda ctx: ctx.set_attributes(a=1),
    "signal": lambda ctx: ctx.signal("other", "x"),
    "child": lambda ctx: ctx.start_child(other),
    "task": lambda _: asyncio.create_task(nothing()),
    "timer": lambda _: asyncio.get_running_loop().call_later(1, print),
    "continue": lambda ctx: ctx.continue_as_new(),
    "patched": lambda ctx: ctx.patched("new"),
}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("through", ["query", "validator"])
def test_a_query_or_validator_that_acts_is_refused_and_nothing_is_asked_for(
    begin: Begin, action: str, through: str
) -> None:
    async def run(ctx: WorkflowContext) -> str:
        ctx.set_query_handler("act", lambda: ACTIONS[action](ctx))
        ctx.set_update_handler("act", lambda: 1, validator=lambda: ACTIONS[action](ctx))
        await ctx.receive_signal("on")
        return "on"

    play = begin(run, workflows=[other])
    before = list(play.history)
    with pytest.raises((QueryError, UpdateRejectedError), match="only looks at the run, it cannot"):
        play.query("act") if through == "query" else play.run.validate_update("act", b"null")

    assert play.history == before
    play.signal("on")
    assert play.words == ["workflow_completed"]
    play.replayed()


def test_what_a_query_tried_leaves_no_trace_in_the_ids_of_later_commands(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        ctx.set_query_handler("act", lambda: ctx.set_attributes(a=1))
        await ctx.receive_signal("on")
        asyncio.get_running_loop().call_soon(lambda: ctx.set_attributes(b=1))
        await ctx.receive_signal("off")

    play = begin(run)
    with pytest.raises(QueryError):
        play.query("act")
    play.signal("on")

    play.replayed()  # a query is not part of the history


def test_a_query_draws_nothing_from_the_runs_random_numbers(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        drawn: list[float] = []
        ctx.set_query_handler("draw", lambda: ctx.random().random())
        await ctx.receive_signal("on")
        asyncio.get_running_loop().call_soon(lambda: drawn.append(ctx.random().random()))
        await ctx.wait_condition(lambda: bool(drawn))
        ctx.set_attributes(drawn=drawn[0])
        await ctx.receive_signal("off")

    play = begin(run)
    play.query("draw")
    play.signal("on")
    live = play.asked[0]

    again = begin(run)
    again.signal("on")
    assert again.asked[0].value == live.value


def leave() -> None:
    sys.exit(3)


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("bad", [leave, interrupt])
@pytest.mark.parametrize("through", ["query", "validator"])
def test_a_query_or_validator_that_would_end_the_process_is_an_error_of_its_own(
    begin: Begin, bad: Anything, through: str
) -> None:
    async def run(ctx: WorkflowContext) -> None:
        ctx.set_query_handler("bad", bad)
        ctx.set_update_handler("bad", lambda: 1, validator=bad)
        await ctx.receive_signal("on")

    play = begin(run)

    with nothing_escapes(), pytest.raises((QueryError, UpdateRejectedError)):
        play.query("bad") if through == "query" else play.run.validate_update("bad", b"null")


def test_a_query_that_raises_leaves_the_run_as_it_was(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        ctx.set_query_handler("bad", lambda: 1 / 0)
        await ctx.receive_signal("on")
        return "on"

    play = begin(run)
    with pytest.raises(QueryError, match="query 'bad' failed: ZeroDivisionError: division by zero"):
        play.query("bad")
    play.signal("on")

    assert play.result == "on"


def test_an_update_is_carried_out_and_answered(begin: Begin) -> None:
    play = begin(account)
    play.update("deposit", {"amount": 5}, id="a")

    assert [(c.type, c.name, c.id, c.value) for c in play.asked] == [("update_completed", "deposit", "a", b"5")]


def test_an_update_may_wait_for_an_activity(begin: Begin) -> None:
    play = begin(account)
    play.update("audited", 7, id="a")
    assert play.words == ["activity_started audit"]
    play.update("deposit", {"amount": 1}, id="b")
    play.complete("audit", "fine")

    assert [(c.type, c.id, c.value) for c in play.asked] == [("update_completed", "a", b'"fine: 8"')]
    play.replayed()


@pytest.mark.parametrize(
    ("name", "value", "kind", "message"),
    [
        ("deposit", {"amount": -1}, UpdateRejectedError, "a deposit is positive"),
        ("deposit", {"amount": "x"}, PayloadError, "input of update 'deposit': field 'amount'"),
        ("x", None, UpdateRejectedError, "unknown update 'x'; known: audited, deposit"),
    ],
)
def test_a_refused_update_is_not_recorded(
    begin: Begin, name: str, value: object, kind: type[Exception], message: str
) -> None:
    play = begin(account)
    with pytest.raises(kind, match=message):
        play.run.validate_update(name, json_bytes(value))

    assert play.query("balance") == 0


def test_a_handler_that_fails_answers_with_its_failure_and_the_run_goes_on(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        ctx.set_update_handler("bad", lambda: 1 / 0)
        ctx.set_update_handler("odd", object)
        await ctx.receive_signal("on")
        return "on"

    play = begin(run)
    play.update("bad", id="a")
    assert (play.asked[0].type, play.asked[0].id) == ("update_failed", "a")
    assert b"division by zero" in play.asked[0].value
    play.update("odd", id="b")
    assert b"reply of update 'odd' cannot be written as JSON" in play.asked[0].value
    play.signal("on")

    assert play.result == "on"


def test_an_update_may_end_the_run(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> str:
        done = asyncio.Event()
        ctx.set_update_handler("finish", done.set)
        await done.wait()
        return "finished"

    play = begin(run)
    play.update("finish")

    assert play.words == ["update_completed finish", "workflow_completed"]


def test_an_exit_in_an_update_handler_fails_the_run(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        ctx.set_update_handler("bad", leave)
        await ctx.receive_signal("on")

    play = begin(run)
    play.update("bad")

    assert play.failure.type == "SystemExit"


def test_handlers_may_be_replaced_while_the_run_goes_on(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        ctx.set_query_handler("where", lambda: "first")
        await ctx.receive_signal("on")
        ctx.set_query_handler("where", lambda: "second")
        await ctx.receive_signal("on")

    play = begin(run)
    assert play.query("where") == "first"
    play.signal("on")

    assert play.query("where") == "second"


def test_a_handler_that_needs_two_values_is_refused_where_it_is_set(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        ctx.set_query_handler("x", lambda a, b: a + b)

    assert "input of query 'x': its handler must take one value or none" in begin(run).failure.message
