"""What can be wrong with the service itself, rather than with a request or a run.

ServiceError
├── StartupError      it cannot start; the text is one sentence for a person
└── NotReadyError     it cannot take work now
    ├── BusyError     every place for waiting requests is taken
    └── NoAnswerError the engine did not answer in time; whether the call took effect is unknown
"""

from __future__ import annotations

__all__ = ["BusyError", "NoAnswerError", "NotReadyError", "ServiceError", "StartupError"]


class ServiceError(Exception):
    """The root of the service's own errors."""


class StartupError(ServiceError):
    """The service cannot start as it is configured, or where it is."""


class NotReadyError(ServiceError):
    """The service takes no work now: it starts, ends, lost the runs to another process, or its store is away."""


class BusyError(NotReadyError):
    """Every place for requests that wait is taken."""


class NoAnswerError(NotReadyError):
    """The engine did not answer in time: whether the call took, or will take, effect is unknown."""
