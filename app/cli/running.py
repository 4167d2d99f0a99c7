"""Commands that start runs, look at them and follow them."""

from typing import Annotated, Any

import typer

from app.cli.client import path_of
from app.cli.command import Session, connected, group
from app.cli.following import Follower, event_line, exit_status, seconds_of, show_started
from app.cli.inputs import Input, InputFile, Key, RunId, Wait, WaitLimit, WorkflowId, read_input
from app.cli.show import as_json, clock, error_words, event_words, form, short, status, table
from app.text import visible

__all__ = ["commands"]

commands = group("Start runs, look at them, talk to them, control them.")


@connected(commands, "start")
def start(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The workflow; `holdfast definition list` lists them.")],
    *,
    id: Annotated[str | None, typer.Option(help="The workflow id; by default one is made.")] = None,
    input: Input = None,
    input_file: InputFile = None,
    run_timeout: Annotated[str | None, typer.Option(help="The longest the run may take.")] = None,
    on_conflict: Annotated[
        str, typer.Option(help="Where the id belongs to an open run: fail, use_existing or terminate_existing.")
    ] = "fail",
    key: Key = None,
    wait: Wait = False,
    timeout: WaitLimit = None,
) -> None:
    """Start a run, and wait for its end if asked to."""
    limit = seconds_of(timeout)
    body = {"id": id, "input": read_input(input, input_file), "timeout": run_timeout, "on_conflict": on_conflict}
    started = session.client.call("POST", path_of("workflows", name, "runs"), body=body, key=key)
    show_started(session, started, limit, waits=wait)


@connected(commands, "list")
def list_runs(
    session: Session,
    *,
    status_is: Annotated[str | None, typer.Option("--status", help="Only runs that stand so.")] = None,
    workflow: Annotated[str | None, typer.Option(help="Only runs of this workflow.")] = None,
    query: Annotated[
        str | None,
        typer.Option("--query", "-q", help="key=value for a search attribute, a bare word for part of the id."),
    ] = None,
    limit: Annotated[int, typer.Option(help="The most to list.", min=1, max=1_000)] = 50,
    cursor: Annotated[str | None, typer.Option(help="Where the page before ended.")] = None,
) -> None:
    """List runs, the newest first."""
    filters = {"status": status_is, "workflow": workflow, "q": query, "limit": limit, "cursor": cursor}
    page = session.client.call("GET", "/v1/runs", query=filters)
    session.show(page, lambda: _runs_table(page))


def _runs_table(page: dict[str, Any]) -> str:
    rows = [
        [run["id"], visible(run["workflow"]), status(run["status"]), clock(run["created_at"]), _attributes(run)]
        for run in page["items"]
    ]
    text = table(["ID", "WORKFLOW", "STATUS", "CREATED", "ATTRIBUTES"], rows)
    if not rows:
        return "no runs"
    return text if page["next_cursor"] is None else f"{text}\nthere are more: --cursor {page['next_cursor']}"


def _attributes(run: dict[str, Any]) -> str:
    return " ".join(f"{visible(name)}={short(value)}" for name, value in run["attributes"].items())


@connected(commands, "show")
def show(session: Session, id: WorkflowId, *, run_id: RunId = None) -> None:
    """Show a run, and what it waits for."""
    run = session.client.call("GET", path_of("runs", id), query={"run_id": run_id})
    session.show(run, lambda: _run_form(run))


def _run_form(run: dict[str, Any]) -> str:
    fields = {
        "id": run["id"],
        "run": run["run_id"],
        "workflow": visible(f"{run['workflow']} (version {run['version']})"),
        "status": status(run["status"]),
        "created": clock(run["created_at"]),
        "updated": clock(run["updated_at"]),
        "finished": clock(run["finished_at"]),
        "attributes": _attributes(run) or "-",
        "input": short(run["input"], 2_000),
    }
    if run["status"] == "completed":
        fields["result"] = short(run["result"], 2_000)
    if run["error"] is not None:
        fields["error"] = error_words(run["error"])
    if run.get("trace_id"):
        fields["trace"] = run["trace_id"]
    if run["waiting_for"]:
        fields["waits for"] = "\n".join(visible(words) for words in run["waiting_for"])
    return form(fields)


@connected(commands, "history")
def history(session: Session, id: WorkflowId, *, run_id: RunId = None) -> None:
    """Show the events of a run."""
    found = session.client.call("GET", path_of("runs", id, "history"), query={"run_id": run_id})
    headings = ["NO", "TIME", "EVENT", "NAME", "VALUE"]
    session.show(found, lambda: table(headings, [event_words(event) for event in found["events"]]))


@connected(commands, "watch")
def watch(session: Session, id: WorkflowId, *, timeout: WaitLimit = None) -> None:
    """Show the events of a run as they happen, and what it waits for, until it ends."""
    follower = Follower(session.client, id, seconds_of(timeout))

    def tell(run: dict[str, Any]) -> None:
        for words in [] if session.wants_json else run["waiting_for"]:
            typer.echo(f"{'':21}... {run['status']}, waits for {short(words, 200)}")

    for event in follower.events(tell):
        typer.echo(as_json(event) if session.wants_json else event_line(event))
    run = follower.run()
    if not session.wants_json:
        typer.echo(f"{id} is {status(run['status'])}")
    raise typer.Exit(exit_status(run))
