"""The doctor finds each fault that is seeded, by name, and says what to do about it.

The sidecar here is a stand-in that answers over real HTTP; tests/integration asks a real one.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response
from typer.testing import CliRunner, Result
from werkzeug.serving import make_server

from app.cli.program import program
from app.sidecar.probe import Redelivery, RetryProbe
from holdfast import RunStatus
from holdfast.ports import Capabilities
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.service.cli_kit import data
from tests.service.kit import application, process, service_of, start, waits_for

WELL: dict[str, Any] = {
    "id": "holdfast",
    "runtimeVersion": "1.18.1",
    "components": [
        {"name": "statestore", "type": "state.redis", "version": "v1", "capabilities": ["ETAG", "TRANSACTIONAL"]},
        {"name": "pubsub", "type": "pubsub.redis", "version": "v1", "capabilities": []},
    ],
    "subscriptions": [
        {"pubsubname": "pubsub", "topic": topic} for topic in ("workflow-signals", "workflow-resume", "holdfast-probe")
    ],
    "appConnectionProperties": {"port": 8000, "protocol": "http", "channelAddress": "127.0.0.1"},
}


class StandIn:
    """Answers as a sidecar does.

    Attributes:
        metadata: What it says it has loaded.
        status: With which status it answers.
    """

    def __init__(self) -> None:
        self.metadata = dict(WELL)
        self.status = 200
        app = Flask("sidecar")
        app.add_url_rule("/v1.0/metadata", view_func=self._metadata)
        self._server = make_server("127.0.0.1", 0, app, threaded=True)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def _metadata(self) -> Response | dict[str, Any]:
        return self.metadata if self.status == 200 else Response("no", status=self.status)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def sidecar(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    stand_in = StandIn()
    monkeypatch.setenv("DAPR_HTTP_PORT", str(stand_in.port))
    yield stand_in
    stand_in.close()


@contextmanager
def service(**settings: Anything) -> Iterator[tuple[Flask, Callable[[], list[dict[str, str]]]]]:
    """An application whose sidecar has asked for its topics, and what it finds of itself."""
    with application(**{"address": "127.0.0.1:8000", **settings}) as app:
        probe: RetryProbe = app.extensions["holdfast.probe"]
        probe.found["pubsub"] = Redelivery.KEPT
        client = app.test_client()
        yield app, lambda: client.get("/v1/diagnosis").get_json()["findings"]


def faults(findings: list[dict[str, str]], besides: str = "store") -> dict[str, str]:
    """What is not well, but for the store in memory that these tests use."""
    found = {each["check"]: each["found"] for each in findings if each["verdict"] != "ok" and each["check"] != besides}
    assert all(each["advice"] for each in findings if each["verdict"] != "ok"), findings
    return found


def test_a_service_beside_a_well_sidecar_has_no_fault(sidecar: StandIn) -> None:
    with service() as (_, diagnose):
        assert faults(diagnose()) == {}


class Unguarded(MemoryStore):
    """What a server is that keeps nobody out."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, durable=True, guard="none")


def test_a_store_that_keeps_no_second_process_out_is_pointed_out(sidecar: StandIn) -> None:
    with service(store=Unguarded()) as (_, diagnose):
        findings = {each["check"]: each for each in diagnose()}

    assert findings["store"]["found"] == "nothing keeps a second process from writing over the runs"
    assert "docs/reference/stores.md" in findings["store"]["advice"]


SIDECAR_FAULTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "an old runtime": ({"runtimeVersion": "1.16.1"}, "sidecar", "1.16.1"),
    "no pub/sub component": ({"components": WELL["components"][:1]}, "pub/sub component", "there is no 'pubsub'"),
    "no port to call": ({"appConnectionProperties": {}}, "callbacks", "calls nobody"),
    "another port": ({"appConnectionProperties": {"port": 9, "protocol": "http"}}, "callbacks", "calls port 9"),
    "gRPC": ({"appConnectionProperties": {"port": 8000, "protocol": "grpc"}}, "callbacks", "by grpc"),
    "health checks": (
        {"appConnectionProperties": {"port": 8000, "protocol": "http", "health": {"healthThreshold": 3}}},
        "app health check",
        "checks the health",
    ),
    "no subscriptions": ({"subscriptions": []}, "subscriptions", "workflow-signals"),
}


def test_a_topic_that_is_subscribed_to_in_both_ways_is_found(sidecar: StandIn) -> None:
    asked = [{**each, "type": "PROGRAMMATIC"} for each in WELL["subscriptions"]]
    sidecar.metadata["subscriptions"] = [*asked, {**asked[0], "type": "DECLARATIVE"}]

    with service() as (_, diagnose):
        found = faults(diagnose())

    assert list(found) == ["subscriptions twice"]
    assert "asks for workflow-signals, and" in found["subscriptions twice"]


