"""Count for others, and tell each of them what the count was: an update is a message that asks for an answer.

``fetchAndAdd`` carries a name of its sender's choice, ``reply``, and the answer carries it back, with the count before
or with an error. An update that is not valid is answered with the error and changes nothing.

Started by a record of ``workflow-resume``: ``new:{}``, and then moved on by such as
``{"ref": "main", "value": {"type": "fetchAndAdd", "arg": 4, "reply": "update-1"}}``.
"""

from __future__ import annotations

from holdfast import WorkflowContext, workflow

REPLIES = "temporal-execute-update-reply"


@workflow(name="execute-update", outputs=[REPLIES])
async def counter(ctx: WorkflowContext, _start: object = None) -> int | float:
    """Count until told that it is done, and give back the count. What is no known command changes nothing."""
    count: int | float = 0
    while True:
        match await ctx.ref_id("main"):
            case {"type": "fetchAndAdd", "arg": int() | float() as more, "reply": reply} if more >= 0:
                ctx.output_json(REPLIES, {"reply": reply, "value": count})
                count += more
            case {"type": "fetchAndAdd", "arg": int() | float(), "reply": reply}:
                ctx.output_json(REPLIES, {"reply": reply, "error": "Argument must not be negative"})
            case {"type": "done"}:
                return count


workflows = [counter]
