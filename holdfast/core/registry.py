"""Where workflows and activities are looked up: by name and version, or by their function."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from holdfast.core.definitions import ActivityDefinition, WorkflowDefinition, workflow_name
from holdfast.core.errors import WorkflowNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from holdfast.core.definitions import ActivityFunction, WorkflowFunction

__all__ = ["Registry"]


@dataclass(slots=True)
class Registry:
    """The workflows and activities that a process can run."""

    _workflows: dict[tuple[str, str], WorkflowDefinition] = field(default_factory=dict)
    _newest: dict[str, WorkflowDefinition] = field(default_factory=dict)
    _activities: dict[str, ActivityDefinition] = field(default_factory=dict)
    _by_function: dict[Callable[..., Any], ActivityDefinition] = field(default_factory=dict)

    @classmethod
    def of(cls, workflows: Iterable[WorkflowFunction], activities: Iterable[ActivityFunction]) -> Registry:
        """Register functions; of several versions of a workflow, new runs get the last one named.

        Raises:
            TypeError: A function cannot be used as what it is registered for.
            ValueError: Two functions claim one name (and version).
        """
        registry = cls()
        for function in workflows:
            registry.add_workflow(WorkflowDefinition.of(function))
        for function in activities:
            registry.add_activity(ActivityDefinition.of(function))
        return registry

    def add_workflow(self, definition: WorkflowDefinition) -> None:
        """Register a workflow as the newest of its name."""
        key = (definition.name, definition.version)
        known = self._workflows.get(key)
        if known is not None and known.function is not definition.function:
            message = f"two workflows are named {definition.name!r} version {definition.version!r}"
            raise ValueError(message)
        self._workflows[key] = self._newest[definition.name] = definition

    def add_activity(self, definition: ActivityDefinition, *, replacing: bool = False) -> None:
        """Register an activity; a second one of its name needs `replacing`."""
        known = self._activities.get(definition.name)
        if known is not None and known.function is not definition.function and not replacing:
            message = f"two activities are named {definition.name!r}"
            raise ValueError(message)
        self._activities[definition.name] = definition
        self._by_function[definition.function] = definition

    def find(self, target: WorkflowFunction | str, version: str | None = None) -> WorkflowDefinition | None:
        """Look a workflow up by function or name: that version, or else the newest; None where there is none."""
        name = target if isinstance(target, str) else workflow_name(target)
        found = self._workflows.get((name, version)) if version is not None else None
        return found or self._newest.get(name)

    def workflow(self, target: WorkflowFunction | str, version: str | None = None) -> WorkflowDefinition:
        """Look a workflow up by function or name: that version, or else the newest.

        Raises:
            WorkflowNotFoundError: None of that name is registered.
        """
        found = self.find(target, version)
        if found is None:
            name = target if isinstance(target, str) else workflow_name(target)
            message = f"no workflow {name!r} is registered here; known: {', '.join(sorted(self._newest)) or 'none'}"
            raise WorkflowNotFoundError(message)
        return found

    def activity(self, name: str) -> ActivityDefinition | None:
        """Look an activity up by name; None where it is not registered (yet)."""
        return self._activities.get(name)

    def activity_of(self, function: ActivityFunction) -> ActivityDefinition:
        """Look an activity up by its function, registered or not."""
        known = self._by_function.get(function)
        return known if known is not None else ActivityDefinition.of(function)

    def workflows(self) -> list[WorkflowDefinition]:
        """List every registered workflow and version, by name."""
        return sorted(self._workflows.values(), key=lambda known: (known.name, known.version))
