"""Another application, which subscribes to a topic through a sidecar of its own."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from typing import Any, Self

import grpc
from dapr.proto import api_service_v1, api_v1, appcallback_v1

from tests.integration.processes import SECONDS
from tests.integration.sidecar import Sidecar

_Request = api_v1.SubscribeTopicEventsRequestAlpha1
_Processed = api_v1.SubscribeTopicEventsRequestProcessedAlpha1


class Listener:
    """Takes the events of a topic over a stream, and acknowledges each.

    Attributes:
        heard: The id and data of each event, as they came.
    """

    def __init__(self, sidecar: Sidecar, pubsub: str, topic: str) -> None:
        self.heard: list[tuple[str, Any]] = []
        self._channel = grpc.insecure_channel(sidecar.address)
        self._first = api_v1.SubscribeTopicEventsRequestInitialAlpha1(pubsub_name=pubsub, topic=topic)
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def ids(self) -> set[str]:
        return {id for id, _ in self.heard}

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(SECONDS), "the subscription is not answered"
        return self

    def __exit__(self, *_error: object) -> None:
        self._answers.put(None)
        self._channel.close()
        self._thread.join(SECONDS)

    def _listen(self) -> None:
        stub: Any = api_service_v1.DaprStub
        self._answers.put(_Request(initial_request=self._first))
        try:
            for message in stub(self._channel).SubscribeTopicEventsAlpha1(self._requests()):
                if message.HasField("initial_response"):
                    self._ready.set()
                    continue
                event = message.event_message
                self.heard.append((event.id, json.loads(event.data)))
                status = appcallback_v1.TopicEventResponse(status=appcallback_v1.TopicEventResponse.SUCCESS)
                self._answers.put(_Request(event_processed=_Processed(id=event.id, status=status)))
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.CANCELLED:
                raise

    def _requests(self) -> Iterator[Any]:
        while (request := self._answers.get()) is not None:
            yield request
