"""The sidecar's resources, with the address of the Redis that runs now."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import yaml

from tools.run_dapr.network import is_listening

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["RedisUrlError", "RunningRedis", "reach_redis", "read_redis_url", "rendered", "uses_redis"]


_URL: Final = re.compile(
    r"redis://(:(?P<password>[^@/]+)@)?(?P<host>\[[0-9a-fA-F:.]+\]|[\w.-]+)(:(?P<port>\d+))?(/0?)?"
)


class RedisUrlError(ValueError):
    """``REDIS_URL`` cannot be used."""


@dataclass(frozen=True, slots=True)
class RunningRedis:
    """Where a Redis is, and what opens it.

    Attributes:
        address: ``host:port``.
        password: Empty where there is none.
    """

    address: str
    password: str = ""


def read_redis_url(url: str) -> RunningRedis:
    """Read ``redis://host:port`` or ``redis://:password@host:port``.

    Raises:
        RedisUrlError: It asks for more than that: TLS, a user or a database want components of their own.
    """
    match = _URL.fullmatch(url)
    if match is None:
        message = "REDIS_URL: write redis://host:port or redis://:password@host:port"
        raise RedisUrlError(message)
    return RunningRedis(f"{match['host']}:{match['port'] or 6379}", unquote(match["password"] or ""))


def reach_redis(url: str) -> None:
    """See that a Redis is there, before anything waits for it in vain.

    Args:
        url: What ``REDIS_URL`` says; empty where it says nothing.

    Raises:
        RedisUrlError: It cannot be used, or nobody answers.
    """
    address = read_redis_url(url).address if url else ""
    if address and not is_listening(address):
        message = f"REDIS_URL: nothing takes connections at {address}: start the Redis, or leave REDIS_URL away"
        raise RedisUrlError(message)


def uses_redis(folders: Sequence[Path]) -> bool:
    """Say whether any of the components is on Redis."""
    return any(_is_on_redis(document) for folder in folders for _, document in _documents(folder))


def rendered(folders: Sequence[Path], redis: RunningRedis, target: Path) -> list[Path]:
    """Copy the folders that have components on Redis, with its address in them; the others serve as they are."""
    return [_render(folder, redis, target / "-".join(folder.parts)) for folder in folders]


def _render(folder: Path, redis: RunningRedis, copy: Path) -> Path:
    documents = list(_documents(folder))
    if not any(_is_on_redis(document) for _, document in documents):
        return folder
    copy.mkdir(parents=True, exist_ok=True)
    for name, document in documents:
        if _is_on_redis(document):
            host = next(item for item in document["spec"]["metadata"] if item["name"] == "redisHost")
            host["value"] = redis.address
        (copy / name).write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return copy


def _documents(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read the files of a folder, each of one document."""
    for path in sorted(folder.glob("*.yaml")):
        yield path.name, yaml.safe_load(path.read_text(encoding="utf-8"))


def _is_on_redis(document: dict[str, Any]) -> bool:
    return document["kind"] == "Component" and str(document["spec"]["type"]).endswith(".redis")
