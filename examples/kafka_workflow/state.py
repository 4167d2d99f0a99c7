"""Keep a table of numbers for others: the state of a workflow is nothing but its variables.

A loop takes one command after the other as the values of a ref, ``main``: ``setValue`` changes the table, ``getValue``
has one of its values published, ``cancel`` ends the loop. Whoever asks gives the query a name, ``reply``, to know the
answer by.

Started by a record of ``workflow-resume``: ``new:{}``, and then moved on by such as
``{"ref": "main", "value": {"type": "setValue", "key": "meaning", "value": 42}}``.
"""

from __future__ import annotations

from typing import Any

from holdfast import WorkflowContext, workflow

ANSWERS = "temporal-state-query-result"


@workflow(name="state", outputs=[ANSWERS])
async def track_state(ctx: WorkflowContext, _start: object = None) -> dict[str, Any]:
    """Keep the table until told to end, and give it back. What is no known command changes nothing."""
    table: dict[str, int | float] = {}
    while True:
        match await ctx.ref_id("main"):
            case {"type": "setValue", "key": str(key), "value": int() | float() as value}:
                table[key] = value
            case {"type": "getValue", "key": str(key), "reply": reply}:
                known = {"value": table[key]} if key in table else {}
                ctx.output_json(ANSWERS, {"reply": reply, "key": key, **known})
            case {"type": "cancel"}:
                return {"entries": dict(sorted(table.items()))}


workflows = [track_state]
