"""Pub/sub of a real sidecar: its component on Redis, its policy, and publishing through it."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from tests.integration.sidecar import ROOT, StateComponent, Text, state_component

CLOUD_EVENT = "application/cloudevents+json"


def shipped(path: str) -> Text:
    """A resource of `dapr/`, which is for the application ``holdfast`` alone."""
    return Text(Path(path).stem, (ROOT / "dapr" / path).read_text(encoding="utf-8"))


RESILIENCY = shipped("resiliency.yaml")
"""Without it the sidecar takes a message for done that is to come again."""
SUBSCRIPTIONS = (shipped("subscriptions/workflow-signals.yaml"), shipped("subscriptions/workflow-resume.yaml"))


def redis_pubsub(port: int, name: str = "pubsub", **metadata: str) -> StateComponent:
    """The pub/sub component as it is meant to be used."""
    fixed = {
        "redisHost": f"127.0.0.1:{port}",
        "redisPassword": "",
        "concurrency": "200",
        "queueDepth": "1000",
        "processingTimeout": "10000",
        "redeliverInterval": "2000",
    }
    return StateComponent(name, "pubsub.redis", {**fixed, **metadata})


def redis_state(port: int) -> StateComponent:
    return state_component("redis", str(port))


def signal_event(workflow_id: str, id: str, data: object, signal: str = "n", **attributes: object) -> dict[str, Any]:
    """A CloudEvent that signals a run."""
    return {
        "specversion": "1.0",
        "type": "test",
        "source": "tests",
        "id": id,
        "workflowid": workflow_id,
        "signalname": signal,
        "datacontenttype": "application/json",
        "data": data,
        **attributes,
    }


class Publisher:
    """Publishes through a sidecar, over HTTP.

    Args:
        http_port: Of the sidecar.
        token: That opens its API.
    """

    def __init__(self, http_port: int, token: str = "") -> None:
        self._url = f"http://127.0.0.1:{http_port}/v1.0"
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.update({"dapr-api-token": token} if token else {})

    def publish(
        self,
        content: object,
        topic: str = "workflow-signals",
        type: str = CLOUD_EVENT,
        pubsub: str = "pubsub",
        **metadata: str,
    ) -> None:
        """Publish one message: bytes as they are, anything else as JSON."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        query = {f"metadata.{name}": value for name, value in metadata.items()}
        self._post(f"/publish/{pubsub}/{topic}", body, type, query)

    def publish_all(
        self, events: Sequence[Mapping[str, Any]], topic: str = "workflow-signals", pubsub: str = "pubsub"
    ) -> None:
        """Publish CloudEvents in one call."""
        self.publish_entries([bulk_entry(number, event) for number, event in enumerate(events)], topic, pubsub)

    def publish_entries(
        self, entries: Sequence[Mapping[str, Any]], topic: str = "workflow-signals", pubsub: str = "pubsub"
    ) -> None:
        self._post(f"/publish/bulk/{pubsub}/{topic}", json.dumps(entries).encode(), "application/json", {})

    def _post(self, path: str, body: bytes, type: str, query: Mapping[str, str]) -> None:
        answer = self._session.post(
            self._url + path, data=body, headers={"Content-Type": type}, params=dict(query), timeout=10
        )
        if answer.status_code != 204:
            raise requests.HTTPError(f"{answer.status_code} {answer.text[:300]}", response=answer)


def bulk_entry(number: int, event: object, type: str = CLOUD_EVENT, **metadata: str) -> dict[str, Any]:
    return {"entryId": str(number), "event": event, "contentType": type, "metadata": metadata}


def raw_bytes(value: bytes) -> str:
    """Bytes as a bulk entry carries them."""
    return base64.b64encode(value).decode()


def left_over(redis_port: int, topic: str = "workflow-signals") -> dict[str, tuple[int, int]]:
    """Ask Redis how many messages of a topic have not been acknowledged, and how many not been read, by app id.

    What it calls the lag is a statistic that it may lose when it reads its file again; so those behind are counted.
    """
    groups = _redis(redis_port, "XINFO", "GROUPS", topic)
    return {group["name"]: (int(group["pending"]), _unread(redis_port, topic, group)) for group in groups}


def _unread(redis_port: int, topic: str, group: dict[str, Any]) -> int:
    return len(_redis(redis_port, "XRANGE", topic, f"({group['last-delivered-id']}", "+", "COUNT", "1000"))


def _redis(port: int, *words: str) -> Any:  # noqa: ANN401 - of each command its own
    command = ["redis-cli", "-h", "127.0.0.1", "-p", str(port), "--json", *words]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
