"""Commands about recorded histories: exporting one, and replaying it against code on this machine."""

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.client import CommandError, Status, path_of
from app.cli.command import Session, connected, ends_well
from app.cli.inputs import RunId, WorkflowId
from app.cli.running import commands
from app.cli.show import as_json
from app.errors import StartupError
from app.modules import load_functions
from app.text import visible
from holdfast import HoldfastError, NondeterminismError
from holdfast.testing import load_history, replay

__all__: list[str] = []


@connected(commands, "export")
def export(
    session: Session,
    id: WorkflowId,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it; - for standard output.")],
    *,
    run_id: RunId = None,
) -> None:
    """Write the history of a run as JSON, for `workflow replay` and `holdfast.testing.replay`."""
    found = session.client.call("GET", path_of("runs", id, "history"), query={"run_id": run_id})
    text = as_json({"events": found["events"]})
    if str(file) == "-":
        typer.echo(text)
        return
    try:
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandError(Status.USAGE, f"{file} cannot be written: {error.strerror}") from error
    answer = {"id": id, "file": str(file), "events": len(found["events"])}
    session.show(answer, lambda: f"{len(found['events'])} events of {id} are in {file}")


@commands.command("replay")
def replay_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A history that `workflow export` wrote.")],
    workflow: Annotated[str, typer.Option(help="The workflow's code: module:function.", metavar="MODULE:FUNCTION")],
) -> None:
    """Replay a history against the code on this machine, and say where they do not fit."""
    with ends_well():
        function, activities = _load(workflow)
        try:
            history = load_history(file)
            outcome = replay(function, history, activities=activities)
        except NondeterminismError as error:
            typer.echo(f"holdfast: {visible(str(error))}", err=True)
            raise typer.Exit(Status.FAILED) from None
        except (OSError, ValueError, TypeError, HoldfastError) as error:
            raise CommandError(Status.USAGE, f"{file} cannot be replayed: {visible(str(error))}") from error
        typer.echo(f"the code fits all {len(history)} events; at their end the run is {outcome}")


def _load(target: str) -> tuple[Any, list[Any]]:
    """Import a workflow function, and find the activities beside it."""
    module, _, name = target.partition(":")
    if not module or not name:
        raise CommandError(Status.USAGE, f"{target!r} is not module:function")
    sys.path.insert(0, str(Path.cwd()))
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise CommandError(Status.USAGE, f"{target} cannot be loaded: {error}") from error
    try:
        return function, load_functions([module]).activities
    except StartupError:  # bare functions, which need no decorator
        return function, []
