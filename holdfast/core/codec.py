"""Values in and out: JSON as bytes, checked against the types that user code declares."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, cast

import orjson
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation
from pydantic_core import PydanticSerializationError, to_jsonable_python

from holdfast.core.errors import PayloadError

__all__ = ["Decoder", "decode_json", "decoder_for", "encode", "fitted", "schema_for"]

Decoder = Callable[[bytes], Any]
"""Turns the stored bytes of a value into a new object of the declared type, or raises `PayloadError`."""

decode_json: Decoder = orjson.loads
"""The decoder for values whose type nobody declared; for bytes that `encode` made, so it never fails."""

_SCALARS: dict[type, type] = {int: int, str: str, bool: bool, float: float}
_CONTAINERS: dict[type, type] = {dict: dict, list: list}
_MAX_FAULTS = 20


def encode(value: object, what: str, *, limit: int) -> bytes:
    """Write a value as JSON: any JSON value, dataclass or pydantic model, alone or nested.

    Args:
        value: What to write.
        what: Its name, for the message of the error, such as ``"input of activity 'charge'"``.
        limit: The most bytes it may take.

    Raises:
        PayloadError: It has no JSON form, or is too large.
    """
    try:
        raw = fitted(orjson.dumps(value, default=_to_jsonable, option=orjson.OPT_PASSTHROUGH_DATACLASS))
    except (TypeError, orjson.JSONEncodeError) as error:
        message = f"{what} cannot be written as JSON: {error.__cause__ or error}"
        raise PayloadError(message) from None  # the message has all of it
    if len(raw) > limit:
        message = f"{what} is {len(raw):,} bytes; the limit is {limit:,}"
        raise PayloadError(message, too_large=True)
    if b"null" in raw and (lost := _lost_number(value)) is not None:
        message = f"{what} cannot be written as JSON: it holds {lost}, which is not a JSON number"
        raise PayloadError(message)
    return raw


def fitted(raw: bytes) -> bytes:
    """Copy bytes that orjson has made and that are to be kept: the originals hold on to 4 KiB each."""
    return b"%b" % raw


def _to_jsonable(value: object) -> object:
    try:
        plain = to_jsonable_python(value)
    except PydanticSerializationError as error:
        raise TypeError(str(error)) from error
    lost = _lost_number(plain)
    if lost is not None:
        message = f"it holds {lost}, which is not a JSON number"
        raise TypeError(message)
    return plain


def _lost_number(value: object) -> float | None:
    """Find NaN or an infinity: JSON has none, and writing one as null would change the value silently."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, float) and item - item != 0:
            return item
        if isinstance(item, dict):
            todo.extend(item.values())
        elif isinstance(item, (list, tuple)):
            todo.extend(item)
    return None


def decoder_for(annotation: object, what: str) -> Decoder:
    """Make the decoder for a declared type, once, and keep it: a type's checker is slow to make.

    Args:
        annotation: A type, `Any`, or `inspect.Parameter.empty` where nothing is declared.
        what: The name of the value, for the message of the error.

    Raises:
        TypeError: The annotation is not a type that can be decoded.
    """
    try:
        return _decoder_for(annotation, what)
    except TypeError as error:
        if "unhashable" not in str(error):
            raise
        return _decoder_for.__wrapped__(annotation, what)


@functools.lru_cache(maxsize=1_000)
def _decoder_for(annotation: object, what: str) -> Decoder:
    if annotation in (Any, object, None, type(None), inspect.Parameter.empty):
        return decode_json
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(cast("Any", annotation))
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation) as error:
        message = f"{what} is annotated {annotation!r}, which cannot be decoded from JSON: {error}"
        raise TypeError(message) from error
    exact = _SCALARS.get(annotation) or _CONTAINERS.get(annotation) if isinstance(annotation, type) else None

    def decode(raw: bytes) -> Any:  # noqa: ANN401 - of the annotated type
        if exact is not None:
            value = orjson.loads(raw)
            if type(value) is exact:
                return value
        try:
            return adapter.validate_json(raw)
        except ValidationError as error:
            raise _misfit(error, what) from None

    return decode


def _misfit(error: ValidationError, what: str) -> PayloadError:
    """Name the fields at fault, the first in the message; values are left out, for they may be secrets."""
    found = error.errors(include_url=False, include_input=False)[:_MAX_FAULTS]
    faults = [(".".join(str(part) for part in each["loc"]), each["msg"]) for each in found]
    field, wrong = faults[0]
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    where = f"{what}: field {field!r}" if field else what
    return PayloadError(f"{where}: {wrong}{more}", field=field, faults=faults)


def schema_for(annotation: object) -> dict[str, Any]:
    """Give the JSON Schema of a declared type; the schema of anything where nothing is declared."""
    if annotation in (Any, object, inspect.Parameter.empty):
        return {}
    return TypeAdapter(cast("Any", annotation)).json_schema()
