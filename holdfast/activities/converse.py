"""Calls of a conversation component, over the sidecar's gRPC port."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Protocol

import grpc

from holdfast.core.errors import LlmError, NonRetryableError, StoreError
from holdfast.sidecar import (
    TOKEN_HINT,
    SidecarToken,
    connect,
    details_of,
    is_too_large,
    sidecar_address,
    status_of,
    words_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from dapr.proto import api_v1

    from holdfast.sidecar import Headers

__all__ = ["Component"]

_Code: Final = grpc.StatusCode
_FOR_GOOD: Final = {
    _Code.INVALID_ARGUMENT: "",
    _Code.NOT_FOUND: "",
    _Code.FAILED_PRECONDITION: "",
    _Code.OUT_OF_RANGE: "",
    _Code.UNAUTHENTICATED: TOKEN_HINT,
    _Code.PERMISSION_DENIED: TOKEN_HINT,
    _Code.UNIMPLEMENTED: "; the sidecar's Configuration must allow the API conversation v1alpha2",
}
"""What no further attempt would mend, and what would."""
_MISSING: Final = "failed finding"
_NO_COMPONENT: Final = (
    "; the sidecar must load a component of that name, of a type conversation.*, in scope of its app id"
)


class _Client(Protocol):
    """The call of the Dapr API that is made here, with the names and messages of the SDK's ``DaprStub``."""

    def ConverseAlpha2(  # noqa: N802 - the name in the Dapr API
        self,
        request: api_v1.ConversationRequestAlpha2,
        *,
        timeout: float,
        metadata: Headers = (),
    ) -> Awaitable[api_v1.ConversationResponseAlpha2]:
        """Carry a conversation on."""
        ...


class _Line:
    """A channel to the sidecar, and how many calls are under way on it."""

    def __init__(self, address: str) -> None:
        channel, client = connect(address)
        self.channel: grpc.aio.Channel = channel
        self.client: _Client = client
        self.calls = 0


class Component:
    """A conversation component of a sidecar.

    Calls that are under way at a time on one event loop share a channel; the last one of them closes it. So nothing is
    left behind by an engine that ends, and no engine has to know of it.

    Args:
        name: What the component is called.
        address: Of the sidecar; without one it is looked for as `holdfast.sidecar.sidecar_address` says.
        token: Opens the sidecar's API; without one as `holdfast.sidecar.SidecarToken` says.
    """

    def __init__(self, name: str, address: str | None, token: str | None) -> None:
        """Remember where it is; nothing is looked up yet."""
        self._name = name
        self._address = address
        self._given_token = token
        self._token: SidecarToken | None = None
        self._lines: dict[asyncio.AbstractEventLoop, _Line] = {}

    async def converse(
        self, request: api_v1.ConversationRequestAlpha2, timeout: float, trace: Headers = ()
    ) -> api_v1.ConversationResponseAlpha2:
        """Make one call.

        Args:
            request: What to send.
            timeout: How many seconds the call may take.
            trace: The headers that tell the sidecar which trace the call belongs to.

        Raises:
            LlmError: The sidecar, the component or the model failed; the next call may work.
            NonRetryableError: It would fail again: no such component, the API or the token is refused.
            TimeoutError: There was no answer in time.
        """
        if self._token is None:
            self._token = SidecarToken(self._given_token)
        address = sidecar_address(self._address)
        async with self._line(address) as client:
            try:
                headers = (*self._token.headers(), *trace)
                return await client.ConverseAlpha2(request, timeout=timeout, metadata=headers)
            except grpc.RpcError as error:
                raise _failure(error, self._name, address) from error

    @asynccontextmanager
    async def _line(self, address: str) -> AsyncIterator[_Client]:
        loop = asyncio.get_running_loop()
        line = self._lines.get(loop)
        if line is None:
            try:
                line = self._lines[loop] = _Line(address)
            except StoreError as error:
                raise NonRetryableError(str(error)) from error
        line.calls += 1
        try:
            yield line.client
        finally:
            line.calls -= 1
            if not line.calls:
                del self._lines[loop]
                await line.channel.close()


def _failure(error: grpc.RpcError, component: str, address: str) -> Exception:
    """Say what a failed call means for whoever would make it again."""
    status = status_of(error)
    text = f"the conversation component {component!r} of the sidecar at {address} did not answer: {words_of(error)}"
    if status is _Code.DEADLINE_EXCEEDED:
        return TimeoutError(text)
    if is_too_large(error):
        return NonRetryableError(text)
    if status in _FOR_GOOD:
        return NonRetryableError(text + (_NO_COMPONENT if _MISSING in details_of(error) else _FOR_GOOD[status]))
    return LlmError(text, component=component, status=status.name if status else "")
