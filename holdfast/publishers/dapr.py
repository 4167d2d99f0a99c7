"""Records on a pub/sub component of Dapr, by way of the sidecar."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import grpc
from dapr.proto import api_v1

from holdfast.core.durations import seconds_of
from holdfast.core.errors import PublishError
from holdfast.publishers.cloud_events import CONTENT_TYPE, cloud_event
from holdfast.sidecar import (
    SidecarToken,
    connect,
    is_component_missing,
    read_metadata,
    sidecar_address,
    status_of,
    words_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from holdfast.ports import Record
    from holdfast.publishers.dapr_client import PublishingClient

__all__ = ["DaprPublisher"]

_Code: Final = grpc.StatusCode
_FOR_GOOD: Final = {_Code.PERMISSION_DENIED, _Code.UNIMPLEMENTED}
# A component that is missing while it is in use is being replaced, and so is a token that does not fit.
_AWAY: Final = {
    _Code.UNAVAILABLE,
    _Code.DEADLINE_EXCEEDED,
    _Code.CANCELLED,
    _Code.NOT_FOUND,
    _Code.UNAUTHENTICATED,
}
_LACKING: Final = {_Code.INVALID_ARGUMENT, _Code.FAILED_PRECONDITION}


class DaprPublisher:
    """A `Publisher` on a pub/sub component of a Dapr sidecar: one call for each topic, every record a CloudEvent.

    An event has the record's id, the type ``holdfast.output``, the workflow id as its subject and the application id of
    the sidecar as its source; the key goes along as ``partitionKey``. Over gRPC a sidecar does not tell which events of
    a call have failed, so all of that topic come again.

    Args:
        pubsub_name: The name of the component.
        address: ``host:port`` or URL of the sidecar's gRPC port; without one ``DAPR_GRPC_ENDPOINT``, or this machine
            at ``DAPR_GRPC_PORT``, or 50001.
        token: Opens the sidecar's API; without one ``DAPR_API_TOKEN``, or the file ``DAPR_API_TOKEN_FILE``.
        timeout: How long one call may take; seconds or a `timedelta`.
        connect_timeout: How long `open` waits for the sidecar.
        source: What events name as their source; without one the application id of the sidecar.

    Source: the Dapr pub/sub API over gRPC; docs/adr/0018-outputs.md.
    """

    def __init__(  # noqa: PLR0913 - each is a property of the sidecar or of the way to it
        self,
        pubsub_name: str = "pubsub",
        *,
        address: str | None = None,
        token: str | None = None,
        timeout: timedelta | float = 10.0,
        connect_timeout: timedelta | float = 30.0,
        source: str | None = None,
    ) -> None:
        """Remember where the component is; `open` looks for it."""
        self._pubsub_name = pubsub_name
        self._address = address
        self._token = SidecarToken(token)
        self._timeout = seconds_of(timeout)
        self._connect_timeout = seconds_of(connect_timeout)
        self._source = source or ""
        self._given: PublishingClient | None = None
        self._client: PublishingClient | None = None
        self._channel: grpc.aio.Channel | None = None

    @classmethod
    def with_client(cls, client: PublishingClient, pubsub_name: str = "pubsub", *, source: str | None = None) -> Self:
        """Make a publisher that calls a client of yours instead of a sidecar: for tests, or a channel of your own.

        Args:
            client: The SDK's ``DaprStub``, or a stand-in; it is not closed.
            pubsub_name: The name of the component.
            source: As in the constructor.
        """
        publisher = cls(pubsub_name, source=source)
        publisher._given = client
        return publisher

    async def open(self) -> None:
        """Wait for the sidecar and look whether it has the component; opening it again does nothing.

        Raises:
            PublishError: No sidecar answered within ``connect_timeout``, it wants another token, or has no such
                component.
        """
        if self._client is not None:
            return
        channel, client = (None, self._given) if self._given else connect(sidecar_address(self._address))
        try:
            await self._look(client)
        except BaseException:
            if channel is not None:
                await channel.close()
            raise
        self._channel, self._client = channel, client

    async def _look(self, client: PublishingClient) -> None:
        address = sidecar_address(self._address)
        try:
            found = await read_metadata(client, self._token, self._connect_timeout)
        except grpc.RpcError as error:
            msg = f"the sidecar at {address} does not say what it has loaded: {words_of(error)}"
            raise PublishError(msg) from error
        known = [each.name for each in found.registered_components if each.type.startswith("pubsub.")]
        if self._pubsub_name not in known:
            names = ", ".join(sorted(known)) or "none"
            msg = f"the sidecar at {address} has no pub/sub component {self._pubsub_name!r}; loaded are: {names}"
            raise PublishError(msg)
        self._source = self._source or found.id or "holdfast"

    async def publish(self, records: Sequence[Record]) -> None:
        """Publish records, those of each topic in one call.

        Raises:
            PublishError: The sidecar is away, a topic is not allowed, or the broker did not take all of them.
        """
        if self._client is None:
            msg = f"the publisher on {self._pubsub_name!r} is not open"
            raise PublishError(msg)
        topics: defaultdict[str, list[Record]] = defaultdict(list)
        for record in records:
            topics[record.topic].append(record)
        results = await asyncio.gather(*(self._publish(self._client, *each) for each in topics.items()))
        wrong = [result for result in results if result is not None]
        if not wrong:
            return
        words = "; ".join(result.words for result in wrong)
        if all(result is not None and result.is_away for result in results):
            raise PublishError(words)
        failed = {record_id: why for result in wrong for record_id, why in result.failed.items()}
        refused = {record_id: why for result in wrong for record_id, why in result.refused.items()}
        raise PublishError(words, failed=failed, refused=refused)

    async def _publish(self, client: PublishingClient, topic: str, records: Sequence[Record]) -> _Missing | None:
        """Publish records of one topic, and say which are missing, if any are."""
        request = api_v1.BulkPublishRequest(pubsub_name=self._pubsub_name, topic=topic)
        for record in records:
            key = {"partitionKey": record.key} if record.key is not None else {}
            event = cloud_event(record, self._source)
            request.entries.add(entry_id=record.id, event=event, content_type=CONTENT_TYPE, metadata=key)
        try:
            answer = await client.BulkPublishEvent(request, timeout=self._timeout, metadata=self._token.headers())
        except grpc.RpcError as error:
            return _missing(error, topic, records)
        failed = {entry.entry_id: entry.error for entry in answer.failedEntries}
        return _Missing(f"topic {topic!r}: {len(failed)} events failed", failed, {}) if failed else None

    async def close(self) -> None:
        """Wait for the call that is under way and let go of the sidecar. Closing twice is harmless."""
        channel, self._channel, self._client = self._channel, None, None
        if channel is not None:
            await channel.close(self._timeout)


class _Missing(NamedTuple):
    """What may be missing of one call, and why."""

    words: str
    failed: dict[str, str]
    refused: dict[str, str]
    is_away: bool = False


def _missing(error: grpc.RpcError, topic: str, records: Sequence[Record]) -> _Missing:
    status, words = status_of(error), f"topic {topic!r}: {words_of(error)}"
    named = {record.id: words for record in records}
    if status in _FOR_GOOD:
        return _Missing(words, {}, named)
    no_component = status in _LACKING and is_component_missing(error)
    return _Missing(words, named, {}, status in _AWAY or no_component)
