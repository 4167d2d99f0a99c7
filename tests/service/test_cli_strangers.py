"""The command line before servers that are none of ours, or are in trouble: it says what it found, and what to do."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from app.cli.program import program

Answer = tuple[int, str, str]
PAGE: Answer = (200, "text/html", "<h1>It works!</h1>")
BAD_GATEWAY: Answer = (502, "text/html", "<h1>Bad Gateway</h1>")
WELL: dict[str, Any] = {
    "/livez": {"status": "alive"},
    "/readyz": {"status": "ready", "store": "sqlite"},
    "/v1/diagnosis": {"findings": [{"check": "workflows", "verdict": "ok", "found": "order", "advice": ""}]},
}


def as_json(body: object, status: int = 200) -> Answer:
    return status, "application/json", json.dumps(body)


class Stranger(ThreadingHTTPServer):
    """Answers each request as it is told to.

    Attributes:
        answer: Gives status, content type and body for a path.
        date: What every answer says the time is.
    """

    answer: Callable[[str], Answer]
    date: str = formatdate(usegmt=True)

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = lambda _path: PAGE

    def says(self, answers: Mapping[str, object], **changes: Answer) -> None:
        """Answer as a well service does, with some changes, by the last word of the path."""

        def answer(path: str) -> Answer:
            plain = path.partition("?")[0]
            changed = changes.get(plain.rpartition("/")[2])
            return changed if changed is not None else as_json(answers[plain])

        self.answer = answer


class _Handler(BaseHTTPRequestHandler):
    server: Stranger

    def do_GET(self) -> None:
        status, kind, body = self.server.answer(self.path)
        self.send_response_only(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), ("Date", self.server.date)):
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    with Stranger() as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield server
        server.shutdown()
        serving.join()


def ask(server: Stranger, *words: str) -> Result:
    return CliRunner().invoke(program, [*words, "--address", f"127.0.0.1:{server.server_address[1]}"])


@pytest.mark.parametrize(
    ("answer", "text"),
    [(PAGE, "does not answer as a Holdfast service"), (BAD_GATEWAY, "answered 502, not as a Holdfast service")],
)
def test_an_answer_of_some_other_server_exits_with_5(stranger: Stranger, answer: Answer, text: str) -> None:
    stranger.answer = lambda _path: answer

    result = ask(stranger, "workflow", "list")

    assert result.exit_code == 5
    assert text in result.stderr
    assert "Traceback" not in result.output


def test_the_doctor_knows_a_server_that_is_no_service(stranger: Stranger) -> None:
    stranger.date = ""

    result = ask(stranger, "doctor")

    assert result.exit_code == 1
    assert "/readyz does not answer as a Holdfast service" in result.stdout
    assert "the answer has no Date" in result.stdout


def test_the_doctor_knows_a_service_that_is_stuck_or_not_ready(stranger: Stranger) -> None:
    stranger.says(WELL, livez=as_json({}, 503), readyz=as_json({"detail": "the store does not answer"}, 503))

    result = ask(stranger, "doctor")

    assert result.exit_code == 1
    assert "/livez answers 503" in result.stdout
    assert "restart it" in result.stdout
    assert "the store does not answer" in result.stdout


def test_the_doctor_sees_clocks_that_are_apart(stranger: Stranger) -> None:
    stranger.date = formatdate(1_000_000_000, usegmt=True)
    stranger.says(WELL)

    result = ask(stranger, "doctor")

    assert result.exit_code == 0
    assert "use NTP" in result.stdout


def test_the_doctor_names_a_run_that_needs_somebody(stranger: Stranger) -> None:
    finding = {"check": "stalled", "verdict": "warning", "found": "runs are stalled, such as order-7", "advice": "look"}
    stranger.says(WELL, diagnosis=as_json({"findings": [finding]}))

    result = ask(stranger, "doctor")

    assert result.exit_code == 0
    assert "runs are stalled, such as order-7: look" in result.stdout
