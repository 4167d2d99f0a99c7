"""What the status of a failed call to a sidecar means for the caller: try again, look what happened, or never."""

from __future__ import annotations

from typing import Final

import grpc

from holdfast.core.errors import StoreError, StoreUnavailableError
from holdfast.sidecar import TOKEN_HINT, is_component_missing, is_too_large, status_of, words_of

__all__ = ["may_be_conflict", "refused_to_open", "translated"]

_Code: Final = grpc.StatusCode
# A transaction answers INTERNAL for whatever went wrong, and for a refused expectation as well.
_PERHAPS_A_CONFLICT: Final = {_Code.INTERNAL, _Code.ABORTED, _Code.ALREADY_EXISTS, _Code.UNKNOWN}
_FOR_GOOD: Final = {_Code.INVALID_ARGUMENT, _Code.OUT_OF_RANGE, _Code.UNIMPLEMENTED}
_AWAY: Final = {_Code.UNAVAILABLE, _Code.DEADLINE_EXCEEDED}


def may_be_conflict(error: grpc.RpcError) -> bool:
    """Say whether an expectation may have been refused: what is stored now has to be read to know."""
    return status_of(error) in _PERHAPS_A_CONFLICT


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
    text = f"the sidecar failed {doing}: {words_of(error)}"
    if is_too_large(error) or (status_of(error) in _FOR_GOOD and not is_component_missing(error)):
        return StoreError(text)
    return StoreUnavailableError(text)


def refused_to_open(error: grpc.RpcError, address: str) -> StoreError:
    """Say why a sidecar did not tell what it has loaded."""
    if status_of(error) in _AWAY:
        return StoreUnavailableError(f"no Dapr sidecar answers at {address}: {words_of(error)}")
    hint = ""
    if status_of(error) is _Code.UNAUTHENTICATED:
        hint = TOKEN_HINT
    elif status_of(error) in {_Code.PERMISSION_DENIED, _Code.UNIMPLEMENTED}:
        hint = "; the sidecar's Configuration must allow the APIs metadata and state"
    return StoreError(f"the sidecar at {address} does not say what it has loaded: {words_of(error)}{hint}")
