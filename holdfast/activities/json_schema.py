"""Checking values against a JSON Schema that somebody wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["checker"]


def checker(schema: dict[str, Any], name: str) -> Callable[[object], Iterator[tuple[str, str]]]:
    """Make the check of a schema: by the draft that it names, 2020-12 by default, formats included.

    References lead nowhere outside. What is said of a value does not show it, for it may be a secret.

    Args:
        schema: The schema.
        name: Of the tool, for messages.

    Returns:
        A function that gives, for each fault of a value, the path of the field and what is wrong with it.

    Raises:
        ModuleNotFoundError: The extra ``tools`` is not installed.
        ValueError: It is no schema, or refers to what is not in it.
    """
    try:
        from jsonschema_rs import ValidationError, validator_for  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        message = f"a tool with a schema of its own needs the extra: pip install 'holdfast[tools]' ({error})"
        raise ModuleNotFoundError(message, name=error.name) from error
    try:
        validator = validator_for(schema, offline=True, validate_formats=True, mask="it")
    except ValidationError as error:
        message = f"the schema of tool {name!r} cannot be used: {error.message}"
        raise ValueError(message) from error

    def faults(value: object) -> Iterator[tuple[str, str]]:
        for error in validator.iter_errors(value):
            yield ".".join(str(part) for part in error.instance_path), error.message

    return faults
