"""The calls of the Dapr API that a publisher makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from holdfast.sidecar import Headers, MetadataClient

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from dapr.proto import api_v1

__all__ = ["PublishingClient"]


class PublishingClient(MetadataClient, Protocol):
    """The calls of the Dapr API that a publisher makes, with the names and messages of the SDK's ``DaprStub``.

    ``timeout`` is in seconds; every call raises `grpc.RpcError` with a status code.

    Source: dapr/proto/runtime/v1/dapr.proto, service ``Dapr``.
    """

    def BulkPublishEvent(  # noqa: N802 - the name in the Dapr API
        self,
        request: api_v1.BulkPublishRequest,
        *,
        timeout: float | None = None,
        metadata: Headers = (),
    ) -> Awaitable[api_v1.BulkPublishResponse]:
        """Publish events to one topic, in any order."""
        ...
