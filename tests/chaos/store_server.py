"""The process that has the documents of a shared store, and notes who wrote what.

``python -m tests.chaos.store_server SOCKET GUARD ATOMIC`` serves until it is killed; ``ATOMIC`` is the word or another.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Coroutine
from contextlib import suppress
from multiprocessing.connection import Connection, Listener
from typing import Any, TypeVar

from holdfast.ports import Capabilities, Conflict, Document, Guard, Write, Written
from holdfast.stores import MemoryStore
from tests.chaos.shared_store import Entry
from tests.unit.engine.stores import Guarded

T = TypeVar("T")


class Server:
    """The documents, and who wrote them."""

    def __init__(self, guard: Guard, *, atomic: bool) -> None:
        self._store = Guarded(guard, atomic=atomic, inner=MemoryStore())
        self._entries: list[Entry] = []
        self._lock = threading.Lock()
        at_once(self._store.open())

    def serve(self, path: str) -> None:
        with Listener(path, "AF_UNIX") as listener:
            print("serving", flush=True)  # noqa: T201 - whoever started it waits for this
            while True:
                threading.Thread(target=self._answer, args=(listener.accept(),), daemon=True).start()

    def _answer(self, connection: Connection) -> None:
        with suppress(EOFError, OSError), connection:
            while True:
                who, what, *arguments = connection.recv()
                with self._lock:
                    answer = getattr(self, f"_{what}")(who, *arguments)
                connection.send(answer)

    def _capabilities(self, _who: str) -> Capabilities:
        return self._store.capabilities

    def _read(self, _who: str, keys: list[str]) -> dict[str, Document]:
        return at_once(self._store.read(keys))

    def _write(self, who: str, writes: list[Write]) -> list[Written | Conflict]:
        results = at_once(self._store.write(writes))
        done = [write.key for write, result in zip(writes, results, strict=True) if isinstance(result, Written)]
        self._entries.append(Entry(who, [write.key for write in writes], done))
        return results

    def _keys(self, _who: str, prefix: str) -> list[str]:
        return [key for key in self._store.inner._documents if key.startswith(prefix)]  # noqa: SLF001 - its own store

    def _log(self, _who: str) -> list[Entry]:
        return self._entries


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run what never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    message = "it waits"
    raise AssertionError(message)


if __name__ == "__main__":
    Server(sys.argv[2], atomic=sys.argv[3] == "atomic").serve(sys.argv[1])  # type: ignore[arg-type]  # a name of a guard
