"""What the sidecar does for whoever reaches it, under the Configuration of this repository."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
import requests
from dapr.proto.runtime.v1 import dapr_pb2
from google.protobuf.message_factory import GetMessageClass

from app.sidecar.probe import PROBE_TOPIC
from tests.deployment.manifests import overlay, settings, the
from tests.integration.conftest import Ship, StartSidecar
from tests.integration.shipped import ShippedSidecar
from tests.integration.sidecar import StateComponent

pytestmark = pytest.mark.integration

SERVICE = dapr_pb2.DESCRIPTOR.services_by_name["Dapr"]
METHODS = sorted(method.name for method in SERVICE.methods)
ALLOWED = {
    "GetState",
    "GetBulkState",
    "SaveState",
    "DeleteState",
    "DeleteBulkState",
    "ExecuteStateTransaction",
    "PublishEvent",
    "BulkPublishEvent",
    "GetMetadata",
    "SetMetadata",
    "ConverseAlpha2",
}
NOT_AVAILABLE = "Not Implemented"


@pytest.fixture
def shipped(ship: Ship) -> ShippedSidecar:
    return ship("components/state/in-memory", "components/pubsub/in-memory")


@pytest.fixture
def channel(shipped: ShippedSidecar) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(shipped.address) as channel:
        yield channel


def refusal(channel: grpc.Channel, name: str) -> str:
    """What a method says to an empty request, of whatever kind it is; nothing where it answers."""
    method = SERVICE.methods_by_name[name]
    path = f"/{SERVICE.full_name}/{name}"
    request, answer = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
    call = channel.stream_stream(path, request.SerializeToString, answer.FromString)
    try:
        list(call(iter([request()]), timeout=10))
    except grpc.RpcError as error:
        return str(error.details())
    return ""


def test_by_grpc_it_does_what_the_service_needs_and_nothing_else(channel: grpc.Channel) -> None:
    said = {name: refusal(channel, name) for name in METHODS}

    refused = {name for name, words in said.items() if words == NOT_AVAILABLE}
    assert len(METHODS) > 60
    assert set(METHODS) - refused == ALLOWED


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "healthz/outbound", 204),
        ("GET", "metadata", 200),
        ("GET", "state/statestore/nothing", 204),
        ("POST", "publish/pubsub/workflow-signals", 204),
    ],
)
def test_by_http_it_does_what_the_service_needs(shipped: ShippedSidecar, method: str, path: str, status: int) -> None:
    assert requests.request(method, f"{shipped.url}/{path}", timeout=10).status_code == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "shutdown"),
        ("GET", "invoke/holdfast/method/v1/runs"),
        ("GET", "secrets/secretstore/REDIS_PASSWORD"),
        ("POST", "bindings/any"),
        ("GET", "actors/any/1/state/any"),
        ("POST", "workflows/dapr/any/start"),
        ("GET", "configuration/any"),
        ("POST", "jobs/any"),
    ],
)
def test_by_http_it_does_nothing_else(shipped: ShippedSidecar, method: str, path: str) -> None:
    assert requests.request(method, f"{shipped.url}/{path}", timeout=10).status_code == 404
    assert requests.get(f"{shipped.url}/healthz/outbound", timeout=10).status_code == 204


def test_in_production_it_publishes_to_no_topic_that_is_not_named(start_sidecar: StartSidecar) -> None:
    found = settings(the(overlay("production"), "Component", "pubsub"))
    scopes = {name: found[name] for name in ("publishingScopes", "subscriptionScopes")}
    sidecar = start_sidecar(StateComponent("pubsub", "pubsub.in-memory", scopes), app_id="holdfast")

    topics = f"http://127.0.0.1:{sidecar.http_port}/v1.0/publish/pubsub"
    published = {topic: requests.post(f"{topics}/{topic}", timeout=10).status_code for topic in (PROBE_TOPIC, "any")}

    assert published == {PROBE_TOPIC: 204, "any": 403}
