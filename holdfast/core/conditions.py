"""What a run waits for in its own variables; it is looked at whenever the run would wait."""

from __future__ import annotations

from asyncio import CancelledError, Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Conditions"]


class Conditions:
    """Conditions that do not hold yet, in the order they were asked for."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        """Begin with none."""
        self._open: list[tuple[Callable[[], object], Future[None]]] = []

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._open)

    def add(self, condition: Callable[[], object], holds: Future[None]) -> Future[None]:
        """Resolve a future once a condition holds."""
        self._open.append((condition, holds))
        return holds

    def clear(self) -> None:
        """Forget all of them."""
        self._open.clear()

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for one of them."""
        return any(not holds.done() for _, holds in self._open)

    def meet(self, look: Callable[[Callable[[], object]], object]) -> bool:
        """Try all of them, and say whether one holds; what a condition raises goes to whoever waits for it.

        Args:
            look: Calls a condition as workflow code that may only look.

        Raises:
            SystemExit, KeyboardInterrupt: A condition has raised it.
        """
        met = False
        for condition, holds in self._open:
            if not holds.done():
                _try(condition, holds, look)
                met = met or holds.done()
        self._open = [entry for entry in self._open if not entry[1].done()]
        return met


def _try(condition: Callable[[], object], holds: Future[None], look: Callable[[Callable[[], object]], object]) -> None:
    try:
        if look(condition):
            holds.set_result(None)
    except (SystemExit, KeyboardInterrupt):
        raise
    except CancelledError:
        holds.cancel()
    except BaseException as error:  # noqa: BLE001 - the workflow's own, of whatever kind
        holds.set_exception(error)
