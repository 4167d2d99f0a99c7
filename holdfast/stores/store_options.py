"""The options that the URL of a store may carry: what each is called, how its value is read, what it means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from holdfast.core.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.stores.store_url import StoreUrl

__all__ = ["Option", "file_path", "properties", "read_options", "whole_number"]


class Option(NamedTuple):
    """One option of a kind of store.

    Attributes:
        name: As it is written in a URL; the adapter's argument has the same name.
        read: Turns its text into that argument, or raises a ValueError that says what the text should be.
        means: What it does, for the reference.
    """

    name: str
    read: Callable[[str], Any]
    means: str


def read_options(url: StoreUrl, known: Sequence[Option]) -> dict[str, Any]:
    """Give the arguments that the options of a URL stand for.

    Raises:
        StoreError: There is no such option, or its value is not right; the text repeats no value.
    """
    by_name = {option.name: option for option in known}
    unknown = next((name for name in url.options if name not in by_name), None)
    if unknown is not None:
        there_are = f"there are {', '.join(by_name)}" if by_name else "this kind has none"
        url.refuse(f"there is no option {unknown!r}: {there_are}")
    arguments = {}
    for name, text in url.options.items():
        try:
            arguments[name] = by_name[name].read(text)
        except ValueError as error:
            url.refuse(f"the option {name!r} {error}")
    return arguments


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """Read a whole number that is not less than one, and not more than another if there is one."""

    def read(text: str) -> int:
        is_number = text.isascii() and text.isdigit()
        if not is_number or int(text) < least or (most is not None and int(text) > most):
            message = f"must be a whole number from {least} {'on' if most is None else f'to {most}'}"
            raise ValueError(message)
        return int(text)

    return read


def file_path(text: str) -> Path:
    """Read the path of a file that is there."""
    path = Path(text)
    if not path.is_file():
        message = f"must be the path of a file, and {text!r} is none"
        raise ValueError(message)
    return path


def properties(text: str) -> dict[str, str]:
    """Read a file of ``name=value`` lines; empty lines and those that begin with ``#`` are passed over.

    Raises:
        StoreError: A line is of another form; the text tells its number, for it may hold a secret.
        ValueError: There is no such file.
    """
    path = file_path(text)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}"
        raise StoreError(message) from None
    found = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, mark, value = line.partition("=")
        if not mark or not name.strip():
            message = f"{path}, line {number}: write name=value"
            raise StoreError(message)
        found[name.strip()] = value.strip()
    return found
