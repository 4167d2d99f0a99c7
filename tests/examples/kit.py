"""What the tests of the examples share: their input, and whether a finished run replays."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from holdfast import RunStatus
from holdfast.testing import TestEnvironment, load_history, replay, save_history

DATA = Path(__file__).parents[2] / "examples" / "data"


def read(name: str, **changes: object) -> dict[str, Any]:
    """The input that the README starts an example with."""
    value: dict[str, Any] = json.loads((DATA / name).read_text(encoding="utf-8"))
    return value | changes


async def replays(
    environment: TestEnvironment, workflow: Callable[..., Awaitable[Any]], workflow_id: str, folder: Path
) -> RunStatus:
    """Record the history of a run, and run the workflow's code against the record."""
    save_history(folder / "history.json", await environment.engine.history(workflow_id))
    assert load_history(folder / "history.json")
    return replay(workflow, folder / "history.json")