@pytest.mark.parametrize("name", SIDECAR_FAULTS)
def test_a_fault_of_the_sidecar_is_found(sidecar: StandIn, name: str) -> None:
    changes, check, words = SIDECAR_FAULTS[name]
    sidecar.metadata.update(changes)

    with service() as (_, diagnose):
        found = faults(diagnose())

    assert list(found) == [check]
    assert words in found[check]


@pytest.mark.parametrize(("status", "check"), [(401, "sidecar token"), (403, "sidecar API"), (500, "sidecar")])
def test_a_sidecar_that_will_not_tell_is_found(sidecar: StandIn, status: int, check: str) -> None:
    sidecar.status = status

    with service() as (_, diagnose):
        assert list(faults(diagnose())) == [check]


def test_a_sidecar_that_is_away_is_found(sidecar: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAPR_HTTP_PORT", "1")

    with service() as (_, diagnose):
        assert "none answers" in faults(diagnose())["sidecar"]


def test_messages_that_would_be_lost_are_found(sidecar: StandIn) -> None:
    with service() as (app, diagnose):
        app.extensions["holdfast.probe"].found["pubsub"] = Redelivery.LOST
        assert "loses messages" in faults(diagnose())["redelivery"]
        assert app.test_client().get("/readyz").get_json()["code"] == "no_redelivery"


@pytest.mark.parametrize(
    ("known", "words"), [(Redelivery.CHECKING, "on its way"), (Redelivery.UNKNOWN, "has not brought a probe")]
)
def test_before_there_is_a_verdict_on_redelivery_it_is_not_known_yet(
    sidecar: StandIn, known: Redelivery, words: str
) -> None:
    with service() as (app, diagnose):
        app.extensions["holdfast.probe"].found["pubsub"] = known
        found = faults(diagnose())["redelivery"]

    assert "is not known yet" in found
    assert words in found


def test_without_a_sidecar_nothing_is_said_of_redelivery() -> None:
    with application() as app:
        findings = app.test_client().get("/v1/diagnosis").get_json()["findings"]

    assert "redelivery" not in {each["check"] for each in findings}


def test_a_sidecar_with_another_callback_token_is_found(sidecar: StandIn) -> None:
    with service(app_api_token="ours") as (app, diagnose):
        app.test_client().get("/dapr/subscribe", headers={"dapr-api-token": "theirs"})
        assert "1 call of the sidecar" in faults(diagnose())["callback token"]


def test_a_callback_that_was_refused_before_the_token_was_rotated_is_no_fault(sidecar: StandIn, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old", encoding="utf-8")
    with service(app_api_token_file=file) as (app, diagnose):
        client = app.test_client()
        for _ in range(2):
            client.get("/dapr/subscribe", headers={"dapr-api-token": "newer"})
        assert "2 calls of the sidecar" in faults(diagnose())["callback token"]
        file.write_text("newer", encoding="utf-8")

        client.get("/dapr/config", headers={"dapr-api-token": "newer"})

        assert "callback token" not in faults(diagnose())
        client.get("/dapr/config", headers={"dapr-api-token": "old"})
        assert "1 call of" in faults(diagnose())["callback token"]


def test_a_token_file_that_cannot_be_read_is_found(sidecar: StandIn, tmp_path: Path) -> None:
    with service(dapr_api_token_file=tmp_path / "missing") as (_, diagnose):
        assert "DAPR_API_TOKEN_FILE" in faults(diagnose())["token file"]


def test_callbacks_that_strangers_can_reach_are_found(sidecar: StandIn) -> None:
    with application(address="0.0.0.0:8000", token="t") as app:
        answer = app.test_client().get("/v1/diagnosis", headers={"Authorization": "Bearer t"})
        assert "other machines" in faults(answer.get_json()["findings"])["callback token"]


def test_messages_without_a_run_and_messages_that_wait_are_found(sidecar: StandIn) -> None:
    with service() as (app, diagnose):
        client = app.test_client()
        client.post("/dapr/pubsub/workflow-signals", json={"workflow_id": "later", "signal": "n"})
        client.post("/dapr/pubsub/workflow-signals", json={})

        found = faults(diagnose())

    assert "1 message held" in found["held messages"]
    assert "no run" in found["dead letters"]


def test_a_run_that_is_stalled_is_found(sidecar: StandIn) -> None:
    with service() as (app, diagnose):
        client = app.test_client()
        start(client, "order", "order-1", {"sku": "A1"})
        waits_for(client, "order-1", "signal 'approval'")
        engine = service_of(app)._thread.engine  # type: ignore[union-attr]  # noqa: SLF001 - no code of ours is fickle
        engine._parts.index.show_as("order-1", RunStatus.STALLED)  # noqa: SLF001
        assert "order-1" in faults(diagnose())["stalled"]


# Where the service does not start, the command looks from where it is run.


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    def run(**environment: str) -> Result:
        words = ["doctor", "--address", "127.0.0.1:1", "-o", "json"]
        return CliRunner().invoke(program, words, env=environment)

    return run


def test_a_state_component_that_is_missing_or_guards_nothing_is_found_without_the_service(
    sidecar: StandIn, doctor: Callable[..., Result]
) -> None:
    missing = data(doctor(HOLDFAST_STORE="dapr:runs"), 5)["items"]
    assert "no state component 'runs'; loaded are: statestore" in faults(missing)["state component"]

    sidecar.metadata["components"] = [{"name": "runs", "type": "state.memcached", "version": "v1", "capabilities": []}]
    unguarded = data(doctor(HOLDFAST_STORE="dapr:runs"), 5)["items"]
    assert "has no ETAG and no TRANSACTIONAL" in faults(unguarded)["state component"]

    sidecar.metadata["components"] = [
        {"name": "runs", "type": "state.in-memory", "version": "v1", "capabilities": ["ETAG", "TRANSACTIONAL"]}
    ]
    forgetful = data(doctor(HOLDFAST_STORE="dapr:runs"), 5)["items"]
    assert "forgets all" in faults(forgetful)["state component"]


def test_a_setting_that_is_not_right_is_found_without_the_service(doctor: Callable[..., Result]) -> None:
    found = faults(data(doctor(HOLDFAST_STORE="memory:", HOLDFAST_THREADS="0"), 5)["items"])

    assert "HOLDFAST_THREADS" in found["settings"]
    assert "reachable" in found


@pytest.mark.parametrize(
    ("store", "words"),
    [
        ("redis://me:s3cr3t@a:1", "HOLDFAST_STORE: unknown store 'redis://***@a:1'; known: memory:, "),
        ("kafka://localhost/runs", "HOLDFAST_STORE: 'kafka://localhost/runs': the port of 'localhost' is missing"),
    ],
)
def test_a_store_that_cannot_be_made_is_found_without_the_service(
    store: str, words: str, doctor: Callable[..., Result]
) -> None:
    result = doctor(HOLDFAST_STORE=store)

    assert words in faults(data(result, 5)["items"], "reachable")["store"]
    assert "s3cr3t" not in result.output


@pytest.mark.parametrize("store", ["kafka://{}/runs", "nats://me:s3cr3t@{}", "inngest+http://{}"])
def test_the_server_of_a_store_is_looked_for_without_the_service(store: str, doctor: Callable[..., Result]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        there = doctor(HOLDFAST_STORE=store.format(address))
    gone = doctor(HOLDFAST_STORE=store.format(address))

    assert "store server" not in faults(data(there, 5)["items"])
    assert f"{address} can be reached" in there.output
    assert f"answers at {address} (Connection refused)" in faults(data(gone, 5)["items"])["store server"]
    assert "s3cr3t" not in there.output + gone.output


def test_while_the_service_is_down_its_sidecar_is_not_to_be_restarted(
    sidecar: StandIn, doctor: Callable[..., Result]
) -> None:
    sidecar.metadata["subscriptions"] = []

    result = doctor(HOLDFAST_STORE="dapr:statestore")

    assert list(faults(data(result, 5)["items"])) == ["reachable"]


def test_a_wrong_token_is_told_from_none() -> None:
    with application(token="right") as app:
        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            words = ["doctor", "--address", f"127.0.0.1:{server.server_port}", "-o", "json"]
            given = {
                token: faults(data(CliRunner().invoke(program, [*words, "--token", token]), 1)["items"])["token"]
                for token in ("", "wrong")
            }
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    assert "wants a token" in given[""]
    assert "does not know this token" in given["wrong"]


def test_what_a_person_reads_is_one_sentence_after_the_other() -> None:
    shown = " ".join(CliRunner().invoke(program, ["doctor", "--address", "127.0.0.1:1"]).output.split())

    assert "is --address right? Start it by `holdfast serve`" in shown


def test_a_service_that_is_there_is_asked_itself(sidecar: StandIn, tmp_path: Path) -> None:
    with process(tmp_path) as running:
        running.ready()
        result = CliRunner().invoke(program, ["doctor", "--address", running.url, "-o", "json"])

    found = {each["check"]: each["verdict"] for each in data(result)["items"]}
    assert found.pop("redelivery") == "warning"  # the stand-in brings no probe
    assert set(found.values()) == {"ok"}
