"""Activities that a run waits for: which attempt is on, and what is known of those before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.core.failure import FailureInfo
from holdfast.core.retry import MAX_INTERRUPTIONS

if TYPE_CHECKING:
    from holdfast.core.activities import ActivityOptions

__all__ = ["PendingActivity"]


class PendingActivity:
    """One call of an activity that has no result yet.

    Attributes:
        id: The command's id.
        name: The activity.
        value: Its input, as JSON.
        options: Its limits and retry policy.
        scheduled_at: When the call was issued, in milliseconds since 1970.
        attempt: The number of the attempt that is on, or due.
        failures: How many attempts have failed.
        interruptions: How many were lost with their process.
        due: When the attempt is due; 0 where it is on.
        parked: It has not been dispatched: the activity is not registered here, or the process was about to end.
        failure: What the last failed attempt failed with.
        heartbeat: What was last told with a heartbeat, as a JSON value.
    """

    attempt = 1
    failures = 0
    interruptions = 0
    due = 0
    parked = False
    failure: FailureInfo | None = None
    heartbeat: Any = None

    def __init__(self, id: str, name: str, value: bytes, options: ActivityOptions, scheduled_at: int) -> None:
        """Describe a call whose first attempt is on; most calls are never more than that."""
        self.id = id
        self.name = name
        self.value = value
        self.options = options
        self.scheduled_at = scheduled_at

    @property
    def is_plain(self) -> bool:
        """Whether it is a first attempt of which there is nothing to tell."""
        return self.attempt == 1 and not self.parked and self.heartbeat is None

    @property
    def deadline(self) -> int:
        """When the call as a whole is out of time; 0 for never."""
        limit = self.options.schedule_to_close_ms
        return 0 if limit is None else self.scheduled_at + limit

    def failed(self, failure: FailureInfo, due: int) -> None:
        """Count a failed attempt, and set when the next one is due."""
        self.failures += 1
        self.attempt += 1
        self.failure = failure
        self.due = due

    def interrupted(self) -> bool:
        """Count an attempt that was lost with its process; False where there may be no other."""
        if self.options.retry.max_attempts == 1 or self.interruptions >= MAX_INTERRUPTIONS:
            return False
        self.interruptions += 1
        self.attempt += 1
        return True

    def to_json(self, *, with_failure: bool) -> dict[str, Any]:
        """Give what stands in the head beyond what the history tells."""
        stored: dict[str, Any] = {"attempt": self.attempt}
        for name in ("failures", "interruptions", "due", "parked"):
            value = getattr(self, name)
            if value:
                stored[name] = value
        if self.heartbeat is not None:
            stored["heartbeat"] = self.heartbeat
        if self.failure is not None and with_failure:
            stored["failure"] = FailureInfo(self.failure.type, self.failure.message[:500]).to_json()
        return stored

    def restore(self, stored: dict[str, Any]) -> None:
        """Take over what stood in the head."""
        for name, value in stored.items():
            setattr(self, name, FailureInfo.from_json(value) if name == "failure" else value)
