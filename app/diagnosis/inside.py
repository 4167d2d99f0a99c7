"""Checks of the service by itself: store, clock, tokens, workflows, and runs that need somebody."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from app.finding import Finding
from app.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.settings import Settings
    from holdfast import Engine
    from holdfast.ports import Capabilities

__all__ = ["Facts", "check_inside", "check_tokens", "gather"]

_CLOCK_BACK: Final = timedelta(minutes=1)
_NEED_SOMEBODY: Final = {
    "stalled": "`holdfast workflow show ID` says why; deploy code that fits, then `workflow resume ID`",
    "corrupt": "`holdfast workflow show ID` says why; restore the store, or `workflow purge ID`",
}


class Facts(NamedTuple):
    """What the engine knows.

    Attributes:
        capabilities: Of the store.
        workflows: The names of those that are loaded.
        examples: A run of each status that needs somebody.
        ahead: How far the newest run was started in what is the future now.
        held: How many messages wait.
        dead: How many messages have found no run, as far as they are kept.
    """

    capabilities: Capabilities
    workflows: list[str]
    examples: dict[str, str]
    ahead: timedelta
    held: int
    dead: bool


async def gather(engine: Engine) -> Facts:
    """Ask the engine."""
    examples = {}
    for status in _NEED_SOMEBODY:
        page = await engine.list(status=status, limit=1)
        if page.items:
            examples[status] = page.items[0].workflow_id
    newest = (await engine.list(limit=1)).items
    ahead = newest[0].created_at - engine.now() if newest else timedelta()
    dead = bool((await engine.dead_letters(limit=1)).items)
    names = sorted({definition.name for definition in engine.definitions()})
    return Facts(engine.capabilities, names, examples, ahead, engine.stats().held, dead)


def check_inside(facts: Facts, store: str) -> Iterator[Finding]:
    """Check what the engine knows of itself."""
    yield from _store(facts.capabilities, store)
    if facts.ahead > _CLOCK_BACK:
        found = f"the newest run began {facts.ahead} from now: the clock was set back"
        yield Finding("clock of the service", "wrong", found, "mend the clock: timers follow it")
    if facts.workflows:
        yield Finding("workflows", "ok", ", ".join(facts.workflows))
    else:
        yield Finding("workflows", "warning", "none are loaded", "start it with HOLDFAST_WORKFLOWS=module,module")
    for status, example in facts.examples.items():
        yield Finding(status, "warning", f"runs are {status}, such as {example}", _NEED_SOMEBODY[status])
    if facts.dead:
        yield Finding("dead letters", "warning", "messages have found no run", "see `holdfast dead-letter list`")
    if facts.held:
        found = (
            f"{counted(facts.held, 'message')} held: for runs that have not begun, or behind a number that is missing"
        )
        yield Finding("held messages", "warning", found, "see `holdfast held`")


def _store(capabilities: Capabilities, store: str) -> Iterator[Finding]:
    if not capabilities.durable:
        advice = "set HOLDFAST_STORE=sqlite:///path/to/file.db for runs that survive a restart"
        yield Finding("store", "warning", f"runs are kept in {store}, and forgotten with it", advice)
    elif capabilities.guard == "none":
        advice = "let one process alone use it, or choose another: docs/reference/stores.md"
        yield Finding("store", "warning", "nothing keeps a second process from writing over the runs", advice)
    else:
        yield Finding("store", "ok", f"{store}: durable, guarded by {capabilities.guard}")


def check_tokens(settings: Settings, refused: int) -> Iterator[Finding]:
    """Check the tokens between the service and its sidecar.

    Args:
        settings: Of the service.
        refused: How many callbacks had a wrong token, since one had the right one last.
    """
    secrets: dict[str, Any] = {
        "APP_API_TOKEN_FILE": (settings.app_api_token, settings.app_api_token_file),
        "DAPR_API_TOKEN_FILE": (settings.dapr_api_token, settings.dapr_api_token_file),
    }
    for name, (value, file) in secrets.items():
        if value is None and file is not None and not _is_readable(file):
            yield Finding(
                "token file", "wrong", f"{name}: {file} cannot be read", "mount the secret, and let us read it"
            )
    if refused:
        found = (
            f"{counted(refused, 'call')} of the sidecar had another token than APP_API_TOKEN, and none since the right"
        )
        yield Finding("callback token", "wrong", found, "give the sidecar and the service the same, and restart both")
    if not settings.sidecar_callback_token().is_set and not settings.address.is_loopback:
        found = "the sidecar's routes can be reached from other machines by whoever passes for this one"
        yield Finding("callback token", "warning", found, "set APP_API_TOKEN for the sidecar and the service")


def _is_readable(file: Any) -> bool:  # noqa: ANN401 - a path
    try:
        return bool(file.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):
        return False
