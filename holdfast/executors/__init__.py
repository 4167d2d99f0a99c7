"""Executors: what runs workflows. The engine is the default one; others are registered by name."""

from holdfast.executors.middleware import apply_middleware, with_hooks, with_tracing
from holdfast.executors.registry import Executor, Factory, names, new, register

__all__ = [
    "Executor",
    "Factory",
    "apply_middleware",
    "names",
    "new",
    "register",
    "with_hooks",
    "with_tracing",
]
