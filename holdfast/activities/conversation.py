"""What is said to a model and what it answers: plain values, the same for every model."""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003 - decoding looks at it
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from holdfast.core.codec import encode
from holdfast.core.ids import check_id

__all__ = ["LlmMessage", "LlmReply", "LlmRequest", "LlmTool", "LlmToolCall", "LlmUsage", "Role"]

Role = Literal["system", "developer", "user", "assistant", "tool"]
"""Who says something: the application, the person, the model, or a tool that the model has called."""

_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LlmTool:
    """What a model is told of a tool that it may ask for.

    Attributes:
        name: What the model calls it: 1 to 64 characters out of A-Z, a-z, 0-9, ``_`` and ``-``.
        description: What it does; the model chooses by it.
        parameters: The JSON Schema of its arguments, an object.
    """

    name: str
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})

    def __post_init__(self) -> None:
        """Refuse what models refuse.

        Raises:
            InvalidIdError: The name has other characters.
            ValueError: The arguments are no object.
        """
        check_id(self.name, "the name of a tool")
        if self.parameters.get("type") != "object":
            message = f"the schema of tool {self.name!r} must be that of an object: say 'type': 'object'"
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class LlmToolCall:
    """A model's wish that a tool be called.

    Attributes:
        id: What the model calls this wish; the answer bears it.
        name: The tool.
        arguments: What to call it with: JSON as the model wrote it, perhaps none, perhaps not fitting the tool.
    """

    id: str
    name: str
    arguments: str

    def answer(self, result: object) -> LlmMessage:
        """Make the message that tells the model what came of it.

        Args:
            result: A text as it is; any other value is written as JSON.

        Raises:
            PayloadError: The value has no JSON form, or is over 1 MiB.
        """
        what = f"the result of tool {self.name!r}"
        text = result if isinstance(result, str) else encode(result, what, limit=_MIB).decode()
        return LlmMessage("tool", text, name=self.name, tool_call_id=self.id)


@dataclass(frozen=True, slots=True)
class LlmMessage:
    """One message of a conversation.

    Attributes:
        role: Who says it.
        content: What is said.
        name: The participant, where there are several of a role; of a tool's message, the tool.
        tool_calls: Of the model's message: what it asked for.
        tool_call_id: Of a tool's message: which of the model's wishes it answers.
    """

    role: Role
    content: str = ""
    name: str = ""
    tool_calls: tuple[LlmToolCall, ...] = ()
    tool_call_id: str = ""


@dataclass(frozen=True, slots=True)
class LlmRequest:
    """A conversation to be carried on.

    Attributes:
        messages: All of it so far, the oldest first: models remember nothing between two calls.
        temperature: How freely the model may choose its words, from 0; None for the activity's own.
        tool_choice: ``auto``, ``none``, ``required``, or the name of the tool to call; empty for ``auto``.
        response_format: A JSON Schema that the text of the answer has to fit, for models that can do that.
        context_id: The model's own name of an earlier conversation, for those that keep them.
    """

    messages: Sequence[LlmMessage]
    temperature: float | None = None
    tool_choice: str = ""
    response_format: dict[str, Any] | None = None
    context_id: str = ""

    def __post_init__(self) -> None:
        """Refuse to say nothing.

        Raises:
            ValueError: There is no message.
        """
        if not self.messages:
            message = "at least one message is needed"
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class LlmUsage:
    """What an answer cost.

    Attributes:
        prompt_tokens: Read by the model.
        completion_tokens: Written by it.
        total_tokens: Both together, as the provider counts them.
    """

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


@dataclass(frozen=True, slots=True)
class LlmReply:
    """What a model answered.

    Attributes:
        text: What it says; empty where it only asks for tools.
        tool_calls: What it asks for.
        finish_reason: Why it stopped: ``stop``, ``length``, ``tool_calls``, ``content_filter``, or the provider's word.
        model: Which model it was, where the component says so.
        usage: What it cost, where the component says so.
        context_id: Names the conversation, for models that keep them.
    """

    text: str
    tool_calls: tuple[LlmToolCall, ...] = ()
    finish_reason: str = ""
    model: str = ""
    usage: LlmUsage | None = None
    context_id: str = ""

    def message(self) -> LlmMessage:
        """Make the message that carries the conversation on: the model has to be told what it said."""
        return LlmMessage("assistant", self.text, tool_calls=self.tool_calls)
