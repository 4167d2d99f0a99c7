"""Testing workflows: an environment that skips time, replay of recorded histories, a suite for stores."""

from holdfast.testing.clock import SkippingClock
from holdfast.testing.environment import TestEnvironment
from holdfast.testing.replaying import load_history, replay, save_history

__all__ = [
    "SkippingClock",
    "TestEnvironment",
    "load_history",
    "replay",
    "save_history",
]
