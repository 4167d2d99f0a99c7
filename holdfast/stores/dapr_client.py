"""The calls of the Dapr API that a store makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from holdfast.sidecar import Headers, MetadataClient

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from dapr.proto import api_v1

__all__ = ["SidecarClient"]


class SidecarClient(MetadataClient, Protocol):
    """The calls of the Dapr API that a store makes, with the names and messages of the SDK's ``DaprStub``.

    ``timeout`` is in seconds; every call raises `grpc.RpcError` with a status code.

    Source: dapr/proto/runtime/v1/dapr.proto, service ``Dapr``.
    """

    def GetBulkState(  # noqa: N802 - the name in the Dapr API
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
