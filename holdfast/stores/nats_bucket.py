"""The bucket that the documents are in: how it is created, and what an existing one can do."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from holdfast.core.errors import StoreError, StoreUnavailableError
from holdfast.ports import Capabilities
from holdfast.stores.nats_errors import refusal
from holdfast.stores.nats_keys import MAX_KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from holdfast.stores.nats_link import Link

__all__ = ["MAX_BATCH", "Bucket", "bucket_capabilities", "described", "find_bucket"]

MAX_BATCH: Final = 1_000
"""The most messages that the server takes in a batch."""

_MIB: Final = 1024 * 1024
_DEFAULT_PAYLOAD: Final = _MIB
_ROOM: Final = MAX_KEY_BYTES + 2_096
"""What a message needs besides its value: the limit of the server is for both together."""

_LEAST_VALUE_BYTES: Final = 64 * 1024
_PAUSE_SECONDS: Final = 0.1
_NO_STREAM: Final = 10059
_NAME_IN_USE: Final = 10058
_DUPLICATE_WINDOW_NS: Final = 120 * 10**9


@dataclass(frozen=True, slots=True)
class Bucket:
    """What there is to know of a bucket.

    Attributes:
        stream: The name of its stream.
        prefix: What the subject of a key begins with.
        atomic: It takes batches as a whole.
        direct: Reading past the leader is allowed, and there is nobody else who could answer with older documents.
        expiring: Messages can be told to expire, so that what marks a deletion need not stay for ever.
        durable: It is kept in files, which are written before a write is acknowledged.
        max_value_bytes: The largest value that it takes.
    """

    stream: str
    prefix: str
    atomic: bool = False
    direct: bool = False
    expiring: bool = False
    durable: bool = False
    max_value_bytes: int = _DEFAULT_PAYLOAD - _ROOM


def bucket_capabilities(bucket: Bucket) -> Capabilities:
    """Say what a store in this bucket can do."""
    return Capabilities(
        durable=bucket.durable,
        guard="key",
        atomic_batch=bucket.atomic,
        list_keys=True,
        max_value_bytes=bucket.max_value_bytes,
        max_batch=MAX_BATCH,
        max_batch_bytes=max(4 * _MIB, bucket.max_value_bytes + MAX_KEY_BYTES),
    )


async def find_bucket(link: Link, name: str, replicas: int, *, due: float) -> Bucket:
    """Find a bucket, or create it; one that exists stays as it is.

    JetStream is there a little later than its server, and later than that where a cluster has to agree on a leader.

    Args:
        link: The way to the server.
        name: Of the bucket.
        replicas: How many servers keep it, if it has to be created.
        due: When to give up waiting for JetStream, on the monotonic clock.

    Raises:
        StoreError: It would lose documents, or it cannot be created.
        StoreUnavailableError: JetStream did not answer.
    """
    while True:
        try:
            return await _open_bucket(link, name, replicas)
        except StoreUnavailableError as error:
            if time.monotonic() > due:
                msg = f"{error}; is JetStream enabled?"
                raise StoreUnavailableError(msg) from error
        await asyncio.sleep(_PAUSE_SECONDS)


async def _open_bucket(link: Link, name: str, replicas: int) -> Bucket:
    bucket = Bucket(f"KV_{name}", f"$KV.{name}.")
    doing = f"opening the bucket {name!r}"
    answer = await link.call_api(f"STREAM.INFO.{bucket.stream}", None, doing=doing)
    if answer.get("error", {}).get("err_code") == _NO_STREAM:
        answer = await link.call_api(f"STREAM.CREATE.{bucket.stream}", _new_config(bucket, replicas), doing=doing)
        if answer.get("error", {}).get("err_code") == _NAME_IN_USE:  # by another process, a moment ago
            answer = await link.call_api(f"STREAM.INFO.{bucket.stream}", None, doing=doing)
    if "error" in answer:
        raise refusal(answer["error"], doing)
    return described(bucket, answer["config"], link.client.max_payload)


def _new_config(bucket: Bucket, replicas: int) -> dict[str, Any]:
    """Describe a stream that other clients know for a bucket; a server that is older leaves out what it cannot do."""
    return {
        "name": bucket.stream,
        "subjects": [f"{bucket.prefix}>"],
        "retention": "limits",
        "storage": "file",
        "num_replicas": replicas,
        "max_msgs_per_subject": 1,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "max_msg_size": -1,
        "max_consumers": -1,
        "discard": "new",
        "duplicate_window": _DUPLICATE_WINDOW_NS,
        "deny_delete": True,
        "allow_rollup_hdrs": True,
        "allow_direct": True,
        "allow_msg_ttl": True,
        "allow_atomic": True,
    }


def described(bucket: Bucket, config: Mapping[str, Any], max_payload: int) -> Bucket:
    """Say what a bucket can do.

    Args:
        bucket: Its names.
        config: Of its stream, as the server gives it.
        max_payload: The largest message that the server takes.

    Raises:
        StoreError: It would lose documents, or does not take them.
    """
    faults = [fault for fault, is_there in _FAULTS if is_there(config)]
    if f"{bucket.prefix}>" not in config.get("subjects", []):
        faults.append(f"it does not hold the subjects {bucket.prefix}>")
    if faults:
        msg = f"the stream {bucket.stream} cannot keep documents: {'; '.join(faults)}"
        raise StoreError(msg)
    largest = [size for size in (max_payload, config.get("max_msg_size", -1)) if size > 0]
    return Bucket(
        bucket.stream,
        bucket.prefix,
        atomic=config.get("allow_atomic", False),
        # With replicas any of them answers a direct read, and one that lags behind with a document that is no more.
        direct=config.get("allow_direct", False) and config.get("num_replicas", 1) == 1,
        # Where a key has a history, the value before would come back with the end of the marker.
        expiring=config.get("allow_msg_ttl", False) and config.get("max_msgs_per_subject") == 1,
        durable=config.get("storage") == "file" and config.get("persist_mode", "default") == "default",
        max_value_bytes=max(1, min(largest) - _ROOM),
    )


def _is_positive(name: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda config: (config.get(name) or 0) > 0


def _is_set(name: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda config: bool(config.get(name))


def _discards_old(config: Mapping[str, Any]) -> bool:
    limited = _is_positive("max_bytes")(config) or _is_positive("max_msgs")(config)
    return config.get("discard", "old") == "old" and limited


def _takes_too_little(config: Mapping[str, Any]) -> bool:
    largest: int = config.get("max_msg_size", -1)
    return 0 < largest < _LEAST_VALUE_BYTES + _ROOM


_FAULTS: Final[tuple[tuple[str, Callable[[Mapping[str, Any]], bool]], ...]] = (
    ("documents would vanish with their age (max_age)", _is_positive("max_age")),
    ("documents would vanish to make room (discard old with max_bytes or max_msgs)", _discards_old),
    ("documents would vanish once they are read (retention)", lambda config: config.get("retention") != "limits"),
    ("keys could be written only once (discard_new_per_subject)", _is_set("discard_new_per_subject")),
    (
        f"it takes no documents of 64 KiB (max_msg_size has to be {_LEAST_VALUE_BYTES + _ROOM} or more)",
        _takes_too_little,
    ),
    ("it is a mirror, which nobody can write to", _is_set("mirror")),
    ("it is sealed", _is_set("sealed")),
)
