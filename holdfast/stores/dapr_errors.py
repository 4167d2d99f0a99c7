"""What the status of a failed call to a sidecar means for the caller: try again, look what happened, or never."""

from __future__ import annotations

from typing import Final

import grpc

from holdfast.core.errors import StoreError, StoreUnavailableError

__all__ = ["is_too_large", "may_be_conflict", "refused_to_open", "translated"]

_Code: Final = grpc.StatusCode
# A transaction answers INTERNAL for whatever went wrong, and for a refused expectation as well.
_PERHAPS_A_CONFLICT: Final = {_Code.INTERNAL, _Code.ABORTED, _Code.ALREADY_EXISTS, _Code.UNKNOWN}
_FOR_GOOD: Final = {_Code.INVALID_ARGUMENT, _Code.OUT_OF_RANGE, _Code.UNIMPLEMENTED}
_AWAY: Final = {_Code.UNAVAILABLE, _Code.DEADLINE_EXCEEDED}
_NO_COMPONENT: Final = ("is not found", "is not configured")
_TOO_LARGE: Final = ("larger than max", "message too large")


def may_be_conflict(error: grpc.RpcError) -> bool:
    """Say whether an expectation may have been refused: what is stored now has to be read to know."""
    return _code(error) in _PERHAPS_A_CONFLICT


def is_too_large(error: grpc.RpcError) -> bool:
    """Say whether a request or its answer was over the sidecar's limit of one message."""
    return _code(error) is _Code.RESOURCE_EXHAUSTED and any(text in _details(error) for text in _TOO_LARGE)


def translated(error: grpc.RpcError, doing: str) -> StoreError:
    """Say what the failure of a call means that was made while the store was in use.

    A component that is being replaced, or a token that is being renewed, is an outage then: nothing is wrong with what
    was to be written.

    Args:
        error: What the call raised.
        doing: What was done, for the text: ``writing 5 documents``.

    Returns:
        `StoreUnavailableError` where the outcome is unknown or the backend is away, else `StoreError`.
    """
    text = f"the sidecar failed {doing}: {_words(error)}"
    if is_too_large(error) or (_code(error) in _FOR_GOOD and not _is_component_missing(error)):
        return StoreError(text)
    return StoreUnavailableError(text)


def refused_to_open(error: grpc.RpcError, address: str) -> StoreError:
    """Say why a sidecar did not tell what it has loaded."""
    if _code(error) in _AWAY:
        return StoreUnavailableError(f"no Dapr sidecar answers at {address}: {_words(error)}")
    hint = ""
    if _code(error) is _Code.UNAUTHENTICATED:
        hint = "; set DAPR_API_TOKEN to the sidecar's own"
    elif _code(error) in {_Code.PERMISSION_DENIED, _Code.UNIMPLEMENTED}:
        hint = "; the sidecar's Configuration must allow the APIs metadata and state"
    return StoreError(f"the sidecar at {address} does not say what it has loaded: {_words(error)}{hint}")


def _is_component_missing(error: grpc.RpcError) -> bool:
    return any(text in _details(error) for text in _NO_COMPONENT)


def _code(error: grpc.RpcError) -> grpc.StatusCode | None:
    code = getattr(error, "code", lambda: None)()
    return code if isinstance(code, _Code) else None


def _details(error: grpc.RpcError) -> str:
    return str(getattr(error, "details", lambda: "")() or "")


def _words(error: grpc.RpcError) -> str:
    code = _code(error)
    return f"{code.name if code else type(error).__name__}: {_details(error)}"
