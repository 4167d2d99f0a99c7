"""The way to a Dapr sidecar: where it is, what opens it, how it stays connected, what it has loaded, how calls fail."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import grpc
from dapr.conf.helpers import GrpcEndpoint
from dapr.proto import api_service_v1, api_v1

from holdfast.core.errors import StoreError
from holdfast.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable


__all__ = [
    "TOKEN_HINT",
    "Headers",
    "MetadataClient",
    "SidecarToken",
    "connect",
    "details_of",
    "is_component_missing",
    "is_too_large",
    "read_metadata",
    "sidecar_address",
    "status_of",
    "words_of",
]

_DEFAULT_PORT: Final = "50001"
_TOKEN_HEADER: Final = "dapr-api-token"  # noqa: S105 - the name of a header
_TOO_LARGE: Final = ("larger than max", "message too large")
_NO_COMPONENT: Final = ("is not found", "is not configured")

# The sidecar closes connections that are pinged more often than every 8 s, and serves again right after a restart.
_CHANNEL_OPTIONS: Final = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)

Headers = tuple[tuple[str, str], ...]
"""Names and values that are sent with a call."""

TOKEN_HINT: Final = "; set DAPR_API_TOKEN to the sidecar's own"  # noqa: S105 - advice
"""What to do about a call that was refused for its token: follows the words of the error."""


class SidecarToken:
    """What opens the sidecar's API: the token given, else ``DAPR_API_TOKEN``, else what a file holds at that moment.

    The file is ``DAPR_API_TOKEN_FILE``; it is read again when it changes, so a token can be renewed while we run.
    """

    def __init__(self, token: str | None = None) -> None:
        """Find out where the token is; nothing is read yet."""
        file = os.environ.get("DAPR_API_TOKEN_FILE", "").strip()
        given = token or os.environ.get("DAPR_API_TOKEN", "").strip()
        self._secret = Secret(given, Path(file) if file else None)

    def headers(self) -> Headers:
        """Give the header that opens the API; none where there is no token."""
        value = self._secret.value()
        return ((_TOKEN_HEADER, value),) if value else ()


def sidecar_address(address: str | None = None) -> str:
    """Say where the sidecar is: what was given, else ``DAPR_GRPC_ENDPOINT``, else ``DAPR_GRPC_PORT`` here."""
    if address:
        return address
    endpoint = os.environ.get("DAPR_GRPC_ENDPOINT", "").strip()
    return endpoint or f"127.0.0.1:{os.environ.get('DAPR_GRPC_PORT', '').strip() or _DEFAULT_PORT}"


def connect(address: str) -> tuple[grpc.aio.Channel, Any]:
    """Make a channel to a sidecar, for the loop that is running now. It connects with the first call, and again.

    Args:
        address: ``host:port``, or a URL; ``https://`` and ``?tls=true`` mean TLS.

    Returns:
        The channel, to be closed, and the SDK's ``DaprStub`` over it: each user has a Protocol of the calls it makes.

    Raises:
        StoreError: The address cannot be read.
    """
    try:
        endpoint = GrpcEndpoint(address)
    except ValueError as error:
        msg = f"{address!r} is not the address of a sidecar: {error}"
        raise StoreError(msg) from error
    options: Any = _CHANNEL_OPTIONS
    if endpoint.tls:
        channel = grpc.aio.secure_channel(endpoint.endpoint, grpc.ssl_channel_credentials(), options)
    else:
        channel = grpc.aio.insecure_channel(endpoint.endpoint, options)
    stub: Any = api_service_v1.DaprStub
    return channel, stub(channel)


class MetadataClient(Protocol):
    """The call of the Dapr API that a store or a publisher begins with, as the SDK's ``DaprStub`` has it."""

    def GetMetadata(  # noqa: N802 - the name in the Dapr API
        self,
        request: api_v1.GetMetadataRequest,
        *,
        timeout: float | None = None,
        metadata: Headers = (),
        wait_for_ready: bool | None = None,
    ) -> Awaitable[api_v1.GetMetadataResponse]:
        """Say which components the sidecar has loaded, what they can do, and for which application."""
        ...


async def read_metadata(client: MetadataClient, token: SidecarToken, timeout: float) -> api_v1.GetMetadataResponse:
    """Wait until a sidecar serves, and ask what it has loaded.

    Args:
        client: Calls it.
        token: Opens its API.
        timeout: How many seconds that may take.

    Raises:
        grpc.RpcError: It did not answer in time, or refuses to tell.
    """
    request = api_v1.GetMetadataRequest()
    return await client.GetMetadata(request, timeout=timeout, metadata=token.headers(), wait_for_ready=True)


def status_of(error: grpc.RpcError) -> grpc.StatusCode | None:
    """Give the status that a failed call came back with; None where there is none."""
    code = getattr(error, "code", lambda: None)()
    return code if isinstance(code, grpc.StatusCode) else None


def details_of(error: grpc.RpcError) -> str:
    """Give the words that came with the status."""
    return str(getattr(error, "details", lambda: "")() or "")


def words_of(error: grpc.RpcError) -> str:
    """Say how a call failed, for a message."""
    status = status_of(error)
    return f"{status.name if status else type(error).__name__}: {details_of(error)}"


def is_too_large(error: grpc.RpcError) -> bool:
    """Say whether a request or its answer was over the sidecar's limit of one message."""
    return status_of(error) is grpc.StatusCode.RESOURCE_EXHAUSTED and any(
        text in details_of(error) for text in _TOO_LARGE
    )


def is_component_missing(error: grpc.RpcError) -> bool:
    """Say whether a call failed, by its words, because there is no such state or pub/sub component."""
    return any(text in details_of(error) for text in _NO_COMPONENT)
