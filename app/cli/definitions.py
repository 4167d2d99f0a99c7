"""Commands about the workflows that a service can run."""

from typing import Annotated, Any

import typer

from app.cli.client import CommandError, Status
from app.cli.command import Session, connected, group
from app.cli.show import as_json, form, table
from app.text import visible

__all__ = ["commands"]

commands = group("The workflows that can be started.")


@connected(commands, "list")
def list_definitions(session: Session) -> None:
    """List the workflows that can be started."""
    found = session.client.call("GET", "/v1/workflows")

    def words() -> str:
        if not found["items"]:
            return "no workflows are loaded: set HOLDFAST_WORKFLOWS=module,module where the service starts"
        rows = [[visible(one["name"]), visible(one["version"]), _first_line(one)] for one in found["items"]]
        return table(["WORKFLOW", "VERSION", "DOES"], rows)

    session.show(found, words)


@connected(commands, "show")
def show(session: Session, name: Annotated[str, typer.Argument(metavar="NAME", help="The workflow.")]) -> None:
    """Show a workflow, and the schema of its input."""
    items = session.client.call("GET", "/v1/workflows")["items"]
    found = [one for one in items if one["name"] == name]
    if not found:
        known = ", ".join(one["name"] for one in items) or "none"
        raise CommandError(Status.NOT_FOUND, f"no workflow {name!r} is loaded; known: {visible(known)}")
    session.show({"items": found}, lambda: "\n\n".join(_definition_form(one) for one in found))


def _definition_form(one: dict[str, Any]) -> str:
    newest = " (new runs get this one)" if one["newest"] else ""
    return form(
        {
            "workflow": visible(one["name"]),
            "version": visible(one["version"]) + newest,
            "does": "\n".join(visible(line) for line in one["doc"].splitlines()) or "-",
            "input": as_json(one["input_schema"]) if one["takes_input"] else "none",
            "outputs": ", ".join(visible(topic) for topic in one["outputs"]) or "none",
        }
    )


def _first_line(one: dict[str, Any]) -> str:
    return visible(one["doc"].splitlines()[0]) if one["doc"] else ""
