"""What the refusals of a NATS server and the errors of its client mean for the caller: try again, or never."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from nats import errors

from holdfast.core.errors import StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nats.aio.msg import Msg

__all__ = ["NO_RESPONDERS", "client_errors", "is_conflict", "refusal", "status_of", "unexpected"]

NO_RESPONDERS: Final = "503"
_BAD_REQUEST: Final = 400
_CONFLICTS: Final = {10071, 10164}
"""Wrong last sequence: somebody else has written the key."""

_PASSING: Final = {
    10166,  # the bucket no longer lets messages expire, or ...
    10174,  # ... takes no batches any more: it was changed while in use, and nothing is wrong with the documents
    10176,  # the server was restarted, or its stream moved, in the middle of a batch
}
_LASTING: Final = {
    10052,  # no server takes the configuration of the bucket, such as more replicas than there can be, or ...
    10074,  # ... this one takes none with replicas, being alone
}
_FOR_GOOD: Final = (errors.MaxPayloadError, errors.BadSubjectError, errors.BadHeaderError)


def is_conflict(error: Mapping[str, Any]) -> bool:
    """Say whether an error of the JetStream API means that an expected revision is not the newest."""
    return error.get("err_code") in _CONFLICTS


def refusal(error: Mapping[str, Any], doing: str) -> StoreError:
    """Say what an error of the JetStream API means.

    Args:
        error: Its ``code``, ``err_code`` and ``description``.
        doing: What was done, for the text: ``writing 5 documents``.

    Returns:
        `StoreError` for what the server will never take, else `StoreUnavailableError`.
    """
    text = f"NATS failed {doing}: {error.get('description')} ({error.get('err_code')})"
    number = error.get("err_code")
    if number in _LASTING or (error.get("code") == _BAD_REQUEST and number not in _PASSING):
        return StoreError(text)
    return StoreUnavailableError(text)


def status_of(message: Msg) -> str:
    """Give the status of an answer that is nothing but a status, such as ``404``; empty for all others."""
    return (message.headers or {}).get("Status", "")


def unexpected(message: Msg, doing: str) -> StoreUnavailableError:
    """Say that an answer is not the one to be expected; with `NO_RESPONDERS` nobody is there to give one."""
    if status_of(message) == NO_RESPONDERS:
        return StoreUnavailableError(f"NATS failed {doing}: nobody serves the bucket at the moment")
    words = (message.headers or {}).get("Description") or message.data[:100].decode(errors="replace")
    return StoreUnavailableError(f"NATS failed {doing}: {status_of(message)} {words}".rstrip())


@contextmanager
def client_errors(doing: str) -> Iterator[None]:
    """Translate what the client raises: hardly anything but time-outs and the loss of the connection."""
    try:
        yield
    except _FOR_GOOD as error:
        msg = f"NATS does not take {doing}: {error}"
        raise StoreError(msg) from error
    except TimeoutError as error:
        msg = f"NATS did not answer in time, {doing}"
        raise StoreUnavailableError(msg) from error
    except (errors.Error, OSError) as error:
        msg = f"NATS failed {doing}: {error}"
        raise StoreUnavailableError(msg) from error
