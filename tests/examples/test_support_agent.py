"""The model proposes, the tools check, people decide, and money is paid back once or not at all."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from examples.ledger import effects
from examples.support_agent import (
    Outcome,
    activities,
    ask_model,
    draft_refund,
    look_up_order,
    stand_in_model,
    support_agent,
    workflows,
)
from holdfast import RunStatus, WorkflowCanceledError
from holdfast.activities import LlmReply, LlmRequest, LlmToolCall
from holdfast.ports import StateStore
from holdfast.stores import SqliteStore
from holdfast.testing import TestEnvironment
from tests.examples.kit import read, replays
from tests.play import Anything

PAID = "pay back 4990 cents for A1001"
YES = {"approved": True, "by": "team lead"}


def environment(*, store: StateStore | None = None) -> TestEnvironment:
    return TestEnvironment(workflows=workflows, activities=activities, store=store)


async def task_on(env: TestEnvironment, topic: str) -> dict[str, Anything]:
    """The only record on a topic."""
    await env.settled()
    (record,) = await env.outputs(topic)
    task: dict[str, Anything] = json.loads(record.value)
    return task


async def test_a_large_refund_is_paid_once_a_person_has_approved(tmp_path: Path) -> None:
    async with environment() as env:
        run = await env.start(support_agent, read("ticket.json"), id="ticket")
        task = await task_on(env, "approvals")
        assert task["request"] == {"order_id": "A1001", "cents": 4990, "reason": read("ticket.json")["text"]}
        assert effects("ticket") == []

        await run.signal(task["signal"], YES)

        text = "About order A1001: 4990 cents have been paid back"
        assert await run.result() == Outcome("answered", text, turns=4, refunded_cents=4990)
        assert effects("ticket") == [PAID]
        assert await replays(env, support_agent, "ticket", tmp_path) is RunStatus.COMPLETED


async def test_the_model_is_told_of_its_mistakes_and_mends_them() -> None:
    async with environment() as env:
        run = await env.start(support_agent, read("ticket.json"), id="ticket")
        await env.settled()

        said = await run.query("conversation")

        assert said[2] == 'tool: {"item":"kettle","paid_cents":4990,"state":"delivered"}'
        assert said[4].startswith(
            "tool: error: arguments of tool 'draft_refund': cents: Input should be a valid integer"
        )


async def test_a_refusal_costs_nothing_and_is_told(tmp_path: Path) -> None:
    async with environment() as env:
        run = await env.start(support_agent, read("ticket.json"), id="ticket")
        task = await task_on(env, "approvals")

        await run.signal(task["signal"], {"approved": False, "by": "team lead"})

        assert (await run.result()).text == "About order A1001: team lead has refused it"
        assert effects("ticket") == []
        assert await replays(env, support_agent, "ticket", tmp_path) is RunStatus.COMPLETED


async def test_no_decision_in_time_withdraws_the_request() -> None:
    async with environment() as env:
        began = env.now()
        outcome = await env.execute(support_agent, read("ticket.json"), id="ticket")

        assert outcome.text == "About order A1001: nobody approved of it within 2 days, 0:00:00"
        assert timedelta(days=2) <= env.now() - began < timedelta(days=2, minutes=1)
        assert effects("ticket") == []
        _, withdrawal = await env.outputs("approvals")
        assert json.loads(withdrawal.value)["withdrawn"] is True


@pytest.mark.parametrize(
    ("text", "answer", "paid"),
    [
        ("Money back!", "Which order is it about?", []),
        ("Where is A1003?", "Your toaster is on its way.", []),
        ("Where is A1009?", "About order A1009: error: there is no order 'A1009'", []),
        (
            "I want my money back for A1002",
            "About order A1002: 1490 cents have been paid back",
            ["pay back 1490 cents for A1002"],
        ),
    ],
)
async def test_nobody_is_asked_about_the_rest(text: str, answer: str, paid: list[str]) -> None:
    async with environment() as env:
        outcome = await env.execute(support_agent, read("ticket.json", text=text), id="ticket")

        assert outcome.text == answer
        assert effects("ticket") == paid
        assert [record.topic for record in await env.outputs()] == ["workflow-result"], "only its end is told"


async def test_a_model_that_gets_nowhere_is_relieved_by_a_person() -> None:
    asked = []

    async def dreams(request: LlmRequest) -> LlmReply:
        asked.append(request.messages[-1].content)
        return LlmReply("", (LlmToolCall(str(len(asked)), "open_the_safe", "{}"),), "tool_calls")

    async with environment() as env:
        env.stub(ask_model, dreams)
        run = await env.start(support_agent, read("ticket.json", turns=3), id="ticket")
        task = await task_on(env, "escalations")
        assert asked == [read("ticket.json")["text"], *["error: there is no tool 'open_the_safe'"] * 2]
        assert task["request"]["turns"] == 3

        await run.signal(task["signal"], {"text": "we send a new one", "by": "ann"})

        assert await run.result() == Outcome("answered by a person", "we send a new one", turns=3)
        assert effects("ticket") == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"order_id": "A1002", "cents": 1491, "reason": "x"}, "error: only 1490 cents were paid for A1002"),
        ({"order_id": "A1009", "cents": 1, "reason": "x"}, "error: there is no order 'A1009'"),
        (
            {"order_id": "A1002", "cents": -1, "reason": "x"},
            "error: arguments of tool 'draft_refund': cents: Input should be greater than or equal to 1",
        ),
    ],
)
async def test_no_model_gets_more_than_was_paid(arguments: dict[str, Anything], told: str) -> None:
    async def greedy(request: LlmRequest) -> LlmReply:
        if len(request.messages) > 1:
            return LlmReply(request.messages[-1].content)
        return LlmReply("", (LlmToolCall("1", "draft_refund", json.dumps(arguments)),))

    async with environment() as env:
        env.stub(ask_model, greedy)
        assert (await env.execute(support_agent, read("ticket.json"), id="ticket")).text == told
        assert effects("ticket") == []


async def test_an_order_is_paid_back_once_however_often_the_model_asks() -> None:
    async def insistent(request: LlmRequest) -> LlmReply:
        if len(request.messages) > 1:
            return LlmReply(request.messages[-1].content)
        wish = json.dumps({"order_id": "A1002", "cents": 1000, "reason": "x"})
        return LlmReply("", (LlmToolCall("1", "draft_refund", wish), LlmToolCall("2", "draft_refund", wish)))

    async with environment() as env:
        env.stub(ask_model, insistent)
        outcome = await env.execute(support_agent, read("ticket.json"), id="ticket")

        assert outcome.text == "error: 1000 cents have been paid back for A1002 before"
        assert outcome.refunded_cents == 1000
        assert effects("ticket") == ["pay back 1000 cents for A1002"]


async def test_a_ticket_that_is_cancelled_costs_nothing(tmp_path: Path) -> None:
    async with environment() as env:
        run = await env.start(support_agent, read("ticket.json"), id="ticket")
        await env.settled()

        await run.cancel(reason="the customer has called")

        with pytest.raises(WorkflowCanceledError):
            await run.result()
        assert effects("ticket") == []
        _, withdrawal = await env.outputs("approvals")
        assert json.loads(withdrawal.value)["reason"] == "canceled"
        assert await replays(env, support_agent, "ticket", tmp_path) is RunStatus.CANCELED


async def test_a_request_outlives_the_engine(tmp_path: Path) -> None:
    async with environment(store=SqliteStore(tmp_path / "runs.db")) as env:
        await env.start(support_agent, read("ticket.json"), id="ticket")
        task = await task_on(env, "approvals")

    async with environment(store=SqliteStore(tmp_path / "runs.db")) as env:
        run = env.handle("ticket")
        await run.signal(task["signal"], YES)

        assert (await run.result()).refunded_cents == 4990
        assert effects("ticket") == [PAID]


def test_a_real_model_is_told_of_the_same_tools() -> None:
    assert ask_model is stand_in_model
    assert [tool.tool.name for tool in (look_up_order, draft_refund)] == ["look_up_order", "draft_refund"]
    assert look_up_order.tool.description == "Tell what was ordered, what was paid, and where it is."
    assert look_up_order.tool.parameters["properties"]["order_id"]["description"] == "such as A1001"
