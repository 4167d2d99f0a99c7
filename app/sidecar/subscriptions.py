"""The topics that the service wants of its sidecar, and how their records become signals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from app.sidecar.probe import PROBE_TOPIC
from holdfast import TopicMapping
from holdfast.engine.messages.timers import SCHEDULER_TOPIC

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.settings import Settings

__all__ = ["mappings", "pubsubs", "subscriptions", "topics"]

_BULK: Final = {"enabled": True, "maxMessagesCount": 100, "maxAwaitDurationMs": 10}


def mappings(settings: Settings) -> list[TopicMapping]:
    """Say how the records of each topic become signals: of our own topics, and of those that are mapped."""
    own = [TopicMapping(settings.signals_topic)]
    mapped = [
        TopicMapping(each.topic, each.workflow_id, each.signal, each.start, each.sequence) for each in settings.topics
    ]
    return list({mapping.topic: mapping for mapping in [*own, *mapped]}.values())


def topics(settings: Settings) -> list[str]:
    """List the topics whose records are wanted."""
    own = [settings.resume_topic, *([SCHEDULER_TOPIC] if settings.scheduler else [])]
    return list(dict.fromkeys([*(mapping.topic for mapping in mappings(settings)), *own]))


def pubsubs(settings: Settings) -> list[str]:
    """List the pub/sub components that topics are wanted of."""
    return list(dict.fromkeys([settings.pubsub, *(each.pubsub or settings.pubsub for each in settings.topics)]))


def _wanted(settings: Settings) -> Iterable[tuple[str, str]]:
    """Give pub/sub component and topic of each subscription."""
    if settings.subscribe == "programmatic":
        components = {each.topic: each.pubsub or settings.pubsub for each in settings.topics}
        for topic in topics(settings):
            yield components.get(topic, settings.pubsub), topic
    for component in pubsubs(settings):
        yield component, PROBE_TOPIC


def subscriptions(settings: Settings) -> list[dict[str, Any]]:
    """Give the answer to the sidecar's question.

    Only bulk subscriptions: an ordinary one loses messages while nobody listens, whatever its retries.
    """
    return [
        {"pubsubname": component, "topic": topic, "route": f"/dapr/pubsub/{topic}", "bulkSubscribe": _BULK}
        for component, topic in _wanted(settings)
    ]
