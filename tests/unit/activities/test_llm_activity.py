"""Asking a model: what is sent, what comes of it, and what a failure means."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from dapr.proto import api_v1
from google.protobuf.json_format import MessageToDict

from app.modules import load_functions
from holdfast import ActivityContext, ActivityError, NonRetryableError, PayloadError, WorkflowContext
from holdfast.activities import (
    LlmActivity,
    LlmMessage,
    LlmReply,
    LlmRequest,
    LlmTool,
    LlmToolCall,
    LlmUsage,
    converse,
    llm_activity,
    tool_activity,
)
from holdfast.core.definitions import ActivityDefinition
from holdfast.sidecar import connect
from holdfast.testing import TestEnvironment
from tests.play import Anything, Code
from tests.unit.activities.model_server import ModelServer, model_server, said
from tests.unit.engine.kit import eventually

ROOT = Path(__file__).parents[3]
Status = grpc.StatusCode
ALONE = ActivityContext("run", "1", 1, "key")


@tool_activity
def look_up(order_id: str) -> str:
    """Look an order up."""
    return order_id


async def answered(server: ModelServer, prompt: str | LlmRequest = "hello", **options: Anything) -> LlmReply:
    return await llm_activity("model", address=server.address, **options)(prompt, ALONE)


async def sent(prompt: str | LlmRequest, **options: Anything) -> dict[str, Anything]:
    """What the sidecar is asked, as JSON."""
    async with model_server() as server:
        await answered(server, prompt, **options)
        request: dict[str, Anything] = MessageToDict(server.requests[0])
        return request


def calling(ask: LlmActivity, **options: Anything) -> Code:
    """A workflow that asks once, and tells what became of it."""

    async def talk(ctx: WorkflowContext, prompt: Anything) -> Anything:
        try:
            reply = await ctx.execute_activity(ask, prompt, **options)
        except ActivityError as error:
            return {"attempt": error.attempt, "type": error.cause.type, "message": error.cause.message}
        assert isinstance(reply, LlmReply)
        return reply.text

    return talk


async def outcome(server: ModelServer, prompt: Anything = "hello", **options: Anything) -> Anything:
    ask = llm_activity("model", address=server.address)
    talk = calling(ask, **options)
    async with TestEnvironment(workflows=[talk], activities=[ask]) as env:
        return await env.execute(talk, prompt)


async def test_a_prompt_is_what_the_user_says() -> None:
    assert await sent("hello") == {
        "name": "model",
        "inputs": [{"messages": [{"ofUser": {"content": [{"text": "hello"}]}}], "scrubPii": False}],
        "scrubPii": False,
    }


async def test_an_answer_is_a_typed_value() -> None:
    answer = said("good day")
    usage = api_v1.ConversationResultAlpha2CompletionUsage(prompt_tokens=3, completion_tokens=2, total_tokens=5)
    answer.outputs[0].usage.CopyFrom(usage)
    answer.outputs[0].model = "model-1"
    answer.context_id = "c-7"

    async with model_server(answer) as server:
        reply = await answered(server)

    assert reply == LlmReply("good day", (), "stop", "model-1", LlmUsage(3, 2, 5), "c-7")


async def test_a_whole_conversation_with_its_tools_is_sent() -> None:
    wish = LlmToolCall("call-1", "look_up", '{"order_id": "A1"}')
    messages = [
        LlmMessage("developer", "in German"),
        LlmMessage("user", "where is A1?", name="ann"),
        LlmReply("let me look", (wish,)).message(),
        wish.answer({"state": "sent"}),
    ]
    request = LlmRequest(messages, temperature=0.5, tool_choice="none", response_format={"type": "object"})
    plain = LlmTool("ping")

    asked = await sent(request, system="be polite", temperature=1.0, tools=[look_up, plain], scrub_pii=True)

    call = {"id": "call-1", "function": {"name": "look_up", "arguments": '{"order_id": "A1"}'}}
    assert asked["inputs"][0]["messages"] == [
        {"ofSystem": {"content": [{"text": "be polite"}]}},
        {"ofDeveloper": {"content": [{"text": "in German"}]}},
        {"ofUser": {"name": "ann", "content": [{"text": "where is A1?"}]}},
        {"ofAssistant": {"content": [{"text": "let me look"}], "toolCalls": [call]}},
        {"ofTool": {"toolId": "call-1", "name": "look_up", "content": [{"text": '{"state":"sent"}'}]}},
    ]
    assert (asked["temperature"], asked["toolChoice"], asked["responseFormat"]) == (0.5, "none", {"type": "object"})
    assert asked["scrubPii"] is asked["inputs"][0]["scrubPii"] is True
    assert [tool["function"]["name"] for tool in asked["tools"]] == ["look_up", "ping"]
    assert asked["tools"][0]["function"]["description"] == "Look an order up."
    assert asked["tools"][0]["function"]["parameters"] == look_up.tool.parameters


async def test_the_temperature_of_the_activity_is_that_of_a_request_without_one() -> None:
    assert (await sent("hello", temperature=0.25))["temperature"] == 0.25
    cold = LlmRequest([LlmMessage("user", "hello")], temperature=0.0)
    assert (await sent(cold, temperature=0.25))["temperature"] == 0.0


async def test_the_parts_of_one_answer_are_put_together() -> None:
    call = api_v1.ConversationToolCalls(
        id="1", function=api_v1.ConversationToolCallsOfFunction(name="look_up", arguments="{}")
    )
    parts = [said("let me see").outputs[0], said("", tool_calls=[call]).outputs[0], said("just a moment").outputs[0]]
    parts[1].choices[0].finish_reason = "tool_calls"

    async with model_server(api_v1.ConversationResponseAlpha2(outputs=parts)) as server:
        reply = await answered(server)

    assert reply == LlmReply("let me see\njust a moment", (LlmToolCall("1", "look_up", "{}"),), "tool_calls")


@pytest.mark.parametrize(
    "status",
    [Status.UNAVAILABLE, Status.RESOURCE_EXHAUSTED, Status.INTERNAL, Status.ABORTED, Status.UNKNOWN, Status.CANCELLED],
)
async def test_a_failure_that_may_pass_is_tried_again(status: grpc.StatusCode) -> None:
    async with model_server((status, "busy"), said("at last")) as server:
        assert await outcome(server) == "at last"
        assert len(server.requests) == 2


async def test_a_failure_that_does_not_pass_names_component_and_status() -> None:
    async with model_server((Status.RESOURCE_EXHAUSTED, "rate limit")) as server:
        failed = await outcome(server)

    assert (failed["type"], failed["attempt"]) == ("LlmError", 5)
    assert "conversation component 'model'" in failed["message"]
    assert failed["message"].endswith("RESOURCE_EXHAUSTED: rate limit")


@pytest.mark.parametrize(
    ("status", "details", "hint"),
    [
        (Status.INVALID_ARGUMENT, "failed finding conversation component model", "must load a component of that name"),
        (Status.INVALID_ARGUMENT, "invalid params", "INVALID_ARGUMENT: invalid params"),
        (Status.UNAUTHENTICATED, "Unauthorized", "set DAPR_API_TOKEN"),
        (Status.PERMISSION_DENIED, "no", "set DAPR_API_TOKEN"),
        (Status.UNIMPLEMENTED, "Not Implemented", "must allow the API conversation v1alpha2"),
        (Status.NOT_FOUND, "gone", "NOT_FOUND: gone"),
        (Status.RESOURCE_EXHAUSTED, "received message larger than max (5 vs. 4)", "larger than max"),
    ],
)
async def test_a_failure_that_would_come_again_is_not_tried_again(
    status: grpc.StatusCode, details: str, hint: str
) -> None:
    async with model_server((status, details)) as server:
        failed = await outcome(server)

        assert len(server.requests) == 1
    assert (failed["type"], failed["attempt"]) == ("NonRetryableError", 1)
    assert "conversation component 'model'" in failed["message"]
    assert hint in failed["message"]


async def test_an_answer_without_a_choice_is_asked_for_again() -> None:
    async with model_server(api_v1.ConversationResponseAlpha2(), said("now")) as server:
        assert await outcome(server) == "now"


async def test_the_sidecar_is_told_how_long_this_call_may_take() -> None:
    async with model_server() as server:
        await outcome(server)
        await outcome(server, timeout=7)
        await answered(server, timeout=50)

        declared, of_the_call, alone = server.seconds_left
        assert 60 < declared < 130  # gRPC sends a rounded figure
        assert 0 < of_the_call < 10
        assert 20 < alone < 60


async def test_a_model_that_does_not_answer_in_time_is_a_time_out() -> None:
    async with model_server(asyncio.Event().wait) as server:
        with pytest.raises(TimeoutError, match=r"conversation component 'model'.*DEADLINE_EXCEEDED"):
            await answered(server, timeout=0.05)


async def test_the_model_is_let_go_when_the_run_is_cancelled() -> None:
    async with model_server(asyncio.Event().wait) as server:
        ask = llm_activity("model", address=server.address)
        talk = calling(ask)
        async with TestEnvironment(workflows=[talk], activities=[ask]) as env:
            run = await env.start(talk, "hello")
            await eventually(lambda: server.requests)
            await run.cancel()
            await eventually(lambda: server.cancelled)

        assert len(server.requests) == 1


async def test_calls_at_a_time_share_a_connection_and_leave_none_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    channels: list[grpc.aio.Channel] = []

    def watched(address: str) -> tuple[grpc.aio.Channel, Anything]:
        channel, client = connect(address)
        channels.append(channel)
        return channel, client

    monkeypatch.setattr(converse, "connect", watched)
    together = asyncio.Barrier(20)

    async def wait_for_all() -> api_v1.ConversationResponseAlpha2:
        await together.wait()
        return said("yes")

    async with model_server(wait_for_all) as server:
        ask = llm_activity("model", address=server.address)
        for _ in range(2):
            await asyncio.gather(*(ask("hello", ALONE) for _ in range(20)))

        assert len(server.peers) == 40
        assert len(set(server.peers[:20])) == 1
        assert set(server.peers[:20]).isdisjoint(server.peers[20:])
        assert [channel.get_state() for channel in channels] == [grpc.ChannelConnectivity.SHUTDOWN] * 2


def test_one_activity_serves_engines_on_one_loop_after_another() -> None:
    ask = llm_activity("model", address="127.0.0.1:1")

    async def ask_nobody() -> str:
        with pytest.raises(Exception, match="UNAVAILABLE") as failure:
            await ask("hello", ALONE)
        return type(failure.value).__name__

    assert [asyncio.run(ask_nobody()) for _ in range(3)] == ["LlmError"] * 3


async def test_the_token_of_the_sidecar_goes_with_each_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text("first", encoding="utf-8")
    ask_elsewhere = llm_activity("model", address="127.0.0.1:1", token="given")
    async with model_server() as server:
        ask = llm_activity("model")
        monkeypatch.setenv("DAPR_API_TOKEN_FILE", str(file))
        monkeypatch.setenv("DAPR_GRPC_ENDPOINT", server.address)
        await ask("hello", ALONE)
        file.write_text("renewed", encoding="utf-8")
        await ask("hello", ALONE)

        assert [headers["dapr-api-token"] for headers in server.headers] == ["first", "renewed"]
    with pytest.raises(Exception, match="UNAVAILABLE") as failure:
        await ask_elsewhere("hello", ALONE)
    assert "given" not in str(failure.value)


async def test_the_trace_of_the_run_goes_with_the_call() -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    traced = ActivityContext("run", "1", 1, "key", traceparent=parent, tracestate="a=b")
    async with model_server() as server:
        ask = llm_activity("model", address=server.address)
        await ask("hello", traced)
        await ask("hello", ALONE)

        first, second = server.headers
        assert (first["traceparent"], first["tracestate"]) == (parent, "a=b")
        assert "traceparent" not in second


async def test_an_address_that_cannot_be_is_no_outage() -> None:
    with pytest.raises(NonRetryableError, match="is not the address of a sidecar"):
        await llm_activity("model", address="http://[bad")("hello", ALONE)


def test_a_request_must_say_something_and_say_it_as_somebody() -> None:
    definition = ActivityDefinition.of(llm_activity("model"))

    for wrong in (b'{"messages": []}', b'{"messages": [{"role": "nobody"}]}', b"7"):
        with pytest.raises(PayloadError, match="input of activity 'llm_model'"):
            definition.invoke(wrong, ALONE)


def test_a_tool_has_a_name_that_models_take_and_arguments_by_name() -> None:
    with pytest.raises(Exception, match="the name of a tool 'look up' is not valid"):
        LlmTool("look up")
    with pytest.raises(ValueError, match="must be that of an object"):
        LlmTool("look_up", parameters={"type": "string"})


def test_the_service_finds_it_in_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from holdfast.activities import llm_activity\nask = llm_activity('model', name='ask')\n"
    (tmp_path / "module_with_a_model.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    (found,) = load_functions(["module_with_a_model"]).activities

    assert ActivityDefinition.of(found).name == "ask"


def test_without_the_extras_tools_still_work_and_the_rest_says_what_is_missing() -> None:
    code = """
import sys
sys.modules.update({name: None for name in ("dapr", "grpc", "google.protobuf", "jsonschema_rs")})
from holdfast.activities import llm_activity, tool_activity
tool_activity(lambda x: x, name="same")
for make in (lambda: llm_activity("model"), lambda: tool_activity(lambda x: x, {"type": "object"}, name="other")):
    try:
        make()
    except ModuleNotFoundError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    first, second = done.stdout.splitlines()
    assert first.startswith("llm_activity needs the extra: pip install 'holdfast[dapr]'")
    assert second.startswith("a tool with a schema of its own needs the extra: pip install 'holdfast[tools]'")
