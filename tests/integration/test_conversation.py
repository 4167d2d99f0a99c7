"""Models behind a real sidecar: the conversation component that echoes, and what becomes of calls that fail."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
import requests

from holdfast import ActivityContext, ActivityError, Engine, NonRetryableError, RetryPolicy, WorkflowContext
from holdfast.activities import (
    LlmActivity,
    LlmMessage,
    LlmReply,
    LlmRequest,
    LlmToolCall,
    LlmUsage,
    llm_activity,
    tool_activity,
)
from holdfast.stores import MemoryStore
from holdfast.stores.dapr import DaprStore
from tests.integration.conftest import Ship, StartSidecar
from tests.integration.sidecar import Sidecar, StateComponent
from tests.play import Anything, Code
from tests.service.kit import process

pytestmark = pytest.mark.integration

ECHO = StateComponent("echo", "conversation.echo", {})
STATE = StateComponent("statestore", "state.in-memory", {})
SOON = RetryPolicy(max_attempts=None, initial_interval=0.05, max_interval=0.2)


@tool_activity
def look_up(order_id: str, day: str = "") -> str:
    """Look an order up."""
    return order_id + day


def asking(ask: LlmActivity) -> Code:
    """A workflow that asks, and tells what became of it."""

    async def talk(ctx: WorkflowContext, prompt: str | LlmRequest) -> Anything:
        try:
            return await ctx.execute_activity(ask, prompt)
        except ActivityError as error:
            return {"attempt": error.attempt, "type": error.cause.type, "message": error.cause.message}

    return talk


async def outcome(ask: LlmActivity, prompt: str | LlmRequest = "hello there") -> Anything:
    talk = asking(ask)
    async with Engine(MemoryStore(), workflows=[talk], activities=[ask]) as engine:
        return await engine.execute(talk, prompt, timeout=60)


async def reply_to(sidecar: Sidecar, prompt: str | LlmRequest, **options: Anything) -> LlmReply:
    answer = await outcome(llm_activity("echo", address=sidecar.address, **options), prompt)
    return LlmReply(
        **answer
        | {
            "tool_calls": tuple(LlmToolCall(**call) for call in answer["tool_calls"]),
            "usage": LlmUsage(**answer["usage"]),
        }
    )


async def test_a_prompt_comes_back_from_the_component(start_sidecar: StartSidecar) -> None:
    reply = await reply_to(start_sidecar(ECHO), "hello there")

    assert reply == LlmReply("hello there", finish_reason="stop", usage=LlmUsage(2, 2, 4))


async def test_a_whole_conversation_arrives_with_its_tools(start_sidecar: StartSidecar) -> None:
    wish = LlmToolCall("call-7", "look_up", '{"order_id": "A1"}')
    messages = [
        LlmMessage("developer", "in German"),
        LlmMessage("user", "where is A1?", name="ann"),
        LlmReply("let me look", (wish,)).message(),
        wish.answer({"state": "sent"}),
    ]
    request = LlmRequest(messages, temperature=1.5, context_id="c-1", response_format={"type": "object"})

    reply = await reply_to(start_sidecar(ECHO), request, system="be polite", tools=[look_up])

    assert reply.text.splitlines() == [
        "be polite",
        "in German",
        "where is A1?",
        "let me look",
        """Tool Response for tool ID 'call-7' with name 'look_up': {"state":"sent"}""",
    ]
    assert reply.tool_calls == (LlmToolCall("0", "look_up", "day,order_id"), wish)
    assert (reply.finish_reason, reply.context_id) == ("tool_calls", "c-1")


async def test_what_the_component_makes_up_is_refused_by_the_tool_and_told_to_it(start_sidecar: StartSidecar) -> None:
    ask = llm_activity("echo", address=start_sidecar(ECHO).address, tools=[look_up])

    async def agent(ctx: WorkflowContext) -> Anything:
        reply = await ctx.execute_activity(ask, "where is A1?")
        (call,) = reply.tool_calls
        try:
            return await ctx.execute_activity(look_up, call.arguments)
        except ActivityError as error:
            told = call.answer(f"error: {error.cause.message}")
            again = await ctx.execute_activity(ask, LlmRequest([reply.message(), told]))
            return again.text

    async with Engine(MemoryStore(), workflows=[agent], activities=[ask, look_up]) as engine:
        text = await engine.execute(agent, timeout=60)

    assert "error: arguments of tool 'look_up': the text is not JSON" in text


async def test_the_sidecar_blanks_out_what_is_personal(start_sidecar: StartSidecar) -> None:
    reply = await reply_to(start_sidecar(ECHO), "I am ann@example.com", scrub_pii=True)

    assert reply.text == "I am <EMAIL_ADDRESS>"


@pytest.mark.parametrize(
    ("request_options", "words"),
    [
        ({"tool_choice": "required"}, "tool choice must be"),
        ({"tool_choice": "other"}, "tool choice selected was not found"),
    ],
)
async def test_a_request_that_the_sidecar_does_not_understand_is_not_made_again(
    start_sidecar: StartSidecar, request_options: dict[str, str], words: str
) -> None:
    tools = [look_up] if request_options["tool_choice"] == "other" else []
    ask = llm_activity("echo", address=start_sidecar(ECHO).address, tools=tools)

    failed = await outcome(ask, LlmRequest([LlmMessage("user", "hello")], **request_options))  # type: ignore[arg-type]

    assert (failed["type"], failed["attempt"]) == ("NonRetryableError", 1)
    assert words in failed["message"]


async def test_a_component_that_is_not_there_is_named_and_not_asked_again(start_sidecar: StartSidecar) -> None:
    failed = await outcome(llm_activity("model", address=start_sidecar(ECHO).address))

    assert (failed["type"], failed["attempt"]) == ("NonRetryableError", 1)
    assert "the conversation component 'model' of the sidecar" in failed["message"]
    assert "must load a component of that name" in failed["message"]


async def test_an_api_that_is_not_allowed_is_named_and_not_asked_again(start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar(ECHO, denied=["conversation v1alpha2"])

    failed = await outcome(llm_activity("echo", address=sidecar.address))

    assert (failed["type"], failed["attempt"]) == ("NonRetryableError", 1)
    assert "must allow the API conversation v1alpha2" in failed["message"]


async def test_the_configuration_of_this_repository_lets_models_be_asked(ship: Ship, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "echo.yaml").write_text(ECHO.yaml(), encoding="utf-8")
    sidecar = ship("components/state/in-memory", resources=[folder])

    assert (await outcome(llm_activity("echo", address=sidecar.address)))["text"] == "hello there"


@pytest.mark.parametrize("token", [None, "another"])
async def test_a_token_that_does_not_open_is_named_and_not_shown(
    start_sidecar: StartSidecar, token: str | None
) -> None:
    sidecar = start_sidecar(ECHO, environment={"DAPR_API_TOKEN": "the-right-one"})

    failed = await outcome(llm_activity("echo", address=sidecar.address, token=token))
    right = await outcome(llm_activity("echo", address=sidecar.address, token="the-right-one"))

    assert (failed["type"], failed["attempt"]) == ("NonRetryableError", 1)
    assert "set DAPR_API_TOKEN to the sidecar's own" in failed["message"]
    assert "another" not in failed["message"]
    assert right["text"] == "hello there"


async def test_a_message_over_the_sidecars_limit_would_be_refused_again(start_sidecar: StartSidecar) -> None:
    ask = llm_activity("echo", address=start_sidecar(ECHO).address)

    with pytest.raises(NonRetryableError, match=r"'echo'.*received message larger than max"):
        await ask("x" * 5_000_000, ActivityContext("run", "1", 1, "key"))


@pytest.mark.parametrize("how", ["kill", "stop"])
async def test_calls_go_on_when_a_sidecar_that_went_away_comes_back(start_sidecar: StartSidecar, how: str) -> None:
    sidecar = start_sidecar(ECHO)
    attempts: list[str] = []
    ask = llm_activity("echo", address=sidecar.address, retry=SOON, timeout=5)
    talk = asking(ask)
    async with Engine(MemoryStore(), workflows=[talk], activities=[ask]) as engine:
        assert (await engine.execute(talk, "before", timeout=60))["text"] == "before"
        end = sidecar.kill if how == "kill" else sidecar.stop
        await asyncio.to_thread(end)
        run = await engine.start(talk, "after", id="after")
        while len(attempts) < 2:
            pending = (await engine.describe("after")).pending
            attempts += [view.failure.message for view in pending if view.failure is not None]
            await asyncio.sleep(0)
        await asyncio.to_thread(sidecar.start)

        assert (await run.result(timeout=60))["text"] == "after"
    assert all("UNAVAILABLE" in words for words in attempts)


async def test_a_sidecar_that_hangs_is_given_up_in_time_and_asked_again(start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar(ECHO)
    ask = llm_activity("echo", address=sidecar.address, retry=SOON, timeout=1)
    talk = asking(ask)
    async with Engine(MemoryStore(), workflows=[talk], activities=[ask]) as engine:
        await asyncio.to_thread(sidecar.halt)
        run = await engine.start(talk, "hello", id="hangs")
        failed: list[str] = []
        while not failed:
            failed += [view.failure.type for view in (await engine.describe("hangs")).pending if view.failure]
            await asyncio.sleep(0)
        sidecar.resume()

        assert (await run.result(timeout=60))["text"] == "hello"
    assert failed[0] in {"TimeoutError", "LlmError"}


async def test_a_model_and_the_store_behind_one_sidecar(start_sidecar: StartSidecar) -> None:
    sidecar = start_sidecar(ECHO, STATE)
    ask = llm_activity("echo", address=sidecar.address)
    talk = asking(ask)
    async with Engine(DaprStore(address=sidecar.address), workflows=[talk], activities=[ask]) as engine:
        runs = [engine.execute(talk, f"hello {number}", timeout=60) for number in range(50)]
        answers = await asyncio.gather(*runs)

    assert [answer["text"] for answer in answers] == [f"hello {number}" for number in range(50)]


def test_the_support_agent_of_the_examples_talks_to_a_component_and_hands_over_to_a_person(
    start_sidecar: StartSidecar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAPR_GRPC_PORT", start_sidecar(ECHO).address.rpartition(":")[2])
    ticket = {"customer": "C-2041", "text": "I want my money back.", "turns": 3}
    settings = {"workflows": "examples.support_agent", "examples_model": "echo"}
    with process(tmp_path / "service", **settings) as starting:
        runs = f"{starting.ready().url}/v1/runs/ticket-1"
        started = requests.post(
            f"{starting.url}/v1/workflows/support_agent/runs", json={"id": "ticket-1", "input": ticket}, timeout=30
        )
        assert started.status_code == 201
        waits: list[str] = []
        while not waits:
            waits = re.findall(r"human-task-\w+", requests.get(f"{runs}/queries/stack", timeout=30).text)
        said = requests.get(f"{runs}/queries/conversation", timeout=30).json()["result"]
        requests.post(f"{runs}/signals/{waits[0]}", json={"text": "a new one is on its way", "by": "ann"}, timeout=30)
        outcome = requests.get(f"{runs}/queries/result", timeout=30).json()["result"]

    assert outcome == {
        "state": "answered by a person",
        "text": "a new one is on its way",
        "turns": 3,
        "refunded_cents": 0,
    }
    assert said[1].endswith("Refunds are in cents.\nI want my money back.")
    assert said[2].startswith("tool: error: arguments of tool 'look_up_order': ")
