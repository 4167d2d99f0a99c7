"""``holdfast doctor``: looks for what is usually wrong, and says for each what to do."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from email.utils import parsedate_to_datetime

import requests
import typer

from app.cli.client import Client, CommandError, Status
from app.cli.command import Session, connected
from app.cli.show import table
from app.finding import Finding

__all__ = ["install"]

_SKEW_SECONDS = 5.0
_SLOW_SECONDS = 1.0


def install(program: typer.Typer) -> None:
    """Add the command."""
    connected(program, "doctor")(doctor)


def doctor(session: Session) -> None:
    """Check a service, its store and its sidecar, and say for each thing that is wrong what to do."""
    findings = list(_findings(session.client))
    rows = [[one.check, one.verdict, _line(one)] for one in findings]
    session.show({"items": [asdict(one) for one in findings]}, lambda: table(["CHECK", "VERDICT", "FOUND"], rows))
    if any(one.verdict == "wrong" for one in findings):
        is_away = (findings[0].check, findings[0].verdict) == ("reachable", "wrong")
        raise typer.Exit(Status.UNREACHABLE if is_away else Status.FAILED)


def _line(one: Finding) -> str:
    if not one.advice:
        return one.found
    if one.found.endswith("?"):
        return f"{one.found} {one.advice[0].upper()}{one.advice[1:]}"
    return f"{one.found}: {one.advice}"


def _findings(client: Client) -> Iterator[Finding]:
    """Check one thing after the other, as far as that makes sense."""
    began = time.monotonic()
    try:
        answer = client.request("GET", "/livez")
    except CommandError as error:
        yield Finding("reachable", "wrong", str(error), "start it by `holdfast serve`, or point --address at it")
        yield from _from_here()
        return
    seconds = time.monotonic() - began
    yield _liveness(answer, seconds)
    yield _clock(answer)
    yield _readiness(client.request("GET", "/readyz"))
    yield from _inside(client)


def _liveness(answer: requests.Response, seconds: float) -> Finding:
    if not answer.ok:
        return Finding(
            "alive", "wrong", f"/livez answers {answer.status_code}", "restart it; its log names the workflow"
        )
    if seconds > _SLOW_SECONDS:
        advice = "the machine is overloaded, or workflow code computes for long"
        return Finding("reachable", "warning", f"it took {seconds:.1f} s to answer", advice)
    return Finding("reachable", "ok", f"it answers within {seconds * 1000:.0f} ms")


def _clock(answer: requests.Response) -> Finding:
    try:
        apart = abs(time.time() - parsedate_to_datetime(answer.headers["Date"]).timestamp())
    except (KeyError, ValueError):
        return Finding("clock", "warning", "the answer has no Date", "is this a Holdfast service?")
    if apart > _SKEW_SECONDS:
        return Finding(
            "clock", "warning", f"the clocks are {apart:.0f} s apart", "timers follow the service's: use NTP"
        )
    return Finding("clock", "ok", "the clocks agree")


def _readiness(answer: requests.Response) -> Finding:
    try:
        body = answer.json()
    except ValueError:
        return Finding("ready", "wrong", "/readyz does not answer as a Holdfast service", "check --address")
    if not answer.ok:
        return Finding("ready", "wrong", str(body.get("detail")), "see the service's log; the store may be away")
    return Finding("ready", "ok", "it takes work")


def _inside(client: Client) -> Iterator[Finding]:
    """Check what takes a token."""
    try:
        findings = client.call("GET", "/v1/diagnosis")["findings"]
    except CommandError as error:
        advice = "set HOLDFAST_TOKEN to the service's own" if error.code == "unauthorized" else ""
        yield Finding("token", "wrong", str(error), advice)
        return
    yield Finding("token", "ok", "the service lets us in")
    for each in findings:
        yield Finding(**each)


def _from_here() -> Iterator[Finding]:
    """Look for what may keep the service from starting, with the settings of this environment."""
    # A command that only asks a service must not need to load one.
    from app.diagnosis.inside import check_tokens  # noqa: PLC0415
    from app.diagnosis.sidecar import check_sidecar, needs_sidecar  # noqa: PLC0415
    from app.diagnosis.store import check_store  # noqa: PLC0415
    from app.errors import StartupError  # noqa: PLC0415
    from app.settings import load_settings  # noqa: PLC0415

    try:
        settings = load_settings()
    except StartupError as error:
        yield Finding("settings", "wrong", str(error), "the service would not start with the settings of this shell")
        return
    yield from check_store(settings)
    yield from check_tokens(settings, 0)
    if needs_sidecar(settings):
        yield from check_sidecar(settings, serves=False)
