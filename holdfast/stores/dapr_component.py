"""One state component of a sidecar: the calls that read and write its documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import grpc
from dapr.proto import api_v1

from holdfast.core.errors import StoreUnavailableError
from holdfast.ports import ANY, Document, Written
from holdfast.sidecar import is_too_large
from holdfast.stores import dapr_wire as wire
from holdfast.stores.dapr_errors import may_be_conflict, translated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.ports import Write
    from holdfast.sidecar import SidecarToken
    from holdfast.stores.dapr_client import SidecarClient
    from holdfast.stores.dapr_kinds import Kind

__all__ = ["Component"]

_READS_AT_ONCE: Final = 64
"""How many keys a sidecar asks its backend for at a time, where that has no reads of many keys (Redis)."""


class Component:
    """Reads and writes documents by way of a sidecar."""

    def __init__(self, client: SidecarClient, token: SidecarToken, name: str, kind: Kind, timeout: float) -> None:
        """Describe it.

        Args:
            client: Calls the sidecar.
            token: Opens the sidecar's API.
            name: Of the component.
            kind: How it wants to be asked.
            timeout: How many seconds one call may take.
        """
        self._client = client
        self._token = token
        self._name = name
        self._kind = kind
        self._timeout = timeout
        self._fill = _fill_for(kind)

    async def read(self, keys: Sequence[str]) -> dict[str, Document]:
        """Read documents, in as many calls as their size demands."""
        request = api_v1.GetBulkStateRequest(store_name=self._name, keys=keys, parallelism=_READS_AT_ONCE)
        try:
            answer = await self._client.GetBulkState(request, timeout=self._timeout, metadata=self._token.headers())
        except grpc.RpcError as error:
            if len(keys) > 1 and is_too_large(error):
                half = len(keys) // 2
                return {**await self.read(keys[:half]), **await self.read(keys[half:])}
            raise translated(error, f"reading {len(keys)} documents") from error
        failed = next((item for item in answer.items if item.error), None)
        if failed is not None:
            msg = f"the sidecar failed reading {failed.key!r}: {failed.error}"
            raise StoreUnavailableError(msg)
        return {item.key: Document(item.data, item.etag) for item in answer.items if item.etag}

    async def write(self, writes: Sequence[Write]) -> list[Written] | None:
        """Write documents; None where something of it was refused."""
        counts = self._kind.counts_versions
        if self._kind.guard != "none" and not all(wire.can_hold(write, counts=counts) for write in writes):
            return None
        try:
            await (self._transact(writes) if self._kind.transactional else self._save(writes))
        except grpc.RpcError as error:
            if may_be_conflict(error) and await self._is_refused(writes):
                return None
            raise translated(error, f"writing {len(writes)} documents") from error
        return [wire.next_version(write) if counts else Written("") for write in writes]

    async def _is_refused(self, writes: Sequence[Write]) -> bool:
        """Say whether a failed batch was refused: it was, if what is stored is not what its writes expect.

        Where everything is as expected, nothing but an outage can have made it fail.
        """
        if self._kind.guard == "none":
            return False
        guarded = [write for write in writes if write.expected is not ANY]
        found = await self.read([write.key for write in guarded]) if guarded else {}
        return not all(wire.expectation_holds(write, found.get(write.key)) for write in guarded)

    async def _transact(self, writes: Sequence[Write]) -> None:
        request = api_v1.ExecuteStateTransactionRequest(storeName=self._name)
        add, fill = request.operations.add, self._fill
        for write in writes:
            operation = add()
            operation.operationType = "delete" if write.value is None else "upsert"
            fill(operation.request, write)
        await self._client.ExecuteStateTransaction(request, timeout=self._timeout, metadata=self._token.headers())

    async def _save(self, writes: Sequence[Write]) -> None:
        """Write one by one as far as order counts: the first document, the others, then what is deleted."""
        upserts = [write for write in writes if write.value is not None]
        for part in (upserts[:1], upserts[1:]):
            if part:
                request = api_v1.SaveStateRequest(store_name=self._name)
                for write in part:
                    self._fill(request.states.add(), write)
                await self._client.SaveState(request, timeout=self._timeout, metadata=self._token.headers())
        if len(upserts) < len(writes):
            deletion = api_v1.DeleteBulkStateRequest(store_name=self._name)
            for write in writes:
                if write.value is None:
                    self._fill(deletion.states.add(), write)
            await self._client.DeleteBulkState(deletion, timeout=self._timeout, metadata=self._token.headers())


def _fill_for(kind: Kind) -> wire.Fill:
    if kind.guard == "none":
        return wire.unguarded
    return wire.counted if kind.counts_versions else wire.etagged
