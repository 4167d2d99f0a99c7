"""Asking a model, as an activity."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from holdfast.activities.conversation import LlmMessage, LlmReply, LlmRequest, LlmTool
from holdfast.core.activities import ActivityContext  # noqa: TC001 - looked at when the activity is registered
from holdfast.core.definitions import activity
from holdfast.core.durations import Duration, milliseconds
from holdfast.core.errors import LlmError
from holdfast.core.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from holdfast.activities.tool import ToolActivity

__all__ = ["LlmActivity", "llm_activity"]


class LlmActivity(Protocol):
    """An activity that asks a model."""

    def __call__(self, prompt: str | LlmRequest, context: ActivityContext) -> Coroutine[Any, Any, LlmReply]:
        """Put a prompt or a conversation to it, and give the answer."""
        ...


_RETRY: Final = RetryPolicy(
    max_attempts=5, initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, max_interval=timedelta(seconds=30)
)
"""Models are busy for seconds, not for tenths of one."""

_TIMEOUT: Final = timedelta(minutes=2)


def llm_activity(  # noqa: PLR0913 - each is a property of the model, of the call, or of the way to it
    component: str,
    *,
    name: str | None = None,
    system: str | None = None,
    temperature: float | None = None,
    tools: Sequence[ToolActivity[Any] | LlmTool] = (),
    scrub_pii: bool = False,
    timeout: Duration = _TIMEOUT,
    retry: RetryPolicy = _RETRY,
    address: str | None = None,
    token: str | None = None,
) -> LlmActivity:
    """Make an activity that asks a model, by way of Dapr's Conversation API.

    It takes a prompt (a text) or an `LlmRequest`, and returns an `LlmReply`. Like every activity it runs at least once:
    a process that ends while the model answers asks again, and pays again. What it asks and gets is in the history.

    Args:
        component: The name of a conversation component of the sidecar.
        name: What the activity is called in histories; ``llm_`` and the component's name by default.
        system: What the model is told before each conversation.
        temperature: How freely the model may choose its words, from 0.
        tools: What the model may ask for; it calls nothing itself, its wishes are in the reply.
        scrub_pii: Let the sidecar blank out e-mail addresses, card numbers and the like, on both ways.
        timeout: The longest that one attempt may take; the sidecar is told, and gives up then too.
        retry: When a failed attempt is followed by another.
        address: ``host:port`` or URL of the sidecar's gRPC port; without one ``DAPR_GRPC_ENDPOINT``, or this machine
            at ``DAPR_GRPC_PORT``, or 50001.
        token: Opens the sidecar's API; without one ``DAPR_API_TOKEN``, or the file ``DAPR_API_TOKEN_FILE``.

    Raises:
        ModuleNotFoundError: The extra ``dapr`` is not installed.

    Source: Dapr Conversation API alpha2, ``ConverseAlpha2``; docs/adr/0020-activities-and-human-tasks.md.
    """
    try:
        from holdfast.activities import converse, converse_wire  # noqa: PLC0415 - an extra, and slow to import
    except ModuleNotFoundError as error:
        message = f"llm_activity needs the extra: pip install 'holdfast[dapr]' ({error})"
        raise ModuleNotFoundError(message, name=error.name) from error
    peer = converse.Component(component, address, token)
    offered = converse_wire.tools_for(tool if isinstance(tool, LlmTool) else tool.tool for tool in tools)
    longest = milliseconds(timeout, "timeout") / 1000

    async def ask(prompt: str | LlmRequest, context: ActivityContext) -> LlmReply:
        asked = converse_wire.request_for(
            component, _conversation(prompt, system), temperature=temperature, tools=offered, scrub_pii=scrub_pii
        )
        limit = longest if context.timeout is None else context.timeout
        answer = converse_wire.reply_of(await peer.converse(asked, limit, _trace(context)))
        if answer is None:
            message = f"the conversation component {component!r} answered without a choice"
            raise LlmError(message, component=component)
        return answer

    ask.__name__ = name or f"llm_{component}"
    ask.__doc__ = f"Ask the model behind the conversation component {component!r}."
    return activity(timeout=timeout, retry=retry)(ask)


def _conversation(prompt: str | LlmRequest, system: str | None) -> LlmRequest:
    """Make a conversation of a prompt, and let it begin with what the model is told each time."""
    request = LlmRequest([LlmMessage("user", prompt)]) if isinstance(prompt, str) else prompt
    if system is None:
        return request
    return replace(request, messages=[LlmMessage("system", system), *request.messages])


def _trace(context: ActivityContext) -> tuple[tuple[str, str], ...]:
    """Give the headers of the trace that the run belongs to, as the W3C names them."""
    headers = (("traceparent", context.traceparent), ("tracestate", context.tracestate))
    return tuple((name, value) for name, value in headers if value)
