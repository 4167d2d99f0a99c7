"""Measure a store by itself: ``python -m bench.store_load commits|opening|warming STORE`` prints one JSON line.

commits: batches of 10 documents of 1 KB, one after the other, and batches of 200; the store has to be new.
opening: 200,000 documents of 1 KB are written, and the store is opened again.
warming: commits of 25 documents for 20 seconds, for a server that is faster once it has worked for a while.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.driver import percentile_ms
from bench.places import HELP, url_of
from holdfast import stores
from holdfast.ports import ABSENT, ANY, Write, Written

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from holdfast.ports import Expectation, StateStore

VALUE_BYTES: Final = 1_000
SMALL, LARGE = 10, 200
SECONDS: Final = 4.0
WARM_SIZE: Final = 25
WARM_SECONDS: Final = 20.0
DOCUMENTS: Final = 200_000


class Writer:
    """Writes documents over and over, each with the version it was written at last."""

    def __init__(self, store: StateStore) -> None:
        """Use a store that is open."""
        self._store = store
        self._known: dict[str, str | Expectation] = {}

    async def commit(self, keys: list[str]) -> float:
        """Write one batch, and say how many seconds that took."""
        value = b'"' + os.urandom((VALUE_BYTES - 2) // 2).hex().encode() + b'"'
        writes = [Write(key, value, self._known.get(key, ABSENT)) for key in keys]
        start = time.perf_counter()
        results = await self._store.write(writes)
        took = time.perf_counter() - start
        for key, result in zip(keys, results, strict=True):
            if not isinstance(result, Written):
                message = f"{key} was not written: the store is in use"
                raise RuntimeError(message)  # noqa: TRY004 - no type is wrong
            self._known[key] = result.version or ANY
        return took

    async def for_a_while(self, size: int, seconds: float = SECONDS) -> list[float]:
        """Write batches of a size one after the other, some of them first without looking at the clock."""
        rounds = [[f"run:bench-{size}-{turn}-{number}" for number in range(size)] for turn in range(20)]
        for keys in rounds[:5]:
            await self.commit(keys)
        took: list[float] = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            took.append(await self.commit(rounds[len(took) % len(rounds)]))
        return took


async def measure_commits(store: StateStore) -> dict[str, Any]:
    """Time commits, small ones and large ones."""
    await store.open()
    try:
        writer = Writer(store)
        large = min(LARGE, store.capabilities.max_batch)
        small_took, large_took = await writer.for_a_while(SMALL), await writer.for_a_while(large)
        return {
            "capabilities": dataclasses.asdict(store.capabilities),
            "commits_per_s": round(len(small_took) / sum(small_took), 1),
            "commit_p50_ms": percentile_ms(small_took, 0.5),
            "commit_p99_ms": percentile_ms(small_took, 0.99),
            "documents_per_s": round(large * len(large_took) / sum(large_took)),
        }
    finally:
        await store.close()


async def measure_opening(store: StateStore) -> dict[str, Any]:
    """Fill a store, and time how long it takes to open it with all that is in it."""
    await store.open()
    writer, size = Writer(store), min(1_000, store.capabilities.max_batch)
    for first in range(0, DOCUMENTS, size):
        await writer.commit([f"run:bench-{number}" for number in range(first, min(first + size, DOCUMENTS))])
    await store.close()
    start = time.perf_counter()
    await store.open()
    took = time.perf_counter() - start
    await store.close()
    return {"documents": DOCUMENTS, "open_s": round(took, 2), "opened_documents_per_s": round(DOCUMENTS / took)}


async def warm(store: StateStore) -> dict[str, Any]:
    """Let the server work, and say how much it did."""
    await store.open()
    try:
        took = await Writer(store).for_a_while(WARM_SIZE, WARM_SECONDS)
        return {"commits": len(took), "commit_p50_ms": percentile_ms(took, 0.5)}
    finally:
        await store.close()


MEASURES: Final[dict[str, Callable[[StateStore], Coroutine[Any, Any, dict[str, Any]]]]] = {
    "commits": measure_commits,
    "opening": measure_opening,
    "warming": warm,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measure", choices=sorted(MEASURES))
    parser.add_argument("url", help=HELP)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as folder:
        store = stores.open(url_of(options.url, Path(folder)))
        print(json.dumps(asyncio.run(MEASURES[options.measure](store))))


if __name__ == "__main__":
    main()
