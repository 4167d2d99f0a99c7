"""``holdfast doctor``: looks for what is usually wrong, and says for each what to do."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime

import requests
import typer

from app.cli.client import Client, CommandError, Status
from app.cli.command import Session, connected
from app.cli.show import table

__all__ = ["install"]

_SKEW_SECONDS = 5.0
_SLOW_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check has found.

    Attributes:
        verdict: ``ok``, ``warning`` or ``wrong``.
        advice: What to do; empty where nothing is to be done.
    """

    check: str
    verdict: str
    found: str
    advice: str = ""


def install(program: typer.Typer) -> None:
    """Add the command."""
    connected(program, "doctor")(doctor)


def doctor(session: Session) -> None:
    """Check a service: reachable, ready, token, clock, workflows, runs that need somebody."""
    findings = list(_findings(session.client))
    rows = [[one.check, one.verdict, f"{one.found}{': ' + one.advice if one.advice else ''}"] for one in findings]
    session.show({"items": [asdict(one) for one in findings]}, lambda: table(["CHECK", "VERDICT", "FOUND"], rows))
    if any(one.verdict == "wrong" for one in findings):
        is_away = (findings[0].check, findings[0].verdict) == ("reachable", "wrong")
        raise typer.Exit(Status.UNREACHABLE if is_away else Status.FAILED)


def _findings(client: Client) -> Iterator[Finding]:
    """Check one thing after the other, as far as that makes sense."""
    began = time.monotonic()
    try:
        answer = client.request("GET", "/livez")
    except CommandError as error:
        yield Finding("reachable", "wrong", str(error), "start it by `holdfast serve`, or point --address at it")
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
    if body.get("store") == "memory":
        advice = "set HOLDFAST_STORE=sqlite:///path/to/file.db for runs that survive a restart"
        return Finding("store", "warning", "runs are kept in memory", advice)
    return Finding("ready", "ok", f"runs are kept in {body.get('store')}, durable")


def _inside(client: Client) -> Iterator[Finding]:
    """Check what takes a token."""
    try:
        definitions = client.call("GET", "/v1/workflows")["items"]
    except CommandError as error:
        advice = "set HOLDFAST_TOKEN to the service's own" if error.code == "unauthorized" else ""
        yield Finding("token", "wrong", str(error), advice)
        return
    yield Finding("token", "ok", "the service lets us in")
    if definitions:
        yield Finding("workflows", "ok", ", ".join(sorted({one["name"] for one in definitions})))
    else:
        yield Finding("workflows", "warning", "none are loaded", "start it with HOLDFAST_WORKFLOWS=module,module")
    for status, advice in {
        "stalled": "`holdfast workflow show ID` says why; deploy code that fits, then `workflow resume ID`",
        "corrupt": "`holdfast workflow show ID` says why; restore the store, or `workflow purge ID`",
    }.items():
        runs = client.call("GET", "/v1/runs", query={"status": status, "limit": 5})["items"]
        if runs:
            yield Finding(status, "warning", f"runs are {status}, such as {runs[0]['id']}", advice)
