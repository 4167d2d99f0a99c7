"""The way to a Dapr sidecar: where it is, what it is told with every call, and how the connection is kept alive."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import grpc
from dapr.conf.helpers import GrpcEndpoint
from dapr.proto import api_service_v1

from holdfast.core.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from dapr.proto import api_v1

__all__ = ["Headers", "SidecarClient", "connect", "sidecar_address", "sidecar_token"]

_DEFAULT_PORT: Final = "50001"
_TOKEN_HEADER: Final = "dapr-api-token"  # noqa: S105 - the name of a header

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


class SidecarClient(Protocol):
    """The calls of the Dapr API that a store makes, with the names and messages of the SDK's ``DaprStub``.

    ``timeout`` is in seconds; every call raises `grpc.RpcError` with a status code.

    Source: dapr/proto/runtime/v1/dapr.proto, service ``Dapr``.
    """

    def GetMetadata(  # noqa: N802 - the name in the Dapr API
        self,
        request: api_v1.GetMetadataRequest,
        *,
        timeout: float | None = None,
        metadata: Headers = (),
        wait_for_ready: bool | None = None,
    ) -> Awaitable[api_v1.GetMetadataResponse]:
        """Say which components the sidecar has loaded, and what they can do."""
        ...

    def GetBulkState(  # noqa: N802 - as above
        self,
        request: api_v1.GetBulkStateRequest,
        *,
        timeout: float | None = None,
        metadata: Headers = (),
    ) -> Awaitable[api_v1.GetBulkStateResponse]:
        """Read values by their keys; an absent one has no ETag."""
        ...

    def ExecuteStateTransaction(  # noqa: N802 - as above
        self,
        request: api_v1.ExecuteStateTransactionRequest,
        *,
        timeout: float | None = None,
        metadata: Headers = (),
    ) -> Awaitable[object]:
        """Carry out operations together."""
        ...

    def SaveState(  # noqa: N802 - as above
        self,
        request: api_v1.SaveStateRequest,
        *,
        timeout: float | None = None,
        metadata: Headers = (),
    ) -> Awaitable[object]:
        """Save values, each on its own."""
        ...

    def DeleteBulkState(  # noqa: N802 - as above
        self,
        request: api_v1.DeleteBulkStateRequest,
        *,
        timeout: float | None = None,
        metadata: Headers = (),
    ) -> Awaitable[object]:
        """Delete keys, each on its own."""
        ...


def sidecar_address(address: str | None) -> str:
    """Say where the sidecar is: what was given, else ``DAPR_GRPC_ENDPOINT``, else ``DAPR_GRPC_PORT`` here."""
    if address:
        return address
    endpoint = os.environ.get("DAPR_GRPC_ENDPOINT", "").strip()
    return endpoint or f"127.0.0.1:{os.environ.get('DAPR_GRPC_PORT', '').strip() or _DEFAULT_PORT}"


def sidecar_token(token: str | None) -> Headers:
    """Make the header that opens the sidecar's API: with the token given, else ``DAPR_API_TOKEN``, else none."""
    secret = token or os.environ.get("DAPR_API_TOKEN", "").strip()
    return ((_TOKEN_HEADER, secret),) if secret else ()


def connect(address: str) -> tuple[grpc.aio.Channel, SidecarClient]:
    """Make a channel to a sidecar, for the loop that is running now. It connects with the first call, and again.

    Args:
        address: ``host:port``, or a URL; ``https://`` and ``?tls=true`` mean TLS.

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
    return channel, cast("SidecarClient", stub(channel))
