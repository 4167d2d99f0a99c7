"""Secrets that may change while the process runs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Secret"]

_log = logging.getLogger("holdfast")


class Secret:
    """A token: given once and for all, or in a file that is read again whenever it changes.

    Kubernetes renews a mounted secret by swapping the file, so it is looked at each time; that takes microseconds.
    """

    def __init__(self, value: str = "", file: Path | None = None) -> None:
        """Take a value, or a file to find it in; the value wins."""
        self._value = value
        self._file = None if value else file
        self._stamp: tuple[int, int, int] | None = None

    def __repr__(self) -> str:
        """Say where it comes from, never what it is."""
        return f"Secret(file={str(self._file)!r})" if self._file else "Secret(***)" if self._value else "Secret()"

    @property
    def is_set(self) -> bool:
        """Whether there is, or ought to be, a token."""
        return bool(self._value or self._file)

    def value(self) -> str:
        """Give the token as it is now; empty where there is none.

        A file that cannot be read at the moment leaves the last token in force: it may be in the midst of a swap.
        """
        if self._file is None:
            return self._value
        try:
            found = self._file.stat()
            stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
            if stamp != self._stamp:
                self._value = self._file.read_text(encoding="utf-8").strip()
                self._stamp = stamp
        except (OSError, UnicodeDecodeError) as error:
            if self._stamp is not None or not self._value:
                _log.warning("the token file %s cannot be read: %s", self._file, error)
            self._stamp = None
        return self._value
