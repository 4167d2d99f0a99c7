"""The newest document of each key of a log, in memory as far as there is room."""

from __future__ import annotations

__all__ = ["Documents"]


class Documents:
    """Documents by key: always where each stands in the log, and its value unless others were used since.

    Attributes:
        offsets: Where the newest of each key stands; keys that were deleted are not in it.
    """

    def __init__(self, room: int | None) -> None:
        """Begin with none.

        Args:
            room: How many bytes of values may stay in memory; None for all of them.
        """
        self.offsets: dict[str, int] = {}
        self._room = room
        self._values: dict[str, bytes] = {}  # in the order of their last use, where there is not room for all
        self._bytes = 0

    @property
    def cached_bytes(self) -> int:
        """How many bytes of values are in memory, where there is not room for all."""
        return self._bytes

    def take(self, key: str, value: bytes | None, offset: int) -> None:
        """Take in what the log has for a key; None deletes it."""
        old = self._values.pop(key, None)
        if value is None:
            self.offsets.pop(key, None)
        else:
            self.offsets[key] = offset
            self._values[key] = value
        if self._room is not None:
            self._bytes += len(value or b"") - len(old or b"")
            while self._bytes > self._room:
                self._bytes -= len(self._values.pop(next(iter(self._values))))

    def value(self, key: str) -> bytes | None:
        """Give the value of a key that is there; None where it has to be read from the log."""
        value = self._values.get(key)
        if value is not None and self._room is not None:
            self.take(key, value, self.offsets[key])
        return value

    def clear(self) -> None:
        """Forget all of them."""
        self.offsets.clear()
        self._values.clear()
        self._bytes = 0
