"""The saga is killed after each of its steps, with its result on the way, and still does everything once."""

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from examples import ledger
from examples.trip_booking import activities, trip_booking, workflows
from holdfast import Engine, WorkflowFailedError
from holdfast.stores import SqliteStore
from tests.examples.kit import read
from tests.examples.test_trip_booking import RESERVED, UNDONE

ROOT = Path(__file__).parents[2]
SECONDS = 30


async def book(store: str) -> None:
    """Take the trip up, or start it, and wait for its end; the airline refuses."""
    async with Engine(SqliteStore(store), workflows=workflows, activities=activities) as engine:
        run = await engine.start(trip_booking, read("trip.json"), id="trip", on_conflict="use_existing")
        await run.signal("flight_confirmed", {"confirmed": False, "reason": "overbooked"}, id="airline-1")
        await run.result()


def book_slowly(store: str) -> None:
    """Dawdle behind each effect, so that it is done and its result is not known yet."""
    record = ledger.record

    def record_and_dawdle(run: str, did: str, key: str, *, unless: str | None = None) -> None:
        record(run, did, key, unless=unless)
        time.sleep(0.3)

    ledger.record = record_and_dawdle
    asyncio.run(book(store))


@pytest.mark.slow
def test_killed_after_each_effect_the_saga_does_each_once(tmp_path: Path) -> None:
    store = str(tmp_path / "runs.db")
    command = [sys.executable, "-m", "tests.examples.test_trip_kill", store]

    for effects in range(1, len(RESERVED + UNDONE) + 1):
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
        end = time.monotonic() + SECONDS
        while len(ledger.effects("trip")) < effects:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()

    with pytest.raises(WorkflowFailedError, match="overbooked"):
        asyncio.run(book(store))
    assert ledger.effects("trip") == RESERVED + UNDONE


if __name__ == "__main__":
    book_slowly(sys.argv[1])
