"""Logs in which one request is one line whatever is in it."""

import json
import logging
import sys
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from app import logs
from app.settings import Settings
from tests.service.kit import start


@pytest.fixture
def configured(client: FlaskClient) -> Iterator[None]:  # the application ends later, and logs that
    """Leave logging as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in list(root.handlers):
        root.removeHandler(handler)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(capture=False)


EVIL = "a\r\nb\x1b[31mc\x00\u2028d\x85e"


@pytest.mark.usefixtures("configured")
def test_a_line_of_the_log_is_a_json_object_whatever_is_in_it(
    client: FlaskClient, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(Settings(store="memory:", log_format="json"))

    client.get(f"/v1/runs/{EVIL}", headers={"X-Request-ID": "mine"})
    more = {"run_id": EVIL, "attempt": 3, "event": "timer_fired", "level": "odd"}
    logging.getLogger("anybody").warning("said %s", EVIL, extra=more)
    try:
        1 / 0  # noqa: B018 - to have a traceback
    except ZeroDivisionError:
        logging.getLogger("anybody").exception("failed")

    lines = capsys.readouterr().out.splitlines()
    request, said, failed = [json.loads(line) for line in lines if "anybody" in line or "holdfast.http" in line]
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert request["message"].startswith("GET /v1/runs/a")
    assert request["message"].endswith(" 400")
    assert request["method"] == "GET"
    assert request["status"] == 400
    assert request["request_id"] == "mine"
    assert request["level"] == "info"
    assert said["message"] == f"said {EVIL}"
    assert (said["run_id"], said["attempt"], said["event"], said["level"]) == (EVIL, 3, "timer_fired", "warning")
    assert "ZeroDivisionError" in failed["exception"]


@pytest.mark.usefixtures("configured")
def test_a_line_for_a_person_is_one_line_too(client: FlaskClient, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(store="memory:", log_format="console"))

    client.get(f"/v1/runs/{EVIL}")
    logging.getLogger("anybody").warning("said %s", EVIL, extra={"run_id": EVIL})

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all("\x1b[31m" not in line and "\x00" not in line for line in lines)


@pytest.mark.usefixtures("configured")
def test_requests_about_health_are_logged_only_where_they_fail(
    client: FlaskClient, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(Settings(store="memory:", log_format="json"))

    client.get("/livez")
    client.get("/metrics")

    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("configured")
def test_payloads_and_query_strings_are_not_logged(client: FlaskClient, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(store="memory:", log_format="json", log_level="debug"))

    start(client, "echo", "echo-1", "canary-1")
    client.get("/v1/runs?q=canary-2")
    client.post("/v1/runs/echo-1/signals/go", json="canary-3", headers={"Authorization": "Bearer canary-4"})

    assert "canary" not in capsys.readouterr().out


@pytest.mark.usefixtures("configured")
def test_the_format_follows_where_the_log_goes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.configure(Settings(store="memory:"))
    logging.getLogger("anybody").info("to a pipe")
    piped = capsys.readouterr().out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    logs.configure(Settings(store="memory:"))
    logging.getLogger("anybody").info("to a terminal")
    shown = capsys.readouterr().out

    assert json.loads(piped)["message"] == "to a pipe"
    assert "to a terminal" in shown
    assert not shown.startswith("{")
