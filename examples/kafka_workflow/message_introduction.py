"""Choose a greeting by messages: questions, changes with an answer, changes that a service must help with, and an end.

All of them are values of one ref, ``main``, which a loop takes one by one; each that wants an answer says under which
name, ``reply``. While ``setLanguageUsingActivity`` waits for the greeting service, nothing else is taken, so no message
sees a change that is half done. What comes in the meantime waits, and is taken in its order afterwards.

Started by a record of ``workflow-resume``: ``new:{}``, and then moved on by such as
``{"ref": "main", "value": {"type": "setLanguage", "language": "CHINESE", "reply": "set-1"}}``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from holdfast import WorkflowContext, workflow

REPLIES = "temporal-message-introduction-reply"
GREETING_SERVICE = "temporal-message-introduction-greeting-service"


class Language(StrEnum):
    """The languages that there are."""

    ARABIC = "ARABIC"
    CHINESE = "CHINESE"
    ENGLISH = "ENGLISH"
    FRENCH = "FRENCH"
    HINDI = "HINDI"
    PORTUGUESE = "PORTUGUESE"
    SPANISH = "SPANISH"


KNOWN: dict[str, str] = {Language.CHINESE: "你好，世界", Language.ENGLISH: "Hello, world"}  # noqa: RUF001 - the comma is Chinese too
"""The greetings that nobody has to be asked for."""


@dataclass
class State:
    """The greetings that are known by now, and the language that is chosen."""

    greetings: dict[str, str] = field(default_factory=KNOWN.copy)
    language: str = Language.ENGLISH


@dataclass(frozen=True)
class Found:
    """What the greeting service answers; without a greeting where it has none."""

    greeting: str | None = None


def publish(ctx: WorkflowContext, reply: str, **said: object) -> None:
    """Answer whoever asked."""
    ctx.output_json(REPLIES, {"reply": reply, **said})


def choose(ctx: WorkflowContext, state: State, language: str, reply: str) -> None:
    """Change the language, and answer with the one before."""
    publish(ctx, reply, value=state.language)
    state.language = language


async def look_up(ctx: WorkflowContext, state: State, language: str) -> bool:
    """Ask the greeting service for a greeting, and say whether it has one."""
    found = ctx.ref("greeting-service", type=Found)
    ctx.output_json(GREETING_SERVICE, {"language": language, "ref": found.id})
    greeting: str | None = (await found).greeting
    if greeting:
        state.greetings[language] = greeting
    return bool(greeting)


async def carry_out(ctx: WorkflowContext, state: State, command: object) -> None:
    """Do what a message says. What is no known command changes nothing."""
    match command:
        case {"type": "getLanguages", "reply": str(reply), **more}:
            publish(ctx, reply, value=list(Language if more.get("includeUnsupported") else KNOWN))
        case {"type": "getLanguage", "reply": str(reply)}:
            publish(ctx, reply, value=state.language)
        case {"type": "setLanguage", "language": str(language), "reply": str(reply)}:
            if language in state.greetings:
                choose(ctx, state, language, reply)
            else:
                publish(ctx, reply, error=f"{language} is not supported")
        case {"type": "setLanguageUsingActivity", "language": str(language), "reply": str(reply)}:
            if language in state.greetings or await look_up(ctx, state, language):
                choose(ctx, state, language, reply)
            else:
                publish(ctx, reply, error=f"{language} is not supported by the greeting service")


@workflow(name="message-introduction", outputs=[REPLIES, GREETING_SERVICE])
async def greeting_workflow(ctx: WorkflowContext, _start: object = None) -> str:
    """Take messages until the greeting is approved, and give it back."""
    state = State()
    while True:
        match await ctx.ref_id("main"):
            case {"type": "approve"}:
                return state.greetings[state.language]
            case command:
                await carry_out(ctx, state, command)


workflows = [greeting_workflow]
