"""Query and update handlers that a run has set, and how they are called."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

from holdfast.core.definitions import input_decoder
from holdfast.core.errors import PayloadError, QueryError, UpdateRejectedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.core.codec import Decoder

__all__ = ["Handler", "Handlers"]


class Handler(NamedTuple):
    """A function of the run that may be called from outside."""

    function: Callable[..., Any]
    validator: Callable[..., Any] | None
    decode: Decoder | None

    def arguments(self, raw: bytes) -> tuple[Any, ...]:
        """Decode the value that it is called with, if it takes one."""
        return () if self.decode is None else (self.decode(raw),)


class Handlers:
    """The query and update handlers of one run."""

    __slots__ = ("_queries", "_updates")

    def __init__(self) -> None:
        """Begin with none."""
        self._queries: dict[str, Handler] = {}
        self._updates: dict[str, Handler] = {}

    def set_query(self, name: str, function: Callable[..., Any]) -> None:
        """Answer a query by a function.

        Raises:
            TypeError: The function is not a plain one: a query only looks, so it cannot wait.
        """
        if inspect.iscoroutinefunction(function):
            message = f"the handler of query {name!r} must be a plain function: a query cannot wait or act"
            raise TypeError(message)
        self._queries[name] = Handler(function, None, input_decoder(function, f"input of query {name!r}"))

    def set_update(self, name: str, function: Callable[..., Any], validator: Callable[..., Any] | None) -> None:
        """Carry an update out by a function, plain or async, behind a validator."""
        self._updates[name] = Handler(function, validator, input_decoder(function, f"input of update {name!r}"))

    def query(self, name: str) -> Handler:
        """Look a query up.

        Raises:
            QueryError: The run has set none of that name.
        """
        handler = self._queries.get(name)
        if handler is None:
            message = f"unknown query {name!r}; known: {_list('status', 'result', 'stack', *self._queries)}"
            raise QueryError(message)
        return handler

    def update(self, name: str) -> Handler:
        """Look an update up.

        Raises:
            UpdateRejectedError: The run has set none of that name.
        """
        handler = self._updates.get(name)
        if handler is None:
            message = f"unknown update {name!r}; known: {_list(*self._updates)}"
            raise UpdateRejectedError(message)
        return handler

    def answer(self, name: str, raw: bytes) -> Any:  # noqa: ANN401 - any JSON value
        """Call a query's handler.

        Raises:
            QueryError: There is none, its input does not fit, or it raised.
        """
        handler = self.query(name)
        try:
            return handler.function(*handler.arguments(raw))
        except QueryError:
            raise
        except BaseException as error:  # an exit too is only this query's failure
            message = f"query {name!r} failed: {type(error).__name__}: {error}"
            raise QueryError(message) from error

    def validate(self, name: str, raw: bytes) -> None:
        """Ask an update's validator, and check that the value fits.

        Raises:
            UpdateRejectedError: There is no such update, or the value is refused; the text is the validator's.
            PayloadError: The value does not fit the handler's annotation.
        """
        handler = self.update(name)
        arguments = handler.arguments(raw)
        if handler.validator is None:
            return
        try:
            handler.validator(*arguments)
        except PayloadError:
            raise
        except BaseException as error:  # an exit too only says no
            raise UpdateRejectedError(str(error) or type(error).__name__) from error


def _list(*names: str) -> str:
    return ", ".join(sorted(names)) or "none"
