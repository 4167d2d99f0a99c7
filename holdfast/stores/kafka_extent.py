"""How far a log is known to go: one that goes back is not the log that was read."""

from __future__ import annotations

from typing import NoReturn

from holdfast.core.errors import StoreUnavailableError

__all__ = ["Extent"]


class Extent:
    """Compares what a log says of itself with what it said before, and once that does not fit, refuses for good.

    A topic that was deleted and created again, or a broker that came back empty, would else be written to as if all
    that is in memory were in it.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self._end = 0  # it goes so far at least
        self._last = (0, 0)  # from where to where the last commit went
        self._lost = ""

    def check(self) -> None:
        """Refuse if the log was found to be another one.

        Raises:
            StoreUnavailableError: It was.
        """
        if self._lost:
            raise StoreUnavailableError(self._lost)

    def ends(self, end: int) -> None:
        """Take in where the log says that it ends.

        Raises:
            StoreUnavailableError: It went further before.
        """
        if end < self._end:
            self.lose(f"it reached to offset {self._end} at least, and ends at {end} now")
        self._end = end

    def committed(self, first: int, last: int) -> None:
        """Take in where a commit stands. For a moment it may not count as part of the log: the one before it does.

        Raises:
            StoreUnavailableError: Records were there before.
        """
        if first < self._last[1]:
            self.lose(f"after offset {self._last[1] - 1} a record was written at {first}")
        self._end = max(self._end, self._last[0])
        self._last = first, last + 1

    def lose(self, what: str) -> NoReturn:
        """Refuse from now on.

        Raises:
            StoreUnavailableError: Always.
        """
        self._lost = f"the topic was replaced or cut off while it was in use: {what}; start anew to use what is there"
        raise StoreUnavailableError(self._lost)
