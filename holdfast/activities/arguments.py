"""The arguments of a tool: their JSON Schema, and checking what a model wrote against it."""

from __future__ import annotations

import inspect
import typing
from typing import TYPE_CHECKING, Any, Final

import orjson
from pydantic import ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticSchemaGenerationError

from holdfast.core.activities import ActivityContext
from holdfast.core.errors import PayloadError
from holdfast.core.strict_json import JsonError, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pydantic import BaseModel

    Check = Callable[[object], Iterable[tuple[str, str]]]
    """Finds what is wrong with arguments: the paths of the fields, and words."""

__all__ = ["Arguments"]

_MAX_FAULTS: Final = 20
_PLAIN: Final = (str, int, float, bool, type(None))
_REFUSED: Final = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL}


class Arguments:
    """What a function takes by name, as a model is to write it.

    Attributes:
        schema: The JSON Schema of an object with one property for each parameter.
        context: The name of the parameter that takes the `ActivityContext`; empty where there is none.
        result: What the function is annotated to return.
    """

    def __init__(self, function: Callable[..., Any], name: str, schema: Mapping[str, Any] | None) -> None:
        """Read a function's parameters.

        Args:
            function: The function.
            name: What the tool is called, for messages.
            schema: What to check arguments against besides the annotations; by default what these say.

        Raises:
            TypeError: A parameter cannot be given by name, or its annotation cannot be decoded from JSON.
            ValueError: The schema is none, or has properties that the function does not take.
        """
        self._what = f"arguments of tool {name!r}"
        hints = _hints(function, name)
        parameters = inspect.signature(function).parameters
        contexts = [each for each in parameters if hints.get(each) is ActivityContext]
        self.context = contexts[0] if contexts else ""
        self.result = hints.get("return", inspect.Parameter.empty)
        taken = {each: parameter for each, parameter in parameters.items() if each not in contexts}
        for parameter in taken.values():
            if parameter.kind in _REFUSED:
                message = f"tool {name!r} must take its arguments by name, not {parameter}"
                raise TypeError(message)
        self._model, self._names = _model(name, taken, hints)
        self._check: Check | None = None
        self.schema = dict(schema) if schema is not None else self._model.model_json_schema()
        if schema is not None:
            self._require_taken(name, self.schema)
            from holdfast.activities.json_schema import checker  # noqa: PLC0415 - an extra

            self._check = checker(self.schema, name)

    def read(self, arguments: Mapping[str, Any] | str | None) -> dict[str, Any]:
        """Turn arguments as JSON into those of the function.

        Args:
            arguments: An object, or the text of one as a model wrote it; none at all is an empty object.

        Raises:
            PayloadError: They are no JSON, or do not fit; the message names every field at fault, but no value.
        """
        given = self._object(arguments)
        if self._check is not None and (faults := list(self._check(given))[:_MAX_FAULTS]):
            raise self._misfit(faults)
        try:
            found = self._model.model_validate_json(orjson.dumps(given))
        except ValidationError as error:
            known = error.errors(include_url=False, include_input=False)[:_MAX_FAULTS]
            raise self._misfit([(".".join(str(part) for part in each["loc"]), each["msg"]) for each in known]) from None
        named = {self._names[field]: getattr(found, field) for field in found.model_fields_set if field in self._names}
        others = found.model_extra or {}
        if self.context in others:
            raise self._misfit([(self.context, "it is not an argument")])
        return named | others

    def _object(self, arguments: Mapping[str, Any] | str | None) -> Mapping[str, Any]:
        if isinstance(arguments, str):
            try:
                arguments = load(arguments.encode()) if arguments.strip() else None
            except JsonError as error:
                message = f"{self._what}: {error}"
                raise PayloadError(message, field=error.field) from None
        if arguments is None:
            return {}
        if not isinstance(arguments, dict):
            message = f"{self._what} must be an object, not {type(arguments).__name__}"
            raise PayloadError(message)
        return arguments

    def _misfit(self, faults: list[tuple[str, str]]) -> PayloadError:
        words = "; ".join(f"{field}: {wrong}" if field else wrong for field, wrong in faults)
        return PayloadError(f"{self._what}: {words}", field=faults[0][0], faults=faults)

    def _require_taken(self, name: str, schema: Mapping[str, Any]) -> None:
        properties = schema.get("properties", {})
        unknown = set(properties) - set(self._names.values()) if isinstance(properties, dict) else set()
        if unknown and self._model.model_config.get("extra") != "allow":
            message = f"the schema of tool {name!r} has properties that it does not take: {', '.join(sorted(unknown))}"
            raise ValueError(message)


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    """Evaluate the annotations; all of them are needed, so none may name what only a type checker imports."""
    target = function if inspect.isroutine(function) else type(function).__call__
    try:
        return typing.get_type_hints(
            inspect.unwrap(target), localns={ActivityContext.__name__: ActivityContext}, include_extras=True
        )
    except NameError as error:
        message = f"an annotation of tool {name!r} cannot be resolved ({error}): import the type at run time"
        raise TypeError(message) from error


def _model(
    name: str, parameters: Mapping[str, inspect.Parameter], hints: Mapping[str, Any]
) -> tuple[type[BaseModel], dict[str, str]]:
    """Make the model that checks arguments, and say which of its fields is which parameter.

    Its fields have names of their own, for those of parameters may be taken: models have methods, such as ``copy``.
    """
    fields: dict[str, Any] = {}
    names: dict[str, str] = {}
    extra: typing.Literal["allow", "forbid"] = "forbid"
    for number, (parameter_name, parameter) in enumerate(parameters.items()):
        if parameter.kind is parameter.VAR_KEYWORD:
            extra = "allow"
            continue
        names[f"p{number}"] = parameter_name
        fields[f"p{number}"] = (hints.get(parameter_name, Any), _field(parameter))
    try:
        return create_model(name, __config__=ConfigDict(extra=extra), **fields), names
    except PydanticSchemaGenerationError as error:
        message = f"the arguments of tool {name!r} cannot be decoded from JSON: {error}"
        raise TypeError(message) from error


def _field(parameter: inspect.Parameter) -> Any:  # noqa: ANN401 - as pydantic declares it
    """Describe a parameter. A default that is plain is told to the model; any other is the function's own affair."""
    if parameter.default is parameter.empty:
        return Field(alias=parameter.name)
    if isinstance(parameter.default, _PLAIN):
        return Field(parameter.default, alias=parameter.name)
    return Field(default_factory=lambda: None, alias=parameter.name)
