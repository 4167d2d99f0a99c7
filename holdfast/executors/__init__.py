"""Executors: what runs workflows. The engine is the default one; others are registered by name."""

from holdfast.executors.middleware import apply_middleware, with_hooks
from holdfast.executors.registry import Executor, Factory, names, new, register
from holdfast.executors.tracing import open_telemetry, with_tracing

__all__ = [
    "Executor",
    "Factory",
    "apply_middleware",
    "names",
    "new",
    "open_telemetry",
    "register",
    "with_hooks",
    "with_tracing",
]
