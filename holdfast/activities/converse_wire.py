"""Conversations as messages of Dapr's Conversation API, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dapr.proto import api_v1
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct

from holdfast.activities.conversation import LlmReply, LlmToolCall, LlmUsage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from holdfast.activities.conversation import LlmMessage, LlmRequest, LlmTool

__all__ = ["reply_of", "request_for", "tools_for"]


def request_for(
    component: str,
    request: LlmRequest,
    *,
    temperature: float | None,
    tools: Sequence[api_v1.ConversationTools],
    scrub_pii: bool,
) -> api_v1.ConversationRequestAlpha2:
    """Write a request; what it says itself wins over what the activity was made with."""
    chosen = temperature if request.temperature is None else request.temperature
    messages = [_WRITERS[message.role](message) for message in request.messages]
    form = request.response_format
    return api_v1.ConversationRequestAlpha2(
        name=component,
        context_id=request.context_id or None,
        inputs=[api_v1.ConversationInputAlpha2(messages=messages, scrub_pii=scrub_pii)],
        scrub_pii=scrub_pii,
        temperature=chosen,
        tools=tools,
        tool_choice=request.tool_choice or None,
        response_format=None if form is None else ParseDict(form, Struct()),
    )


def tools_for(tools: Iterable[LlmTool]) -> list[api_v1.ConversationTools]:
    """Write what a model is told of its tools."""
    return [
        api_v1.ConversationTools(
            function=api_v1.ConversationToolsFunction(
                name=tool.name,
                description=tool.description or None,
                parameters=ParseDict(tool.parameters, Struct()),
            )
        )
        for tool in tools
    ]


def reply_of(response: api_v1.ConversationResponseAlpha2) -> LlmReply | None:
    """Read an answer; None where there is none.

    Some components give each part of one answer, a text or the call of a tool, as an output or choice of its own; no
    component gives several answers to choose from. So all of them are put together.
    """
    choices = [choice for output in response.outputs for choice in output.choices]
    if not choices:
        return None
    calls = tuple(_call_of(call) for choice in choices for call in choice.message.tool_calls)
    reasons = [choice.finish_reason for choice in choices if choice.message.tool_calls or not calls]
    return LlmReply(
        text="\n".join(choice.message.content for choice in choices if choice.message.content),
        tool_calls=calls,
        finish_reason=reasons[-1],
        model=response.outputs[0].model,
        usage=_usage_of(response.outputs[0]),
        context_id=response.context_id,
    )


def _call_of(call: api_v1.ConversationToolCalls) -> LlmToolCall:
    return LlmToolCall(call.id, call.function.name, call.function.arguments)


def _usage_of(output: api_v1.ConversationResultAlpha2) -> LlmUsage | None:
    if not output.HasField("usage"):
        return None
    usage = output.usage
    return LlmUsage(usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)


def _content(message: LlmMessage) -> list[api_v1.ConversationMessageContent]:
    return [api_v1.ConversationMessageContent(text=message.content)]


def _system(message: LlmMessage) -> api_v1.ConversationMessage:
    said = api_v1.ConversationMessageOfSystem(name=message.name or None, content=_content(message))
    return api_v1.ConversationMessage(of_system=said)


def _developer(message: LlmMessage) -> api_v1.ConversationMessage:
    said = api_v1.ConversationMessageOfDeveloper(name=message.name or None, content=_content(message))
    return api_v1.ConversationMessage(of_developer=said)


def _user(message: LlmMessage) -> api_v1.ConversationMessage:
    said = api_v1.ConversationMessageOfUser(name=message.name or None, content=_content(message))
    return api_v1.ConversationMessage(of_user=said)


def _assistant(message: LlmMessage) -> api_v1.ConversationMessage:
    said = api_v1.ConversationMessageOfAssistant(
        name=message.name or None,
        content=_content(message) if message.content else [],
        tool_calls=[
            api_v1.ConversationToolCalls(
                id=call.id or None,
                function=api_v1.ConversationToolCallsOfFunction(name=call.name, arguments=call.arguments),
            )
            for call in message.tool_calls
        ],
    )
    return api_v1.ConversationMessage(of_assistant=said)


def _tool(message: LlmMessage) -> api_v1.ConversationMessage:
    said = api_v1.ConversationMessageOfTool(
        tool_id=message.tool_call_id or None, name=message.name, content=_content(message)
    )
    return api_v1.ConversationMessage(of_tool=said)


_WRITERS: Final[dict[str, Callable[[LlmMessage], Any]]] = {
    "system": _system,
    "developer": _developer,
    "user": _user,
    "assistant": _assistant,
    "tool": _tool,
}
