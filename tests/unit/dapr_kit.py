"""A sidecar without a sidecar: documents in a dictionary, refused and lost as a component of each kind does it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from uuid import uuid4

import grpc
from dapr.proto import api_v1, common_v1

from holdfast.sidecar import Headers

CREATE_ONLY = common_v1.StateOptions.CONCURRENCY_FIRST_WRITE


class CallError(grpc.RpcError):
    """A call that came back with a status."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self._code = code
        self._details = details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details


def internal(details: str) -> CallError:
    return CallError(grpc.StatusCode.INTERNAL, details)


class FakeSidecar:
    """What a sidecar does with the state of one component.

    Attributes:
        fails: Raised by the next calls of a name, before they do anything.
        loses: Names of calls whose next answer is lost, after they took effect.
        calls: The requests so far, with the deadline and headers of each.
        values: Value and ETag of each key.
    """

    def __init__(self, kind: str = "state.in-memory", *, version: str = "v1", traits: Iterable[str] = ()) -> None:
        self.component = api_v1.RegisteredComponents(
            name="statestore",
            type=kind,
            version=version,
            capabilities=list(traits) or ["ETAG", "TRANSACTIONAL", "TTL"],
        )
        self.fails: dict[str, list[CallError]] = {}
        self.loses: list[str] = []
        self.calls: list[tuple[str, object, float | None, Headers]] = []
        self.values: dict[str, tuple[bytes, str]] = {}
        self.answer_bytes = 4 * 1024 * 1024

    def called(self, name: str) -> list[object]:
        return [request for called, request, _, _ in self.calls if called == name]

    async def GetMetadata(  # noqa: N802 - the name in the Dapr API
        self,
        request: api_v1.GetMetadataRequest,
        *,
        timeout: float | None = None,
        metadata: Headers = (),
        wait_for_ready: bool | None = None,
    ) -> api_v1.GetMetadataResponse:
        await self._begin("GetMetadata", request, timeout, metadata)
        other = api_v1.RegisteredComponents(name="pubsub", type="pubsub.redis", version="v1")
        return api_v1.GetMetadataResponse(id="holdfast", registered_components=[other, self.component])

    async def GetBulkState(  # noqa: N802 - as above
        self, request: api_v1.GetBulkStateRequest, *, timeout: float | None = None, metadata: Headers = ()
    ) -> api_v1.GetBulkStateResponse:
        await self._begin("GetBulkState", request, timeout, metadata)
        items = [
            api_v1.BulkStateItem(key=key, data=value, etag=etag)
            for key in request.keys
            for value, etag in [self.values.get(key, (b"", ""))]
        ]
        answer = api_v1.GetBulkStateResponse(items=items)
        if answer.ByteSize() > self.answer_bytes:
            message = f"trying to send message larger than max ({answer.ByteSize()} vs. {self.answer_bytes})"
            raise CallError(grpc.StatusCode.RESOURCE_EXHAUSTED, message)
        return answer

    async def ExecuteStateTransaction(  # noqa: N802 - as above
        self, request: api_v1.ExecuteStateTransactionRequest, *, timeout: float | None = None, metadata: Headers = ()
    ) -> object:
        await self._begin("ExecuteStateTransaction", request, timeout, metadata)
        refused = None
        if self.component.type == "state.redis":
            for operation in request.operations:
                refused = self._count(operation) or refused
        else:
            before = dict(self.values)
            for operation in request.operations:
                refused = refused or self._store(operation)
            self.values = before if refused else self.values
        if refused:
            raise internal(refused)
        return self._end("ExecuteStateTransaction")

    async def SaveState(  # noqa: N802 - as above
        self, request: api_v1.SaveStateRequest, *, timeout: float | None = None, metadata: Headers = ()
    ) -> object:
        await self._begin("SaveState", request, timeout, metadata)
        for item in request.states:
            self.values[item.key] = (item.value, str(uuid4()))
        return self._end("SaveState")

    async def DeleteBulkState(  # noqa: N802 - as above
        self, request: api_v1.DeleteBulkStateRequest, *, timeout: float | None = None, metadata: Headers = ()
    ) -> object:
        await self._begin("DeleteBulkState", request, timeout, metadata)
        for item in request.states:
            self.values.pop(item.key, None)
        return self._end("DeleteBulkState")

    async def _begin(self, name: str, request: object, timeout: float | None, headers: Headers) -> None:
        await asyncio.sleep(0)
        self.calls.append((name, request, timeout, headers))
        if self.fails.get(name):
            raise self.fails[name].pop(0)

    def _end(self, name: str) -> object:
        if name in self.loses:
            self.loses.remove(name)
            raise CallError(grpc.StatusCode.UNAVAILABLE, "Socket closed")
        return object()

    def _count(self, operation: api_v1.TransactionalStateOperation) -> str | None:
        """Do as the scripts of state.redis do: the ETag is a count, an absent key takes any, an empty one is none."""
        item = operation.request
        value = self.values.get(item.key)
        if value is not None and item.etag.value and value[1] != item.etag.value:
            return f"possible etag mismatch. error from state store: failed to set key {item.key}"
        if operation.operationType == "delete":
            self.values.pop(item.key, None)
        else:
            self.values[item.key] = (item.value, str(int(value[1] if value else "0") + 1))
        return None

    def _store(self, operation: api_v1.TransactionalStateOperation) -> str | None:
        """Do as SQL components do: the ETag is random, creating is an option, and an empty ETag is none."""
        item = operation.request
        value = self.values.get(item.key)
        if item.options.concurrency == CREATE_ONLY and value is not None:
            return "error while executing state transaction: no item was updated"
        if item.etag.value and (value is None or value[1] != item.etag.value):
            return "possible etag mismatch. error from state store: etag mismatch"
        if operation.operationType == "delete":
            self.values.pop(item.key, None)
        else:
            self.values[item.key] = (item.value, str(uuid4()))
        return None


Fake = Callable[[], FakeSidecar]
