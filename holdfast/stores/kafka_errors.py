"""What an error of Kafka's client means for the caller: try again, or never."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, KafkaException

from holdfast.core.errors import StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["translating"]

_FOR_GOOD: Final = {
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.RECORD_LIST_TOO_LARGE,
    KafkaError.INVALID_RECORD,
    KafkaError.POLICY_VIOLATION,
}


@contextmanager
def translating(doing: str) -> Iterator[None]:
    """Raise what the client raises as errors of a store.

    Args:
        doing: What is done, for the text: ``committing 5 records``.

    Raises:
        StoreUnavailableError: The outcome is unknown, or the brokers are away.
        StoreError: They refuse it for good.
    """
    try:
        yield
    except (KafkaException, BufferError) as error:
        raise _translated(error, doing) from error


def _translated(error: KafkaException | BufferError, doing: str) -> StoreError:
    cause = error.args[0] if error.args else error
    text = f"Kafka failed {doing}: {cause.str() if isinstance(cause, KafkaError) else cause}"
    if isinstance(cause, KafkaError) and cause.code() in _FOR_GOOD:
        return StoreError(text)
    return StoreUnavailableError(text)
