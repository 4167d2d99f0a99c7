"""When to try a failed activity again: pure arithmetic on attempts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from holdfast.core.durations import Duration, milliseconds
from holdfast.core.errors import NonRetryableError, PayloadError

__all__ = ["MAX_INTERRUPTIONS", "RetryPolicy"]

MAX_INTERRUPTIONS = 10
"""How often an attempt that was lost with its process is made anew before the activity fails."""

_JITTER_LOW = 0.5


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how fast a failed activity is tried again.

    Attributes:
        max_attempts: Attempts in all, the first one included; None for no limit.
        initial_interval: The wait after the first failure.
        backoff_coefficient: What each wait is multiplied by for the next one.
        max_interval: The longest wait.
        non_retryable: Exception classes, or names of such, after which there is no further attempt.

    Each wait is multiplied by a random factor between 0.5 and 1.5, so that what failed together does not return
    together.
    """

    max_attempts: int | None = 3
    initial_interval: Duration = timedelta(seconds=0.1)
    backoff_coefficient: float = 2.0
    max_interval: Duration = timedelta(seconds=10)
    non_retryable: tuple[type[BaseException] | str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a policy that could not be carried out."""
        if self.max_attempts is not None and self.max_attempts < 1:
            message = f"max_attempts must be at least 1, or None for no limit, not {self.max_attempts}"
            raise ValueError(message)
        if not self.backoff_coefficient >= 1:
            message = f"backoff_coefficient must be at least 1, not {self.backoff_coefficient}"
            raise ValueError(message)
        milliseconds(self.initial_interval, "initial_interval")
        milliseconds(self.max_interval, "max_interval")

    def wait_ms(self, failures: int, chance: float) -> int:
        """Say how long to wait after the nth failure.

        Args:
            failures: How many attempts have failed, from 1.
            chance: A random number in [0, 1).
        """
        longest = milliseconds(self.max_interval, "max_interval")
        first = milliseconds(self.initial_interval, "initial_interval")
        try:
            wait = min(float(longest), first * self.backoff_coefficient ** (failures - 1))
        except OverflowError:
            wait = float(longest)
        return round(wait * (_JITTER_LOW + chance))

    def retries(self, error: BaseException, failures: int) -> bool:
        """Say whether there is another attempt after this failure, the nth."""
        if self.max_attempts is not None and failures >= self.max_attempts:
            return False
        if isinstance(error, (NonRetryableError, PayloadError)):
            return False
        names = {kind.__name__ for kind in type(error).__mro__}
        return not any(
            kind in names if isinstance(kind, str) else isinstance(error, kind) for kind in self.non_retryable
        )
