"""Be blocked and unblocked from outside, keep a diary of it, and show it to whoever asks.

Signals and queries are both values of one ref, ``main``: a signal changes the state, a query has it published as it is
in that moment. As the loop takes them in the order in which they come, a query sees every signal before it.

Started by a record of ``workflow-resume``: ``new:{"initiallyBlocked": true}``, and then moved on by such as
``{"ref": "main", "value": {"type": "addMessage", "message": "worker ready"}}``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from holdfast import WorkflowContext, workflow

STATE = "temporal-signals-queries-state"


@dataclass(frozen=True)
class Settings:
    """How it begins."""

    initiallyBlocked: bool = True  # noqa: N815 - the field of the record


@dataclass
class State:
    """What the signals have made of it."""

    blocked: bool
    history: list[str] = field(default_factory=list)


@workflow(name="signals-queries", outputs=[STATE])
async def signals_queries(ctx: WorkflowContext, settings: Settings) -> dict[str, Any]:
    """Take signals and queries until one of them is the last. What is no known one changes nothing."""
    state = State(settings.initiallyBlocked)
    while True:
        match await ctx.ref_id("main"):
            case {"type": "query"}:
                ctx.output_json(STATE, state)
            case {"type": "block" | "unblock" as change}:
                state.blocked = change == "block"
                state.history.append(change)
            case {"type": "addMessage", "message": str(message)}:
                state.history.append(message)
            case {"type": "finish"}:
                return {"status": "finished", "blocked": state.blocked, "history": state.history}
            case {"type": "cancel"}:
                return {"status": "canceled", "blocked": state.blocked, "history": state.history}


workflows = [signals_queries]
