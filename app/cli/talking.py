"""Commands that talk to runs and control them."""

from typing import Annotated, Any

import typer

from app.cli.client import path_of
from app.cli.command import Session, connected
from app.cli.following import seconds_of, show_started
from app.cli.inputs import Input, InputFile, Key, Reason, Wait, WaitLimit, WorkflowId, read_input
from app.cli.running import commands
from app.cli.show import as_json, status

__all__: list[str] = []

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the signal, query or update.")]


@connected(commands, "signal")
def signal(
    session: Session, id: WorkflowId, name: Name, *, input: Input = None, input_file: InputFile = None, key: Key = None
) -> None:
    """Send a signal; it is durable once this returns."""
    payload = read_input(input, input_file)
    answer = session.client.call("POST", path_of("runs", id, "signals", name), body=payload, key=key)
    session.show(answer, lambda: f"{id} has signal {name!r}")


@connected(commands, "query")
def query(session: Session, id: WorkflowId, name: Name, *, input: Input = None, input_file: InputFile = None) -> None:
    """Ask a run for a view of itself: status, result, stack, or a query of its own."""
    text = None if input is None and input_file is None else as_json(read_input(input, input_file))
    answer = session.client.call("GET", path_of("runs", id, "queries", name), query={"input": text})
    session.show(answer, lambda: as_json(answer["result"]))


@connected(commands, "update")
def update(
    session: Session, id: WorkflowId, name: Name, *, input: Input = None, input_file: InputFile = None, key: Key = None
) -> None:
    """Ask a run for a validated change, and show its reply."""
    payload = read_input(input, input_file)
    answer = session.client.call("POST", path_of("runs", id, "updates", name), body=payload, key=key)
    later = f"no reply yet; ask again with --key {answer['update_id']}"
    session.show(answer, lambda: as_json(answer["result"]) if "result" in answer else later)


def _control(session: Session, id: str, action: str, reason: str) -> None:
    run = session.client.call("POST", path_of("runs", id, action), body={"reason": reason})
    session.show(run, lambda: f"{id} is {status(run['status'])}")


@connected(commands, "cancel")
def cancel(session: Session, id: WorkflowId, *, reason: Reason = "") -> None:
    """Ask a run to cancel; its clean-up still runs."""
    _control(session, id, "cancel", reason)


@connected(commands, "terminate")
def terminate(session: Session, id: WorkflowId, *, reason: Reason = "") -> None:
    """End a run here and now, without its clean-up."""
    _control(session, id, "terminate", reason)


@connected(commands, "pause")
def pause(session: Session, id: WorkflowId, *, reason: Reason = "") -> None:
    """Let a run do nothing until it is resumed."""
    _control(session, id, "pause", reason)


@connected(commands, "resume")
def resume(session: Session, id: WorkflowId, *, reason: Reason = "") -> None:
    """Let a paused run go on, or try whether a stalled one can."""
    _control(session, id, "resume", reason)


@connected(commands, "rerun")
def rerun(
    session: Session,
    id: WorkflowId,
    *,
    from_event: Annotated[int, typer.Option(help="The last event of the history to keep.", min=1)] = 1,
    reason: Reason = "",
    wait: Wait = False,
    timeout: WaitLimit = None,
) -> None:
    """Run a run that has ended again."""
    limit = seconds_of(timeout)
    body: dict[str, Any] = {"reason": reason, "from_event": from_event}
    started = session.client.call("POST", path_of("runs", id, "rerun"), body=body)
    show_started(session, started, limit, waits=wait)


@connected(commands, "purge")
def purge(
    session: Session,
    id: WorkflowId,
    *,
    reason: Reason = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a run that has ended, with its history and all runs before it."""
    if not yes:
        typer.confirm(f"delete {id}, its history and all runs before it?", abort=True, err=True)
    session.client.call("DELETE", path_of("runs", id), query={"reason": reason or None})
    session.show({"id": id, "purged": True}, lambda: f"{id} is purged")
