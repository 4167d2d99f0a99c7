"""Ready-made activities: asking a model, and the tools that a model may ask for."""

from __future__ import annotations

from holdfast.activities.conversation import LlmMessage, LlmReply, LlmRequest, LlmTool, LlmToolCall, LlmUsage
from holdfast.activities.llm import LlmActivity, llm_activity
from holdfast.activities.tool import ToolActivity, tool_activity

__all__ = [
    "LlmActivity",
    "LlmMessage",
    "LlmReply",
    "LlmRequest",
    "LlmTool",
    "LlmToolCall",
    "LlmUsage",
    "ToolActivity",
    "llm_activity",
    "tool_activity",
]
