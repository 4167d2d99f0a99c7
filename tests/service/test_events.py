"""Events as they happen: all of them, in order, resumed without a gap, and no more streams than there is room for."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from app.streams import follow
from tests.service.kit import application, ended, fields, problem, service_of, start, until, waits_for

Message = dict[str, Any]


@contextmanager
def stream(client: FlaskClient, workflow_id: str, after: int | None = None) -> Iterator[Iterator[Message]]:
    """Open a stream, and give its messages one by one, comments left out."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    response = client.get(f"/v1/runs/{workflow_id}/events", headers=headers)
    assert response.status_code == 200
    assert response.mimetype == "text/event-stream"
    try:
        yield messages(response.iter_encoded())
    finally:
        response.close()


def messages(chunks: Iterator[bytes]) -> Iterator[Message]:
    for chunk in chunks:
        lines = dict(line.split(": ", 1) for line in chunk.decode().splitlines() if line and not line.startswith(":"))
        if "data" in lines:
            yield {**lines, "data": json.loads(lines["data"])}


def test_a_stream_gives_what_has_happened_and_what_happens_and_ends_with_the_run(client: FlaskClient) -> None:
    start(client, "order", "order-1", {"sku": "A1"})
    waits_for(client, "order-1", "signal")

    with stream(client, "order-1") as events:
        before = [next(events) for _ in range(4)]
        client.post("/v1/runs/order-1/signals/approval", json="yes")
        after = list(events)

    assert [event["id"] for event in before + after[:-1]] == ["1", "2", "3", "4", "5", "6"]
    assert after[0]["data"]["type"] == "signal_received"
    assert after[0]["data"]["value"] == "yes"
    assert after[-1] == {"event": "end", "data": {"status": "completed"}}
    history = client.get("/v1/runs/order-1/history").get_json()["events"]
    assert [event["data"] for event in before + after[:-1]] == history


def test_a_stream_is_resumed_at_any_place_without_a_gap(client: FlaskClient) -> None:
    start(client, "order", "order-1", {"sku": "A1"})
    client.post("/v1/runs/order-1/signals/approval")
    ended(client, "order-1")

    for after in range(6):
        with stream(client, "order-1", after) as events:
            found = [int(event["id"]) for event in events if "id" in event]
        assert found == list(range(after + 1, 7))


def test_a_stream_cut_while_events_keep_coming_loses_none(app: Flask) -> None:
    client = app.test_client()
    start(client, "order", "order-1", {"sku": "A1"})

    def send() -> None:
        for number in range(40):
            app.test_client().post("/v1/runs/order-1/signals/note", json=number)
        app.test_client().post("/v1/runs/order-1/signals/approval")

    sender = threading.Thread(target=send)
    sender.start()
    seen: list[int] = []
    notes: list[int] = []
    is_over = False
    while not is_over:
        with stream(client, "order-1", seen[-1] if seen else None) as events:
            for event in events:
                if event.get("event") == "end":
                    is_over = True
                    break
                seen.append(int(event["id"]))
                if event["data"]["name"] == "note":
                    notes.append(event["data"]["value"])
                if len(seen) % 5 == 0:
                    break
    sender.join()

    assert seen == list(range(1, len(seen) + 1))
    assert notes == list(range(40))


def test_who_has_seen_all_of_a_finished_run_is_told_to_stop(client: FlaskClient) -> None:
    start(client, "quick", "done")
    events = ended(client, "done") and client.get("/v1/runs/done/history").get_json()["events"]

    response = client.get("/v1/runs/done/events", headers={"Last-Event-ID": str(len(events))})

    assert response.status_code == 204


def test_a_number_of_an_earlier_run_begins_at_the_start(client: FlaskClient) -> None:
    start(client, "quick", "done")
    ended(client, "done")

    with stream(client, "done", 1_000) as events:
        assert next(events)["id"] == "1"


def test_a_stream_ends_with_a_run_that_continues_as_new(client: FlaskClient) -> None:
    start(client, "counts", "counts-1", 1)
    waits_for(client, "counts-1", "signal")

    with stream(client, "counts-1") as events:
        next(events)
        client.post("/v1/runs/counts-1/signals/next")
        found = list(events)

    assert found[-1]["data"] == {"status": "continued_as_new"}


def test_the_last_event_id_must_be_a_number(client: FlaskClient) -> None:
    start(client, "quick", "done")

    for header in ("one", "-1", "1.5", "9" * 10, "٣"):
        response = client.get("/v1/runs/done/events", headers={"Last-Event-ID": header.encode().decode("latin-1")})
        assert fields(problem(response, 422, "invalid")) == ["Last-Event-ID"]


def test_asking_only_for_the_head_of_a_stream_takes_no_place() -> None:
    with application(threads=2) as app:
        client = app.test_client()
        start(client, "naps", "naps-1")

        for _ in range(3):
            assert client.head("/v1/runs/naps-1/events").status_code == 200


def test_where_nothing_happens_the_stream_beats(app: Flask) -> None:
    start(app.test_client(), "naps", "naps-1")
    waits_for(app.test_client(), "naps-1", "timer")

    events = follow(service_of(app), "naps-1", 2, beat_seconds=0.01)

    assert [next(events) for _ in range(3)] == [None, None, None]
    events.close()  # type: ignore[attr-defined]  # it is a generator


def test_half_the_threads_are_kept_from_those_who_wait() -> None:
    with application(threads=4) as app:
        client = app.test_client()
        start(client, "naps", "naps-1")

        with stream(client, "naps-1") as first, stream(client, "naps-1") as second:
            next(first), next(second)
            third = client.get("/v1/runs/naps-1/events")
            waiting = client.post("/v1/workflows/quick/runs?wait=1s")
            update = client.post("/v1/runs/naps-1/updates/any")
            plain = client.post("/v1/workflows/quick/runs")

        for each in (third, waiting, update):
            problem(each, 503, "busy")
            assert each.headers["Retry-After"] == "5"
        assert plain.status_code == 201
        assert len(client.get("/v1/runs").get_json()["items"]) == 2
        with stream(client, "naps-1") as again:
            next(again)


def test_streams_let_their_places_go_when_their_clients_leave() -> None:
    with application(threads=2) as app:
        client = app.test_client()
        start(client, "naps", "naps-1")

        for _ in range(5):
            with stream(client, "naps-1") as events:
                next(events)


def test_a_drain_ends_streams_and_waits() -> None:
    with application(threads=8) as app:
        client = app.test_client()
        start(client, "naps", "naps-1")
        found: list[Message] = []
        answers: list[int] = []

        def read() -> None:
            with stream(app.test_client(), "naps-1") as events:
                found.extend(events)

        def wait() -> None:
            response = app.test_client().post("/v1/workflows/naps/runs?wait=60s", json={"id": "naps-2"})
            answers.append(response.status_code)

        threads = [threading.Thread(target=read), threading.Thread(target=wait)]
        for thread in threads:
            thread.start()
        until(lambda: len(found) == 2 and client.get("/v1/runs/naps-2").status_code == 200)
        service_of(app).begin_drain()
        for thread in threads:
            thread.join(10)

        assert not any(thread.is_alive() for thread in threads)
        assert [message["id"] for message in found] == ["1", "2"]
        assert answers == [201]
        problem(client.get("/v1/runs"), 503, "not_ready")
