"""Finding out whether the sidecar brings a message again that it was asked to bring again.

Without an inbound resiliency policy it does not: it tells the broker that the message is done, and the message is gone.
Nothing in its API says whether there is such a policy, so the service tries: it publishes a probe, asks for it again
when it comes, and sees whether it does.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

import requests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.sidecar.batches import Entry

__all__ = ["PROBE_TOPIC", "Publisher", "Redelivery", "RetryProbe"]

PROBE_TOPIC: Final = "holdfast-probe"
_TRIES: Final = 10
_SECONDS: Final = 3.0
_PATIENCE: Final = 20.0
_log = logging.getLogger("holdfast.sidecar")


class Redelivery(StrEnum):
    """What is known of a pub/sub component.

    Attributes:
        UNKNOWN: The component has not brought any probe yet.
        CHECKING: The probe is on its way.
        KEPT: What is to come again does.
        LOST: It does not: the component needs an inbound resiliency policy.
    """

    UNKNOWN = "unknown"
    CHECKING = "checking"
    KEPT = "kept"
    LOST = "lost"


@dataclass(slots=True)
class _Round:
    """One probe of one component.

    Attributes:
        token: Names it.
        id: Of the event that came; others of the same probe may have been on their way as well.
    """

    token: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    id: str = ""
    came: threading.Event = field(default_factory=threading.Event)
    came_again: threading.Event = field(default_factory=threading.Event)


class Publisher(Protocol):
    """What a probe needs of the way to the sidecar."""

    def publish(self, component: str, topic: str, event: object) -> None:
        """Publish a CloudEvent.

        Raises:
            requests.RequestException: The sidecar does not answer, or refuses to.
        """
        ...


class RetryProbe:
    """Probes the pub/sub components that the service subscribes to, whenever its sidecar has started.

    Attributes:
        found: What is known of each component.
    """

    def __init__(self, client: Publisher, components: Sequence[str], patience: float = _PATIENCE) -> None:
        """Know nothing yet.

        Args:
            client: Publishes to the sidecar.
            components: The pub/sub components.
            patience: For how many seconds a probe is awaited that is to come again.
        """
        self.found: dict[str, Redelivery] = dict.fromkeys(components, Redelivery.UNKNOWN)
        self._client = client
        self._patience = patience
        self._rounds: dict[str, _Round] = {}

    def begin(self) -> None:
        """Probe each component, beside whatever else goes on; a probe that is under way counts no more."""
        for component in self.found:
            current = self._rounds[component] = _Round()
            threading.Thread(target=self._probe, args=(component, current), name="holdfast-probe", daemon=True).start()

    def trouble(self) -> str:
        """Say what is wrong; empty where nothing is known to be."""
        lost = [component for component, found in self.found.items() if found is Redelivery.LOST]
        if not lost:
            return ""
        return (
            f"the sidecar does not bring messages of {', '.join(lost)} again that it is asked to: give the component "
            "an inbound resiliency policy with unlimited retries (dapr/resiliency.yaml)"
        )

    def _probe(self, component: str, current: _Round) -> None:
        """Find out; what is known already stands until then."""
        if self.found[component] is Redelivery.UNKNOWN:
            self.found[component] = Redelivery.CHECKING
        verdict = self._verdict(component, current)
        if self._rounds[component] is not current:  # the sidecar has started again meanwhile
            return
        if verdict is not Redelivery.UNKNOWN or self.found[component] is Redelivery.CHECKING:
            self.found[component] = verdict
        if verdict is Redelivery.LOST:
            _log.error("%s", self.trouble())
        elif verdict is Redelivery.KEPT:
            _log.info("the sidecar brings messages of %r again that it is asked to", component)
        else:
            _log.warning("the pub/sub component %r has not brought a probe: no signals may come from it", component)

    def _verdict(self, component: str, current: _Round) -> Redelivery:
        """Publish until the probe comes: the subscription may begin a moment after the sidecar has asked for it."""
        for number in range(_TRIES):
            if self._rounds[component] is not current:
                break
            event = {
                "specversion": "1.0",
                "id": f"{current.token}-{number}",
                "source": "holdfast",
                "type": "holdfast.probe",
                "datacontenttype": "application/json",
                "data": {"probe": current.token},
            }
            try:
                self._client.publish(component, PROBE_TOPIC, event)
            except requests.RequestException as error:
                _log.debug("the probe of %r could not be published: %s", component, error)
            if current.came.wait(_SECONDS):
                return Redelivery.KEPT if current.came_again.wait(self._patience) else Redelivery.LOST
        return Redelivery.UNKNOWN

    def answer(self, entries: Sequence[Entry]) -> list[str]:
        """Ask for each probe of ours once more; those of others, and of former processes, are done."""
        return [self._one(entry) for entry in entries]

    def _one(self, entry: Entry) -> str:
        token, event_id = _read(entry.value)
        current = next((each for each in self._rounds.values() if each.token == token), None)
        if current is None:
            return "SUCCESS"
        if not current.id:
            current.id = event_id
            current.came.set()
            return "RETRY"
        if current.id == event_id:
            current.came_again.set()
        return "SUCCESS"


def _read(value: bytes) -> tuple[str, str]:
    """Give the token and the id of a probe; empty where it is none."""
    try:
        event: Any = json.loads(value)
        return str(event["data"]["probe"]), str(event["id"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return "", ""
