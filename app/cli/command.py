"""Commands that talk to the service: the options that all of them have, and how they end."""

import functools
import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import typer

from app.cli.client import Client, CommandError, Status
from app.cli.show import as_json

__all__ = ["Output", "Session", "connected", "ends_well", "group"]


class Output(StrEnum):
    """The forms of an answer."""

    TABLE = "table"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Session:
    """What a command works with: the service, and the form that its answer is wanted in."""

    client: Client
    output: Output

    @property
    def wants_json(self) -> bool:
        """Whether a program reads the answer."""
        return self.output is Output.JSON

    def show(self, answer: object, words: Callable[[], str]) -> None:
        """Print an answer: as it is, or in words."""
        typer.echo(as_json(answer) if self.wants_json else words())


_OPTIONS: dict[str, tuple[Any, Any]] = {
    "address": (
        Annotated[str, typer.Option(envvar="HOLDFAST_ADDRESS", help="Where the service is: host:port, or a URL.")],
        "127.0.0.1:8000",
    ),
    "token": (
        Annotated[
            str | None,
            typer.Option(envvar="HOLDFAST_TOKEN", show_envvar=True, help="What the service wants to be shown."),
        ],
        None,
    ),
    "output": (Annotated[Output, typer.Option("--output", "-o", help="The form of the answer.")], Output.TABLE),
}


def group(words: str) -> typer.Typer:
    """Make a group of commands."""
    return typer.Typer(help=words, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


def connected(commands: typer.Typer, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add a command whose first parameter is the `Session`; it gets the options that make one."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(function)
        own = list(signature.parameters.values())[1:]
        keyword = inspect.Parameter.KEYWORD_ONLY
        common = [
            inspect.Parameter(option, keyword, default=default, annotation=annotation)
            for option, (annotation, default) in _OPTIONS.items()
        ]

        @functools.wraps(function)
        def command(**given: Any) -> None:  # noqa: ANN401 - the options of the command
            with ends_well():
                client = Client(given.pop("address"), given.pop("token"))
                function(Session(client, given.pop("output")), **given)

        command.__signature__ = signature.replace(  # type: ignore[attr-defined]  # read by inspect, and by typer
            parameters=[*(each.replace(kind=keyword) for each in own), *common]
        )
        command.__annotations__ = {each.name: each.annotation for each in [*own, *common]}
        commands.command(name)(command)
        return function

    return register


class ends_well:  # noqa: N801 - it is used as a statement
    """Turns what can go wrong in a command into a sentence and an exit status."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Say what went wrong, and exit with what that means."""
        if isinstance(error, CommandError):
            typer.echo(f"holdfast: {error}", err=True)
            raise typer.Exit(error.status) from None
        if isinstance(error, KeyboardInterrupt):
            raise typer.Exit(Status.INTERRUPTED) from None
        if isinstance(error, BrokenPipeError):  # whoever read the answer has had enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(Status.OK) from None
