"""DaprPublisher over a stand-in of a sidecar: what it asks for, and what it makes of each answer."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import orjson
import pytest
from dapr.proto import api_v1

from holdfast import PublishError
from holdfast.ports import Publisher, Record
from holdfast.publishers.cloud_events import cloud_event
from holdfast.publishers.dapr import DaprPublisher
from holdfast.sidecar import Headers
from tests.unit.dapr_kit import CallError

Code = grpc.StatusCode


class Sidecar:
    """What a sidecar does with events.

    Attributes:
        answers: What a topic's next calls raise or answer; afterwards they go through.
        published: The events of each call that went through, by topic.
    """

    def __init__(self) -> None:
        self.answers: dict[str, list[CallError | list[str]]] = {}
        self.published: list[tuple[str, list[dict[str, Any]]]] = []
        self.requests: list[api_v1.BulkPublishRequest] = []
        self.calls: list[tuple[str, float | None, Headers]] = []
        self.refuses: CallError | None = None

    async def GetMetadata(  # noqa: N802 - the name in the Dapr API
        self,
        request: api_v1.GetMetadataRequest,
        *,
        timeout: float | None = None,
        metadata: Headers = (),
        wait_for_ready: bool | None = None,
    ) -> api_v1.GetMetadataResponse:
        self.calls.append(("GetMetadata", timeout, metadata))
        assert wait_for_ready
        if self.refuses is not None:
            raise self.refuses
        components = [("statestore", "state.redis"), ("pubsub", "pubsub.redis"), ("other", "pubsub.kafka")]
        return api_v1.GetMetadataResponse(
            id="my-app",
            registered_components=[api_v1.RegisteredComponents(name=name, type=kind) for name, kind in components],
        )

    async def BulkPublishEvent(  # noqa: N802 - as above
        self, request: api_v1.BulkPublishRequest, *, timeout: float | None = None, metadata: Headers = ()
    ) -> api_v1.BulkPublishResponse:
        self.calls.append(("BulkPublishEvent", timeout, metadata))
        self.requests.append(request)
        answers = self.answers.get(request.topic)
        answer = answers.pop(0) if answers else []
        if isinstance(answer, CallError):
            raise answer
        failed = [api_v1.BulkPublishResponseFailedEntry(entry_id=each, error="full") for each in answer]
        kept = [orjson.loads(entry.event) for entry in request.entries if entry.entry_id not in answer]
        self.published.append((request.topic, kept))
        return api_v1.BulkPublishResponse(failedEntries=failed)


@asynccontextmanager
async def opened(sidecar: Sidecar, **options: Any) -> AsyncIterator[DaprPublisher]:  # noqa: ANN401
    publisher = DaprPublisher.with_client(sidecar, **options)
    await publisher.open()
    try:
        yield publisher
    finally:
        await publisher.close()


def record(number: int, topic: str = "orders", key: str | None = "wf") -> Record:
    return Record(topic, key, b"%d" % number, f"wf-{number}/run/1", "application/json")


@pytest.mark.parametrize(
    ("value", "content_type", "data"),
    [
        (
            b'{"b":1,"a":[0.1,12345678901234567890]}',
            "application/json",
            {"data": {"b": 1, "a": [0.1, 12345678901234567890]}},
        ),
        ("naïve \x00".encode(), "text/plain", {"data": "naïve \x00"}),
        (b"\xff\x00", "application/octet-stream", {"data_base64": base64.b64encode(b"\xff\x00").decode()}),
        (b"", "image/png", {"data_base64": ""}),
    ],
)
def test_a_record_is_an_event_that_is_the_same_each_time(value: bytes, content_type: str, data: dict[str, Any]) -> None:
    made = Record("orders", "k", value, "order-1/Rx_9/12", content_type)

    assert orjson.loads(cloud_event(made, "my-app")) == {
        "specversion": "1.0",
        "id": "order-1/Rx_9/12",
        "source": "my-app",
        "type": "holdfast.output",
        "subject": "order-1",
        "datacontenttype": content_type,
        "partitionkey": "k",
        **data,
    }
    assert cloud_event(made, "my-app") == cloud_event(made, "my-app")


@pytest.mark.parametrize(
    ("trace", "attributes"),
    [
        ("", {}),
        ("00-1-2-01", {"traceparent": "00-1-2-01", "traceid": "00-1-2-01"}),
        ("00-1-2-01 a=b,c=d", {"traceparent": "00-1-2-01", "traceid": "00-1-2-01", "tracestate": "a=b,c=d"}),
    ],
)
def test_an_event_has_the_trace_of_its_run(trace: str, attributes: dict[str, str]) -> None:
    event = orjson.loads(cloud_event(record(1)._replace(trace=trace), "my-app"))

    assert {name: value for name, value in event.items() if name.startswith("trace")} == attributes


async def test_the_records_of_each_topic_are_one_call_with_deadline_token_and_key() -> None:
    sidecar = Sidecar()
    publisher: Publisher = DaprPublisher.with_client(sidecar, "other")
    await publisher.open()
    await publisher.publish([record(1), record(2, "bills", None), record(3)])
    await publisher.close()

    assert [(request.pubsub_name, request.topic) for request in sidecar.requests] == [
        ("other", "orders"),
        ("other", "bills"),
    ]
    entries = [(entry.entry_id, dict(entry.metadata), entry.content_type) for entry in sidecar.requests[0].entries]
    key, form = {"partitionKey": "wf"}, "application/cloudevents+json"
    assert entries == [("wf-1/run/1", key, form), ("wf-3/run/1", key, form)]
    assert dict(sidecar.requests[1].entries[0].metadata) == {}
    assert [event["source"] for _, events in sidecar.published for event in events] == ["my-app"] * 3
    assert [(name, timeout) for name, timeout, _ in sidecar.calls] == [
        ("GetMetadata", 30.0),
        ("BulkPublishEvent", 10.0),
        ("BulkPublishEvent", 10.0),
    ]


async def test_every_call_bears_the_token_as_it_is_then(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first", encoding="ascii")
    monkeypatch.setenv("DAPR_API_TOKEN_FILE", str(file))
    sidecar = Sidecar()
    async with opened(sidecar) as publisher:
        await publisher.publish([record(1)])
        file.write_text("second, and longer", encoding="ascii")
        await publisher.publish([record(2)])

    tokens = [dict(headers)["dapr-api-token"] for _, _, headers in sidecar.calls]
    assert tokens == ["first", "first", "second, and longer"]


async def test_a_source_of_ones_own_wins() -> None:
    sidecar = Sidecar()
    async with opened(sidecar, source="billing") as publisher:
        await publisher.publish([record(1)])

    assert sidecar.published[0][1][0]["source"] == "billing"


@pytest.mark.parametrize(
    ("code", "details"),
    [
        (Code.UNAVAILABLE, "connection refused"),
        (Code.DEADLINE_EXCEEDED, "too slow"),
        (Code.UNAUTHENTICATED, "another token"),
        (Code.NOT_FOUND, "pubsub 'pubsub' not found"),
        (Code.INVALID_ARGUMENT, "pubsub pubsub is not found"),
        (Code.FAILED_PRECONDITION, "pubsub pubsub is not configured"),
    ],
)
async def test_where_the_sidecar_or_its_component_is_away_any_record_may_be_missing(
    code: grpc.StatusCode, details: str
) -> None:
    sidecar = Sidecar()
    sidecar.answers = {"orders": [CallError(code, details)], "bills": [CallError(code, details)]}
    async with opened(sidecar) as publisher:
        with pytest.raises(PublishError, match=f"topic 'orders': {code.name}: {details}; topic 'bills'") as caught:
            await publisher.publish([record(1), record(2, "bills")])

    assert (caught.value.failed, caught.value.refused) == ({}, {})


@pytest.mark.parametrize("code", [Code.INTERNAL, Code.UNKNOWN, Code.INVALID_ARGUMENT, Code.RESOURCE_EXHAUSTED])
async def test_where_a_call_failed_all_records_of_its_topic_may_be_missing(code: grpc.StatusCode) -> None:
    sidecar = Sidecar()
    sidecar.answers = {"orders": [CallError(code, "no")]}
    async with opened(sidecar) as publisher:
        with pytest.raises(PublishError) as caught:
            await publisher.publish([record(1), record(2, "bills"), record(3)])

    words = f"topic 'orders': {code.name}: no"
    assert caught.value.failed == {"wf-1/run/1": words, "wf-3/run/1": words}
    assert caught.value.refused == {}
    assert [topic for topic, _ in sidecar.published] == ["bills"]


async def test_a_topic_that_is_not_allowed_is_refused_and_the_others_are_not() -> None:
    sidecar = Sidecar()
    sidecar.answers = {
        "orders": [CallError(Code.PERMISSION_DENIED, "topic orders is not allowed for app id my-app")],
        "mails": [CallError(Code.UNAVAILABLE, "gone")],
    }
    async with opened(sidecar) as publisher:
        with pytest.raises(PublishError) as caught:
            await publisher.publish([record(1), record(2, "bills"), record(3, "mails")])

    assert list(caught.value.refused) == ["wf-1/run/1"]
    assert list(caught.value.failed) == ["wf-3/run/1"]


async def test_events_that_the_answer_names_have_failed_and_no_others() -> None:
    sidecar = Sidecar()
    sidecar.answers = {"orders": [["wf-2/run/1"]]}
    async with opened(sidecar) as publisher:
        with pytest.raises(PublishError, match="topic 'orders': 1 events failed") as caught:
            await publisher.publish([record(1), record(2), record(3)])

    assert caught.value.failed == {"wf-2/run/1": "full"}


async def test_it_does_not_open_without_its_component() -> None:
    with pytest.raises(PublishError, match="has no pub/sub component 'statestore'; loaded are: other, pubsub"):
        await DaprPublisher.with_client(Sidecar(), "statestore").open()


async def test_it_does_not_open_where_the_sidecar_does_not_answer() -> None:
    sidecar = Sidecar()
    sidecar.refuses = CallError(Code.UNAUTHENTICATED, "invalid token")
    with pytest.raises(PublishError, match="does not say what it has loaded: UNAUTHENTICATED: invalid token"):
        await DaprPublisher.with_client(sidecar).open()

    nobody = DaprPublisher(address="127.0.0.1:1", connect_timeout=timedelta(milliseconds=200))
    with pytest.raises(PublishError, match=r"the sidecar at 127\.0\.0\.1:1 does not say what it has loaded: DEADLINE"):
        await nobody.open()
    await nobody.close()


async def test_opening_and_closing_twice_is_harmless_and_a_closed_one_publishes_nothing() -> None:
    sidecar = Sidecar()
    publisher = DaprPublisher.with_client(sidecar)
    await publisher.open()
    await publisher.open()
    await publisher.close()
    await publisher.close()

    with pytest.raises(PublishError, match="the publisher on 'pubsub' is not open"):
        await publisher.publish([record(1)])
    assert len(sidecar.calls) == 1
