"""What callers are told while the service cannot work: at once, in a form they can act on, and until it can again."""

import asyncio
import threading
import time
from collections.abc import Sequence
from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from app.bootstrap import build_engine
from app.calls import Calls
from app.errors import NotReadyError, StartupError
from app.factory import create_app
from app.service import Service
from app.settings import Settings
from holdfast.ports import ABSENT, Conflict, Write, Written
from holdfast.stores import MemoryStore
from tests.service.kit import Remote, application, engine, problem, service_of, start, until

BODY = {"input": {"sku": "A1"}}
KEY = {"Idempotency-Key": "request-1"}


class Leaving(Remote):
    """A store that goes away when a run is to be written that is not there yet, once it is told to."""

    leaves_at_a_start = False

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        starts = any(write.key.startswith("run:") and write.expected is ABSENT for write in writes)
        if self.leaves_at_a_start and starts:
            self.is_away, self.leaves_at_a_start = True, False
        return await super().write(writes)


def test_while_the_store_is_away_no_request_hangs_and_the_service_recovers_by_itself() -> None:
    store = Leaving()
    with application(store, call_timeout=0.3) as app:
        client = app.test_client()
        start(client, "order", "order-1", {"sku": "A1"})
        store.leaves_at_a_start = True

        began = time.monotonic()
        first = client.post("/v1/workflows/order/runs", json=BODY, headers=KEY)
        assert time.monotonic() - began < 5
        problem(first, 503, "no_answer")
        assert int(first.headers["Retry-After"]) > 0
        for response in (client.get("/v1/runs"), client.post("/v1/runs/order-1/signals/go"), client.get("/readyz")):
            problem(response, 503, "not_ready")
            assert int(response.headers["Retry-After"]) > 0
        assert client.get("/livez").status_code == 200
        assert "holdfast_ready 0.0" in client.get("/metrics").text

        store.is_away = False
        until(lambda: client.get("/readyz").status_code == 200)
        again = client.post("/v1/workflows/order/runs", json=BODY, headers=KEY)
        assert again.status_code == 201
        assert len(client.get("/v1/runs").get_json()["items"]) == 2


def test_an_outage_seen_by_readers_only_is_noticed_to_be_over() -> None:
    store = Remote()
    with application(store, call_timeout=0.3) as app:
        client = app.test_client()
        start(client, "quick", "done")
        until(lambda: client.get("/v1/runs/done").get_json()["status"] == "completed")
        store.is_away = True

        problem(client.get("/v1/runs/done/history"), 503, "no_answer")
        problem(client.get("/readyz"), 503, "not_ready")
        store.is_away = False

        until(lambda: client.get("/readyz").status_code == 200)


def test_before_it_is_open_the_service_is_alive_and_not_ready() -> None:
    client = create_app(Settings(store="memory:")).test_client()

    assert client.get("/livez").status_code == 200
    body = problem(client.get("/readyz"), 503, "not_ready")
    assert body["detail"] == "the service is starting"
    for path in ("/v1/runs", "/v1/workflows", "/v1/runs/a/events"):
        problem(client.get(path), 503, "not_ready")


def test_after_it_is_closed_every_call_is_refused() -> None:
    with application() as app:
        client = app.test_client()
        service_of(app).close()

        problem(client.get("/v1/runs"), 503, "not_ready")
        problem(client.get("/readyz"), 503, "not_ready")
        assert "holdfast_ready 0.0" in client.get("/metrics").text


def test_a_call_that_comes_when_the_engines_loop_has_just_ended_is_refused() -> None:
    loop = asyncio.new_event_loop()
    loop.close()

    with pytest.raises(NotReadyError, match="the service is shutting down"):
        Calls(loop).run(asyncio.sleep(0), 1)


def test_a_service_that_has_lost_the_runs_refuses_work_and_says_so() -> None:
    store = MemoryStore()
    lost: list[bool] = []
    settings = Settings(store="memory:", instance="twin")
    service = Service(settings, lambda _settings, on_fenced: engine(store, instance="twin", on_fenced=on_fenced))
    app = create_app(settings)
    app.extensions["holdfast"] = service
    service.on_fenced = lambda: lost.append(True)
    thread = engine(store, instance="twin", on_fenced=service._fenced)  # noqa: SLF001 - as `open` would
    service.adopt(thread)
    client: FlaskClient = app.test_client()
    start(client, "quick", "quick-1")

    successor = engine(store, instance="twin")
    try:
        response = client.post("/v1/workflows/quick/runs")

        problem(response, 503, "not_ready")
        until(lambda: lost)
        assert service.is_fenced
        assert "taken over" in problem(client.get("/readyz"), 503, "not_ready")["detail"]
        assert client.get("/livez").status_code == 200
    finally:
        service.close()
        successor.close()


def test_workflow_code_that_does_not_yield_makes_calls_end_in_time() -> None:
    with application(call_timeout=0.2) as app:
        client = app.test_client()
        held = threading.Event()
        thread = service_of(app)._thread  # noqa: SLF001 - holds its loop as workflow code could
        assert thread is not None

        async def hold() -> None:
            held.wait(10)

        holder = threading.Thread(target=lambda: thread.run(hold()))
        holder.start()
        try:
            problem(client.get("/v1/runs/any"), 503, "no_answer")
            assert client.get("/livez").status_code == 200
        finally:
            held.set()
            holder.join()


def test_a_damaged_run_is_shown_as_such_and_no_other_is_touched() -> None:
    store = MemoryStore()
    with application(store) as app:
        for id in ("well-1", "damaged-1"):
            start(app.test_client(), "order", id, {"sku": "A1"})
    value, version = store._documents["run:damaged-1"]  # noqa: SLF001 - what a bad disk would do
    store._documents["run:damaged-1"] = (value.replace(b"A1", b"B2"), version)  # noqa: SLF001

    with application(store) as app:
        client = app.test_client()
        run = client.get("/v1/runs/damaged-1").get_json()
        assert run["status"] == "corrupt"
        assert run["error"]["type"] == "CorruptDocumentError"
        for path in ("history", "events"):
            problem(client.get(f"/v1/runs/damaged-1/{path}"), 500, "corrupt")
        problem(client.get("/v1/runs/damaged-1/queries/quantity"), 422, "query_failed")
        problem(client.post("/v1/runs/damaged-1/signals/approval"), 500, "corrupt")
        assert [each["id"] for each in client.get("/v1/runs?status=corrupt").get_json()["items"]] == ["damaged-1"]
        assert client.post("/v1/runs/well-1/signals/approval").status_code == 202
        assert client.get("/readyz").status_code == 200
        assert client.delete("/v1/runs/damaged-1").status_code == 204


@pytest.mark.parametrize("store", ["", "redis://x", "sqlite:", "sqlite:///", "memory", "runs.db"])
def test_a_store_of_no_known_kind_is_a_start_up_error(store: str) -> None:
    service = Service(Settings(store=store), build_engine)

    with pytest.raises(StartupError, match="HOLDFAST_STORE"):
        service.open()


def test_a_service_whose_sidecar_is_away_says_that_it_waits_for_the_sidecar(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("app.service._PATIENCE_SECONDS", 0.0)
    monkeypatch.setenv("DAPR_GRPC_PORT", "1")
    service = Service(Settings(store="dapr:statestore", store_wait=timedelta(seconds=2)), build_engine)

    with pytest.raises(StartupError):
        service.open()

    assert "still waiting for the sidecar to answer" in caplog.text
    assert "store to be free" not in caplog.text
