"""Workflows of the corpus that publish: in branches, in handlers, while they clean up, run after run."""

import asyncio
from typing import Any

from holdfast import UndeclaredTopicError, WorkflowContext, workflow
from tests.laws.activities import ACTIVITIES, echo
from tests.laws.case import Case, Deed, cancel, case, signal, update
from tests.play import Anything, Code


@workflow(outputs=["parcels", "letters"])
async def announces(ctx: WorkflowContext) -> list[Any]:
    """Publish every form of value, from tasks that run side by side."""

    async def ship(number: int) -> Anything:
        ctx.output_json("parcels", {"number": number, "at": ctx.now().isoformat()}, key=f"p{number}")
        answer = await ctx.execute_activity(echo, number)
        ctx.output("letters", f"{answer} is on its way")
        await ctx.sleep(number)
        ctx.output("letters", bytes([255, number]))
        return answer

    answers = await asyncio.gather(*(ship(number) for number in range(4)))
    ctx.output("letters", "x" * 3_000)
    try:
        ctx.output("undeclared", "never")
    except UndeclaredTopicError as error:
        answers.append(error.topic)
    return answers


@workflow(outputs=["log"])
async def publishes_when_told(ctx: WorkflowContext) -> int:
    """Publish in handlers, for signals, and while cleaning up."""
    done = 0

    async def note(text: str) -> int:
        nonlocal done
        ctx.output("log", text)
        done += 1
        await ctx.execute_activity(echo, text)
        ctx.output("log", f"{text}, noted", key="notes")
        return done

    ctx.set_update_handler("note", note)
    try:
        async for text in ctx.signal_channel("log"):
            ctx.output("log", text)
            done += 1
    except asyncio.CancelledError:
        ctx.output_json("log", {"canceled_after": done})
        raise
    return done


@workflow(outputs=["numbers"])
async def publishing_chain(ctx: WorkflowContext, number: int = 0) -> int:
    ctx.output_json("numbers", number)
    await ctx.sleep(1)
    ctx.output_json("numbers", number + 1)
    return ctx.continue_as_new(number + 2) if number < 4 else number


def of(code: Code, *deeds: Deed, **options: Anything) -> Case:
    return case(code, *deeds, activities=ACTIVITIES, **options)


CASES = (
    of(announces),
    of(
        publishes_when_told,
        signal(1, "log", "one"),
        update(1, "note", "two"),
        signal(2, "log", "three"),
        update(4, "note", "four"),
        cancel(6),
    ),
    of(publishing_chain, input=0),
)
