"""What the tests of the command line share: a way to run a command, and to check what it said."""

import json
from collections.abc import Callable
from typing import Any

from typer.testing import Result

Command = Callable[..., Result]


def said(result: Result, status: int = 0) -> str:
    """Check what a command exits with, and give what it wrote to standard output."""
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    return result.stdout


def data(result: Result, status: int = 0) -> Any:  # noqa: ANN401 - any JSON value
    return json.loads(said(result, status))
