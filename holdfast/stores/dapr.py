"""Documents in a state component of Dapr, by way of the sidecar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

import grpc

from holdfast.core.durations import seconds_of
from holdfast.core.errors import StoreError, UnsupportedOperationError
from holdfast.ports import Conflict
from holdfast.sidecar import SidecarToken, connect, read_metadata, sidecar_address
from holdfast.stores.dapr_component import Component
from holdfast.stores.dapr_errors import refused_to_open
from holdfast.stores.dapr_kinds import UNGUARDED, find_kind
from holdfast.stores.limits import check_reads, check_writes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import timedelta

    from holdfast.ports import Capabilities, Document, Write, Written
    from holdfast.stores.dapr_client import SidecarClient

__all__ = ["DaprStore"]

_MIB = 1024 * 1024


class DaprStore:
    """A `StateStore` in a state component of a Dapr sidecar: every batch is one transaction.

    What it can do is the component's: see `capabilities` once it is open. SQL components and the in-memory one guard
    creations (``batch``), and an update by the version that was read; Redis guards each key by its count of writes
    (``key``), carries out the siblings of a refused write, and begins to count anew when a key has been deleted.

    Args:
        store_name: The name of the component.
        address: ``host:port`` or URL of the sidecar's gRPC port; without one ``DAPR_GRPC_ENDPOINT``, or this machine
            at ``DAPR_GRPC_PORT``, or 50001.
        token: Opens the sidecar's API; without one ``DAPR_API_TOKEN``, or the file ``DAPR_API_TOKEN_FILE``.
        timeout: How long one call may take; seconds or a `timedelta`.
        connect_timeout: How long `open` waits for the sidecar.
        max_body_bytes: The largest message that the sidecar takes, its ``--max-body-size``.
        allow_unguarded: Use a component even if it keeps no second process from writing; for one process only.

    Source: the Dapr state API over gRPC; docs/adr/0015-dapr-store.md.
    """

    name: Final = "dapr"

    def __init__(  # noqa: PLR0913 - each is a property of the sidecar or of the way to it
        self,
        store_name: str = "statestore",
        *,
        address: str | None = None,
        token: str | None = None,
        timeout: timedelta | float = 10.0,
        connect_timeout: timedelta | float = 30.0,
        max_body_bytes: int = 4 * _MIB,
        allow_unguarded: bool = False,
    ) -> None:
        """Remember where the component is; `open` looks for it."""
        self._store_name = store_name
        self._address = address
        self._token = token
        self._timeout = seconds_of(timeout)
        self._connect_timeout = seconds_of(connect_timeout)
        self._max_body_bytes = max_body_bytes
        self._allow_unguarded = allow_unguarded
        self._client: SidecarClient | None = None
        self._channel: grpc.aio.Channel | None = None
        self._component: Component | None = None
        self._capabilities = UNGUARDED.capabilities(max_body_bytes)

    @classmethod
    def with_client(
        cls, client: SidecarClient, store_name: str = "statestore", *, allow_unguarded: bool = False
    ) -> Self:
        """Make a store that calls a client of yours instead of a sidecar: for tests, or a channel of your own.

        Args:
            client: The SDK's ``DaprStub``, or a stand-in; it is not closed.
            store_name: The name of the component.
            allow_unguarded: As in the constructor.
        """
        store = cls(store_name, allow_unguarded=allow_unguarded)
        store._client = client
        return store

    @property
    def capabilities(self) -> Capabilities:
        """What the component can do, and its limits; before the store was opened, the least that any can."""
        return self._capabilities

    async def open(self) -> None:
        """Wait for the sidecar and look what its component can do; opening it again does nothing.

        Raises:
            StoreUnavailableError: No sidecar answered within ``connect_timeout``.
            StoreError: There is no such component, it guards nothing, or the sidecar wants another token.
        """
        if self._component is not None:
            return
        channel, client = (None, self._client) if self._client else connect(sidecar_address(self._address))
        try:
            self._component = await self._look(client)
        finally:
            if self._component is None and channel is not None:
                await channel.close()
        self._channel = channel

    async def read(self, keys: Sequence[str]) -> dict[str, Document]:
        """Read documents; keys that do not exist are left out of the answer.

        Raises:
            StoreUnavailableError: The sidecar or its backend did not answer.
            StoreError: The store is closed, or more than ``max_batch`` keys were asked for.
        """
        component = self._require_open()
        check_reads(self._capabilities, keys)
        return await component.read(list(dict.fromkeys(keys))) if keys else {}

    async def write(self, writes: Sequence[Write]) -> list[Written | Conflict]:
        """Write a batch in one transaction.

        Where one is refused all are answered `Conflict`; on Redis some of them may have taken effect.

        Raises:
            StoreUnavailableError: The outcome is unknown, or the backend is away.
            StoreError: The store is closed, or the batch is over a limit.
        """
        component = self._require_open()
        check_writes(self._capabilities, writes)
        written = await component.write(writes) if writes else []
        return [Conflict()] * len(writes) if written is None else [*written]

    def keys(self, prefix: str) -> AsyncIterator[str]:
        """Refuse: the state API has no way to list keys.

        Raises:
            UnsupportedOperationError: Always.
        """
        msg = f"Dapr's state API cannot list the keys that begin with {prefix!r}"
        raise UnsupportedOperationError(msg)

    async def close(self) -> None:
        """Wait for the calls that are under way and let go of the sidecar. Closing twice is harmless."""
        channel, self._channel, self._component = self._channel, None, None
        if channel is not None:
            await channel.close(self._timeout)

    async def _look(self, client: SidecarClient) -> Component:
        token = SidecarToken(self._token)
        try:
            found = await read_metadata(client, token, self._connect_timeout)
        except grpc.RpcError as error:
            raise refused_to_open(error, sidecar_address(self._address)) from error
        kind = find_kind(found.registered_components, self._store_name, allow_unguarded=self._allow_unguarded)
        self._capabilities = kind.capabilities(self._max_body_bytes)
        return Component(client, token, self._store_name, kind, self._timeout)

    def _require_open(self) -> Component:
        if self._component is None:
            msg = f"the store {self._store_name!r} of the sidecar is not open"
            raise StoreError(msg)
        return self._component
