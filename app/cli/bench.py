"""``holdfast bench``: how fast a service is, seen from here."""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import typer

from app.cli.client import Client, CommandError, Status, path_of
from app.cli.command import Session, connected
from app.cli.inputs import Input, InputFile, read_input
from app.cli.show import form

__all__ = ["install"]

_WAIT = "60s"


def install(program: typer.Typer) -> None:
    """Add the command."""
    connected(program, "bench")(bench)


def bench(
    session: Session,
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="A workflow that ends without help.")],
    *,
    input: Input = None,
    input_file: InputFile = None,
    runs: Annotated[int, typer.Option(help="How many runs to start.", min=1, max=100_000)] = 200,
    at_a_time: Annotated[
        int, typer.Option(help="How many at a time; a service waits for half its threads.", min=1)
    ] = 8,
) -> None:
    """Start runs of a workflow over HTTP, wait for each, and say how long that took.

    It measures this client, HTTP, the engine, its store and the workflow together, and leaves the runs behind. For the
    engine alone: python -m bench.run.
    """
    body = {"input": read_input(input, input_file)}
    _run_one(session.client, workflow, body)
    began = time.perf_counter()
    with ThreadPoolExecutor(at_a_time) as threads:
        seconds = list(threads.map(lambda _: _run_one(session.client, workflow, body), range(runs)))
    wall = time.perf_counter() - began
    figures = {
        "workflow": workflow,
        "runs": runs,
        "at_a_time": at_a_time,
        "wall_s": round(wall, 3),
        "runs_per_s": round(runs / wall, 1),
        "p50_ms": round(statistics.median(seconds) * 1000, 2),
        "p99_ms": round(sorted(seconds)[min(runs - 1, int(0.99 * runs))] * 1000, 2),
    }
    session.show(figures, lambda: form({name: str(value) for name, value in figures.items()}))


def _run_one(client: Client, workflow: str, body: dict[str, Any]) -> float:
    began = time.perf_counter()
    run = client.call("POST", path_of("workflows", workflow, "runs"), query={"wait": _WAIT}, body=body)
    if run["status"] != "completed":
        raise CommandError(Status.FAILED, f"run {run['id']} is {run['status']}: the figures would mean nothing")
    return time.perf_counter() - began
