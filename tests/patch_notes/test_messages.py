"""Cases about messages: what the sidecar brings while a service lives, and while it is told to end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient

from app.factory import create_app
from app.settings import Settings
from holdfast import EngineThread
from holdfast.stores import MemoryStore
from tests.patch_notes.flows import inbox
from tests.play import Anything
from tests.service.kit import Process, process, until

SIGNALS = "/dapr/pubsub/workflow-signals"
APP_TOKEN = "the-token-of-the-app"
FLOWS = "tests.patch_notes.flows"
PAUSE_SECONDS = 0.02


def event(number: int, **fields: Anything) -> dict[str, Any]:
    """A CloudEvent that signals a number to the run ``inbox``."""
    own = {"specversion": "1.0", "id": f"e{number}", "source": "shop", "type": "t"}
    return {**own, "workflowid": "inbox", "signalname": "n", "data": number, **fields}


def batch(*events: dict[str, Any]) -> dict[str, Any]:
    """What the sidecar sends; the entries are named by their places."""
    form = {"contentType": "application/cloudevents+json", "metadata": None}
    return {"id": "b", "entries": [{"entryId": str(place), "event": each, **form} for place, each in enumerate(events)]}


def statuses(body: dict[str, Any]) -> list[str]:
    """The statuses of an answer, by the places of the entries."""
    found = {each["entryId"]: each["status"] for each in body["statuses"]}
    return [found[str(place)] for place in range(len(found))]


@pytest.fixture
def client() -> Iterator[FlaskClient]:
    """A service in which the run ``inbox`` waits."""
    with EngineThread(MemoryStore(), workflows=[inbox], drain=0.2) as thread:
        thread.start(inbox, id="inbox")
        yield create_app(Settings(store="memory:"), thread).test_client()


def taken(client: FlaskClient) -> list[int]:
    found: list[int] = client.get("/v1/runs/inbox/queries/taken").get_json()["result"]
    return found


def test_02_every_callback_of_the_sidecar_has_to_bring_the_app_token(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("APP_API_TOKEN", APP_TOKEN)
    client: FlaskClient = request.getfixturevalue("client")
    right = {"dapr-api-token": APP_TOKEN}
    wrong = [
        {},
        {"dapr-api-token": ""},
        {"dapr-api-token": f"{APP_TOKEN}x"},
        {"dapr-api-token": APP_TOKEN[:-1]},
        {"Authorization": f"Bearer {APP_TOKEN}"},
        {"dapr-api-token-": APP_TOKEN},
    ]
    rules = [rule for rule in client.application.url_map.iter_rules() if rule.rule.startswith("/dapr")]
    routes = [(method, rule.rule) for rule in rules for method in sorted(rule.methods or ())]
    assert ("POST", "/dapr/pubsub/<path:topic>") in routes

    for method, rule in routes:
        path, body = rule.replace("<path:topic>", "workflow-signals"), batch(event(1))
        for headers in wrong:
            assert client.open(path, method=method, json=body, headers=headers).status_code == 401, (method, path)
        invoked = {**right, "dapr-caller-app-id": "another"}
        assert client.open(path, method=method, json=body, headers=invoked).status_code == 403, (method, path)
    assert taken(client) == []
    for method, rule in routes:
        path = rule.replace("<path:topic>", "workflow-signals")
        assert client.open(path, method=method, json=batch(event(2)), headers=right).status_code == 200, (method, path)
    until(lambda: taken(client) == [2])


ODD_TEXTS = ["", "00", "\u00e4", "x" * 9_000, "\x00"]
ODD_TRACES: list[Any] = [42, -1.5, True, False, None, 2**63 - 1, [], {}, [[]], [1, "00"], {"a": "00"}, *ODD_TEXTS]
TRACE_FIELDS = ("traceparent", "tracestate", "traceid", "tracingspanid", "baggage", "tracing")


def test_23_trace_fields_of_any_json_type_in_a_cloud_event_cost_no_signal(client: FlaskClient) -> None:
    events = [
        event(number, **{field: odd})
        for number, (field, odd) in enumerate((field, odd) for field in TRACE_FIELDS for odd in ODD_TRACES)
    ]
    answer = client.post(SIGNALS, json=batch(*events))

    assert (answer.status_code, statuses(answer.get_json())) == (200, ["SUCCESS"] * len(events))
    until(lambda: len(taken(client)) >= len(events))
    assert sorted(taken(client)) == list(range(len(events)))
    assert client.get("/v1/dead-letters").get_json()["items"] == []
    history = client.get("/v1/runs/inbox/history").get_json()["events"]
    assert [each["value"] for each in history if each["type"] == "signal_received"] == taken(client)


class Sender:
    """Stands for the sidecar: brings messages, and remembers which of them were taken.

    Attributes:
        taken: The numbers that were answered with ``SUCCESS``.
        refused: Those that were not, or got no answer, and are to come again.
    """

    def __init__(self, service: Process) -> None:
        self.taken: set[int] = set()
        self.refused: set[int] = set()
        self._service = service
        self._lock = threading.Lock()
        self._own = threading.local()

    def bring(self, *numbers: int) -> list[str]:
        """Bring a batch, as each thread does on a connection of its own; ``""`` stands for no answer."""
        if not hasattr(self._own, "session"):
            self._own.session = requests.Session()
        body = batch(*(event(number) for number in numbers))
        try:
            answer = self._own.session.post(self._service.url + SIGNALS, json=body, timeout=30)
            found = statuses(answer.json()) if answer.status_code == 200 else [""] * len(numbers)
        except requests.RequestException:
            found = [""] * len(numbers)
        with self._lock:
            for number, status in zip(numbers, found, strict=True):
                (self.taken if status == "SUCCESS" else self.refused).add(number)
        return found

    def check_after_restart(self, folder: Path) -> None:
        """Start the service again and bring what was refused once more: then all of it was applied, and once."""
        with process(folder, workflows=FLOWS) as again:
            again.ready()
            assert set(self._applied(again)) >= self.taken, "it was said to be durable"
            for path in ("/v1/dead-letters", "/v1/held-messages"):
                assert again.request("GET", path).json()["items"] == []
            sender = Sender(again)
            sender.bring(*sorted(self.refused))
            assert sender.refused == set()
            everything = sorted(self.taken | self.refused)
            until(lambda: sorted(self._applied(again)) == everything)
            assert again.request("GET", "/v1/dead-letters").json()["items"] == []

    @staticmethod
    def _applied(service: Process) -> list[int]:
        found: list[int] = service.request("GET", "/v1/runs/inbox/queries/taken").json()["result"]
        return found


def begin(service: Process, workflow: str, input: object = None) -> None:
    answer = service.request("POST", f"/v1/workflows/{workflow}/runs", json={"id": workflow, "input": input})
    assert answer.status_code == 201, answer.text


@pytest.mark.slow
def test_04_messages_that_come_while_the_service_shuts_down_are_dead_lettered_nowhere_and_come_again(
    tmp_path: Path,
) -> None:
    with process(tmp_path, workflows=FLOWS, drain="10s") as service:
        service.ready()
        begin(service, "inbox")
        begin(service, "works", 2.0)  # which keeps the service from ending at once
        sender = Sender(service)
        assert sender.bring(*range(10)) == ["SUCCESS"] * 10
        service.send(signal.SIGTERM)
        said, number = set(), 10
        while not service.has_ended:
            said.update(sender.bring(number, number + 1))
            number += 2
            threading.Event().wait(PAUSE_SECONDS)
        assert service.exit_status() == 0
    assert said <= {"SUCCESS", "RETRY", ""}
    assert sender.refused, "it should have been brought messages while it ended"
    sender.check_after_restart(tmp_path)


@pytest.mark.slow
def test_10_a_delivery_in_flight_at_sigterm_is_acknowledged_if_it_is_durable_and_comes_again_if_not(
    tmp_path: Path,
) -> None:
    size, senders = 50, 6
    with process(tmp_path, workflows=FLOWS, drain="10s") as service:
        service.ready()
        begin(service, "inbox")
        sender = Sender(service)
        in_flight, told = threading.Semaphore(0), threading.Event()

        def bring_until_it_ends(first: int) -> int:
            """Bring batches until the service is gone, and count those on their way when it was told to end."""
            crossed, number = 0, first
            while not service.has_ended:
                was_told = told.is_set()
                in_flight.release()
                sender.bring(*range(number, number + size))
                crossed += not was_told and told.is_set()
                number += size
                if was_told:
                    threading.Event().wait(PAUSE_SECONDS)
            return crossed

        with ThreadPoolExecutor(senders) as pool:
            running = [pool.submit(bring_until_it_ends, 1_000_000 * place) for place in range(senders)]
            for _ in range(5 * senders):
                assert in_flight.acquire(timeout=30)
            told.set()
            service.send(signal.SIGTERM)
            crossed = sum(each.result() for each in running)
        assert service.exit_status() == 0
    assert crossed
    assert sender.taken
    sender.check_after_restart(tmp_path)
