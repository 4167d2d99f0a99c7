"""The executors that there are, by name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from holdfast.core.errors import UnknownProviderError

if TYPE_CHECKING:
    from holdfast.engine.handle import WorkflowHandle

__all__ = ["Executor", "Factory", "names", "new", "register"]


class Executor(Protocol):
    """What can start runs and talk to them."""

    async def start(self, workflow: Any, input: object = None, *args: Any, **options: Any) -> WorkflowHandle:  # noqa: ANN401
        """Start a run, with whatever options this executor has (all of them by name)."""
        ...

    async def signal(self, workflow_id: str, name: str, payload: object = None, *, id: str | None = None) -> None:
        """Send a signal to a run."""
        ...

    async def query(self, workflow_id: str, name: str, input: object = None) -> Any:  # noqa: ANN401
        """Ask a run for a view of itself."""
        ...

    async def cancel(self, workflow_id: str, *, reason: str = "") -> None:
        """Ask a run to cancel."""
        ...


Factory = Callable[..., Executor]
"""Makes an executor from named options."""

_factories: dict[str, Factory | str] = {"default": "holdfast.engine.engine:Engine"}
"""Factories by name; a text names a module and what to take from it, and is imported when it is first asked for."""


def register(name: str, factory: Factory) -> None:
    """Let an executor be made by name; a name that is there is replaced."""
    _factories[name] = factory


def new(name: str, **options: Any) -> Executor:  # noqa: ANN401 - the factory's own options
    """Make an executor.

    Args:
        name: One of `names`.
        options: Whatever its factory takes; for ``default`` the arguments of `Engine`, the store among them.

    Raises:
        UnknownProviderError: There is none of that name.
    """
    factory = _factories.get(name)
    if factory is None:
        kind = "executor"
        raise UnknownProviderError(kind, name, names())
    if isinstance(factory, str):
        module, _, attribute = factory.partition(":")
        factory = getattr(import_module(module), attribute)
    return factory(**options)


def names() -> list[str]:
    """List the names of all executors, sorted."""
    return sorted(_factories)
