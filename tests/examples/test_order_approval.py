"""An order is charged once, and only after somebody has said yes."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from examples.ledger import effects
from examples.order_approval import OrderResult, Payment, activities, charge, order_approval, workflows
from holdfast import (
    ActivityContext,
    PayloadError,
    RunStatus,
    UpdateRejectedError,
    WorkflowCanceledError,
    WorkflowFailedError,
)
from holdfast.ports import StateStore
from holdfast.stores import SqliteStore
from holdfast.testing import TestEnvironment
from tests.examples.kit import read, replays

YES = {"approved": True, "by": "sales"}


def environment(*, store: StateStore | None = None, drain: float = 10.0) -> TestEnvironment:
    return TestEnvironment(workflows=workflows, activities=activities, store=store, drain=drain)


async def test_an_approved_order_is_charged_although_the_gateway_is_busy_twice(tmp_path: Path) -> None:
    async with environment() as env:
        run = await env.start(order_approval, read("order.json", card="busy"), id="order")

        await run.signal("approval", YES)

        result = await run.result()
        key = f"order/{run.run_id}/"
        assert isinstance(result, OrderResult)
        assert (result.state, result.quantity, result.amount_cents, result.decided_by) == ("charged", 3, 3750, "sales")
        assert result.receipt is not None
        assert result.receipt.startswith(f"receipt {key}")
        assert effects("order") == ["charge 3750 cents"]
        assert await replays(env, order_approval, "order", tmp_path) is RunStatus.COMPLETED


async def test_a_declined_card_is_not_tried_again(tmp_path: Path) -> None:
    attempts = []

    async def watched(payment: Payment, ctx: ActivityContext) -> str:
        attempts.append(ctx.attempt)
        return charge(payment, ctx)

    async with environment() as env:
        env.stub(charge, watched)
        run = await env.start(order_approval, read("order.json", card="declined"), id="order")
        await run.signal("approval", YES)

        with pytest.raises(WorkflowFailedError, match="the bank declined the card") as failure:
            await run.result()

        assert failure.value.failure.innermost().type == "CardDeclinedError"
        assert attempts == [1]
        assert effects("order") == []
        assert await replays(env, order_approval, "order", tmp_path) is RunStatus.FAILED


async def test_a_gateway_that_stays_busy_is_asked_five_times() -> None:
    attempts = []

    async def busy(payment: Payment, ctx: ActivityContext) -> str:
        attempts.append((ctx.attempt, ctx.idempotency_key))
        raise ConnectionError(f"busy: {payment.amount_cents}")

    async with environment() as env:
        env.stub(charge, busy)
        run = await env.start(order_approval, read("order.json"), id="order")
        await run.signal("approval", YES)

        with pytest.raises(WorkflowFailedError, match="busy: 3750"):
            await run.result()

        assert [number for number, _ in attempts] == [1, 2, 3, 4, 5]
        assert len({key for _, key in attempts}) == 1


async def test_a_rejected_order_costs_nothing(tmp_path: Path) -> None:
    async with environment() as env:
        run = await env.start(order_approval, read("order.json"), id="order")

        await run.signal("approval", {"approved": False, "by": "finance"})

        result = await run.result()
        assert (result.state, result.receipt, result.decided_by) == ("rejected", None, "finance")
        assert effects("order") == []
        assert await replays(env, order_approval, "order", tmp_path) is RunStatus.COMPLETED


async def test_the_approver_is_reminded_each_day_and_the_order_expires_after_three(tmp_path: Path) -> None:
    async with environment() as env:
        began = env.now()
        run = await env.start(order_approval, read("order.json"), id="order")

        result = await run.result()

        assert result.state == "expired"
        assert timedelta(days=3) <= env.now() - began < timedelta(days=3, minutes=1)
        assert effects("order") == ["send reminder 1", "send reminder 2"]
        assert await replays(env, order_approval, "order", tmp_path) is RunStatus.COMPLETED


async def test_an_answer_to_a_reminder_is_in_time() -> None:
    async with environment() as env:
        run = await env.start(order_approval, read("order.json"), id="order")
        await env.skip(timedelta(days=2, hours=12))

        await run.signal("approval", YES)

        assert (await run.result()).state == "charged"
        assert effects("order") == ["send reminder 1", "send reminder 2", "charge 3750 cents"]


async def test_the_quantity_can_be_changed_while_nobody_has_decided(tmp_path: Path) -> None:
    async with environment() as env:
        run = await env.start(order_approval, read("order.json"), id="order")
        assert await run.query("order") == {"state": "waiting for approval", "quantity": 3, "amount_cents": 3750}

        reply = await run.update("quantity", 5)

        assert reply == {"state": "waiting for approval", "quantity": 5, "amount_cents": 6250}
        assert await run.query("order") == reply
        await run.signal("approval", YES)
        assert (await run.result()).amount_cents == 6250
        assert await replays(env, order_approval, "order", tmp_path) is RunStatus.COMPLETED


async def test_a_quantity_that_makes_no_sense_is_refused_and_leaves_no_trace() -> None:
    async with environment() as env:
        run = await env.start(order_approval, read("order.json"), id="order")
        await env.settled()
        before = len(await env.engine.history("order"))

        with pytest.raises(UpdateRejectedError, match="between 1 and 100, not 500"):
            await run.update("quantity", 500)
        with pytest.raises(PayloadError, match="quantity"):
            await run.update("quantity", "many")

        assert len(await env.engine.history("order")) == before
        assert (await run.query("order"))["quantity"] == 3


async def test_the_quantity_is_fixed_once_the_order_is_decided() -> None:
    charging = asyncio.Event()

    async def hang(payment: Payment) -> str:
        charging.set()
        await asyncio.Event().wait()
        return f"{payment.amount_cents}"

    async with environment(drain=0) as env:
        env.stub(charge, hang)
        run = await env.start(order_approval, read("order.json"), id="order")
        await run.signal("approval", YES)
        await charging.wait()

        with pytest.raises(UpdateRejectedError, match="the order is being charged"):
            await run.update("quantity", 5)


async def test_an_order_that_is_cancelled_costs_nothing(tmp_path: Path) -> None:
    async with environment() as env:
        run = await env.start(order_approval, read("order.json"), id="order")
        await env.settled()

        await run.cancel()

        with pytest.raises(WorkflowCanceledError):
            await run.result()
        assert effects("order") == []
        assert await replays(env, order_approval, "order", tmp_path) is RunStatus.CANCELED


async def test_an_order_without_a_quantity_is_not_taken() -> None:
    async with environment() as env:
        with pytest.raises(PayloadError, match="field 'quantity'"):
            await env.start(order_approval, read("order.json", quantity=0))


async def test_a_changed_order_outlives_the_engine_and_is_charged_once(tmp_path: Path) -> None:
    charged = asyncio.Event()

    async def charge_and_hang(payment: Payment, ctx: ActivityContext) -> str:
        charge(payment, ctx)
        charged.set()
        await asyncio.Event().wait()
        return "never heard of"

    async with environment(store=SqliteStore(tmp_path / "runs.db"), drain=0) as env:
        env.stub(charge, charge_and_hang)
        run = await env.start(order_approval, read("order.json", card="ok"), id="order")
        await env.skip(timedelta(days=1, hours=1))
        await run.update("quantity", 4)
        await run.signal("approval", YES)
        await charged.wait()

    async with environment(store=SqliteStore(tmp_path / "runs.db")) as env:
        result = await env.handle("order").result()

        assert (result.state, result.quantity) == ("charged", 4)
        assert effects("order") == ["send reminder 1", "charge 5000 cents"]
