"""Values that commands take: JSON from an option, a file or standard input."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.client import CommandError, Status

__all__ = ["Input", "InputFile", "Key", "Reason", "RunId", "Wait", "WaitLimit", "WorkflowId", "read_input"]

Input = Annotated[str | None, typer.Option("--input", "-i", help="A JSON value.", metavar="JSON")]
InputFile = Annotated[Path | None, typer.Option(help="A file that holds the JSON value; - for standard input.")]
Key = Annotated[str | None, typer.Option(help="Names this request: sent again under that name it is done once.")]
Reason = Annotated[str, typer.Option(help="Why; it is recorded.")]
RunId = Annotated[str | None, typer.Option(help="An earlier run of the id.")]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Wait until the run ends.")]
WaitLimit = Annotated[str | None, typer.Option("--timeout", help="Wait no longer than this: 30s, 5m, 1h.")]
WorkflowId = Annotated[str, typer.Argument(metavar="ID", help="The workflow id.")]


def read_input(text: str | None, file: Path | None, default: object = None) -> Any:  # noqa: ANN401 - any JSON value
    """Read the value that a command was given.

    Raises:
        CommandError: It is not JSON, the file cannot be read, or there are two of them.
    """
    if text is not None and file is not None:
        raise CommandError(Status.USAGE, "give --input or --input-file, not both")
    if file is not None:
        try:
            text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(Status.USAGE, f"{file} cannot be read: {error}") from error
    if text is None:
        return default
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        hint = " (a text has quotes of its own: --input '\"text\"')" if file is None else ""
        raise CommandError(Status.USAGE, f"the input is not JSON: {error}{hint}") from error
