"""The program: its groups of commands, and the ones that stand alone."""

import importlib.metadata
import sys
from typing import Annotated

import typer

from app.cli import bench, dead_letters, definitions, doctor, histories, running, talking
from app.cli.client import Status
from app.cli.command import group

__all__ = ["main", "program"]

_LOADED = (histories, talking)  # their commands join those of `running`

program = group("Durable workflows: serve them, and talk to a service that does.")
program.add_typer(running.commands, name="workflow")
program.add_typer(definitions.commands, name="definition")
dead_letters.install(program)
doctor.install(program)
bench.install(program)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        typer.echo(f"holdfast {importlib.metadata.version('holdfast')}")
        raise typer.Exit


@program.callback()
def options(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Durable workflows: serve them, and talk to a service that does."""


@program.command("serve")
def serve() -> None:
    """Serve workflows over HTTP; the settings are environment variables (HOLDFAST_STORE, HOLDFAST_WORKFLOWS, ...)."""
    # A command that only asks a service must not need to load one.
    from app.errors import StartupError  # noqa: PLC0415
    from app.server import serve as serve_settings  # noqa: PLC0415
    from app.settings import load_settings, misspelt  # noqa: PLC0415

    for name, meant in misspelt().items():
        typer.echo(f"holdfast: {name} is not a setting; did you mean {meant}?", err=True)
    try:
        status = serve_settings(load_settings())
    except StartupError as error:
        typer.echo(f"holdfast: cannot start: {error}", err=True)
        status = Status.FAILED
    sys.stdout.flush()
    raise typer.Exit(status)


def main() -> None:
    """Run the program."""
    program()
