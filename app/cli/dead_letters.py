"""Commands about messages from topics: those that found no run, and those that still wait for one."""

from typing import Annotated, Any

import typer

from app.cli.client import path_of
from app.cli.command import Session, connected, group
from app.cli.show import as_json, clock, form, short, table
from app.text import visible

__all__ = ["commands", "install"]

commands = group("Messages from topics that found no run.")

Number = Annotated[int, typer.Argument(metavar="NUMBER", help="Of the dead letter.", min=1)]
Limit = Annotated[int, typer.Option("--limit", help="The most to show.", min=1, max=1_000)]


@connected(commands, "list")
def list_dead_letters(
    session: Session,
    *,
    limit: Limit = 50,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Where the page before ended.")] = None,
) -> None:
    """List messages that found no run, the newest first, each with the reason."""
    page = session.client.call("GET", "/v1/dead-letters", query={"limit": limit, "cursor": cursor})
    session.show(page, lambda: _page(page))


def _page(page: dict[str, Any]) -> str:
    if not page["items"]:
        return "no message is without a run"
    rows = [
        [str(one["number"]), clock(one["at"]), short(one["topic"], 30), one["workflow_id"] or "-", short(one["reason"])]
        for one in page["items"]
    ]
    more = f"\nmore: --cursor {page['next_cursor']}" if page["next_cursor"] else ""
    return table(["NO", "TIME", "TOPIC", "RUN", "REASON"], rows) + more


@connected(commands, "show")
def show(session: Session, number: Number) -> None:
    """Show a message that found no run, with its content."""
    one = session.client.call("GET", path_of("dead-letters", str(number)))
    shown = {name.replace("_", " "): visible(str(value)) or "-" for name, value in one.items() if name != "value"}
    session.show(one, lambda: form({**shown, "at": clock(one["at"]), "value": as_json(one["value"])}))


@connected(commands, "replay")
def replay(session: Session, number: Number) -> None:
    """Deliver a message again, as what it was."""
    found = session.client.call("POST", path_of("dead-letters", str(number), "replay"))
    session.show(found, lambda: f"dead letter {number} is {found['delivery']}")


@connected(commands, "drop")
def drop(session: Session, number: Number) -> None:
    """Delete a message that found no run."""
    session.client.call("DELETE", path_of("dead-letters", str(number)))
    session.show({"number": number}, lambda: f"dead letter {number} is dropped")


def install(program: typer.Typer) -> None:
    """Add the commands."""
    program.add_typer(commands, name="dead-letter")
    connected(program, "held")(held)


def held(session: Session, *, limit: Limit = 50) -> None:
    """List messages that wait for their run to begin, or for those before them."""
    found = session.client.call("GET", "/v1/held-messages", query={"limit": limit})
    rows = [
        [clock(one["at"]), one["workflow_id"], short(one["signal"], 30), clock(one["expires_at"]), short(one["reason"])]
        for one in found["items"]
    ]
    heads = ["TIME", "RUN", "SIGNAL", "UNTIL", "REASON"]
    session.show(found, lambda: table(heads, rows) if rows else "no message waits")
