"""The topic of a `KafkaStore`: created where there is none, else looked at before anything is trusted to it."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from holdfast.core.errors import StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    from confluent_kafka.admin import ConfigEntry

__all__ = ["Topic", "prepared"]

_MIB: Final = 1024 * 1024
_LOOK_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.05
_CONFIG: Final = {
    "cleanup.policy": "compact",
    "max.message.bytes": str(2 * _MIB + 64 * 1024),
    # Only closed segments are compacted, and all that is not has to be read at the start of every process.
    "segment.bytes": str(64 * _MIB),
    "min.cleanable.dirty.ratio": "0.2",
}
_VALUE: Final = re.compile(r'(?<=Invalid value )".*"(?= for )', re.DOTALL)
_REFUSALS: Final = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError._AUTHENTICATION,  # noqa: SLF001 - so the client names what it finds out by itself
    KafkaError.INVALID_REPLICATION_FACTOR,
    KafkaError.INVALID_CONFIG,
    KafkaError.INVALID_PARTITIONS,
    KafkaError.TOPIC_EXCEPTION,
    KafkaError.POLICY_VIOLATION,
}


class Topic(NamedTuple):
    """What a topic is set to.

    Attributes:
        max_bytes: The largest batch of records that it takes.
        tombstone_seconds: For how long it remembers that a key was deleted.
    """

    max_bytes: int
    tombstone_seconds: float


def prepared(config: Mapping[str, Any], name: str, partition: int, replicas: int | None, seconds: float) -> Topic:
    """Wait for the brokers, create the topic unless it exists, and see that it keeps what it is given.

    Args:
        config: How to reach the brokers.
        name: The topic.
        partition: A partition that it has to have.
        replicas: How many brokers are to hold a topic that is created; None as the cluster is set.
        seconds: How long to wait for the brokers.

    Raises:
        StoreUnavailableError: They did not answer in time.
        StoreError: They refuse it, or the topic would forget documents, or it lacks the partition.
    """
    admin = _client(config)
    due = time.monotonic() + seconds
    partitions = _partitions(admin, name, due, config["bootstrap.servers"])
    if partitions is None:
        new = NewTopic(name, partition + 1, -1 if replicas is None else replicas, config=dict(_CONFIG))
        _created(admin.create_topics([new])[name], name)
        partitions = partition + 1
    if partition >= partitions:
        msg = f"topic {name!r} has {partitions} partitions, numbered from 0: there is no partition {partition}"
        raise StoreError(msg)
    return _checked(_settings(admin, name, due), name)


def _client(config: Mapping[str, Any]) -> AdminClient:
    try:
        return AdminClient({**config, "log_level": 2})
    except KafkaException as error:
        cause = _VALUE.sub("a value that is not allowed", error.args[0].str())  # it may be a secret in the wrong line
        msg = f"Kafka's client cannot be set like this: {cause}"
        raise StoreError(msg) from error


def _partitions(admin: AdminClient, name: str, due: float, servers: str) -> int | None:
    """Ask how many partitions a topic has, until the brokers answer; None where it does not exist."""
    while True:
        try:
            topics = admin.list_topics(timeout=_LOOK_SECONDS).topics
        except KafkaException as error:
            if time.monotonic() > due or _is_refusal(error):
                raise _failed(error, f"no broker answers at {servers}") from error
        else:
            return len(topics[name].partitions) if name in topics else None


def _created(done: Future[None], name: str) -> None:
    try:
        done.result()
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # by another process, this moment
            raise _failed(error, f"topic {name!r} cannot be created") from error


def _settings(admin: AdminClient, name: str, due: float) -> Mapping[str, ConfigEntry]:
    """Ask how a topic is set, until the broker knows it: one that was just created takes a moment to be known."""
    resource = ConfigResource(ConfigResource.Type.TOPIC, name)
    while True:
        try:
            found: Mapping[str, ConfigEntry] = admin.describe_configs([resource])[resource].result()
        except KafkaException as error:
            if time.monotonic() > due or _is_refusal(error):
                raise _failed(error, f"topic {name!r} does not say how it is set") from error
            time.sleep(_PAUSE_SECONDS)
        else:
            return found


def _checked(settings: Mapping[str, ConfigEntry], name: str) -> Topic:
    policy = settings["cleanup.policy"].value
    if policy != "compact":
        msg = (
            f"topic {name!r} has cleanup.policy={policy}, which forgets documents after a while; "
            f"set cleanup.policy=compact, or name another topic"
        )
        raise StoreError(msg)
    return Topic(_number(settings, "max.message.bytes"), _number(settings, "delete.retention.ms") / 1_000)


def _number(settings: Mapping[str, ConfigEntry], name: str) -> int:
    return int(settings[name].value or 0)


def _is_refusal(error: KafkaException) -> bool:
    return error.args[0].code() in _REFUSALS


def _failed(error: KafkaException, what: str) -> StoreError:
    kind = StoreError if _is_refusal(error) else StoreUnavailableError
    return kind(f"{what}: {error.args[0].str()}")
