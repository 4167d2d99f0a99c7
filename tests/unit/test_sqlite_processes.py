"""The SQLite store among processes: one at a time, and a killed one leaves all that it acknowledged."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfast.core.errors import StoreUnavailableError
from holdfast.stores import SqliteStore
from tests.unit.sqlite_kit import filled, value_of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


OTHER_PROCESS = """
import asyncio, sys
from holdfast.ports import ANY, Write
from holdfast.stores import SqliteStore

async def main():
    store = SqliteStore(sys.argv[1], busy_timeout=float(sys.argv[2]))
    await store.open()
    print("open", flush=True)
    sys.stdin.readline()
    await store.write([Write("other", b"1", ANY)])
    await store.close()

asyncio.run(main())
"""

WRITE_LOOP = """
import asyncio, itertools, sys
from holdfast.ports import ABSENT, ANY, Write
from holdfast.stores import SqliteStore, sqlite_file

async def main():
    sqlite_file.QUIET_SECONDS = 0.0  # a checkpoint after every write, so that some kills come in the midst of one
    store = SqliteStore(sys.argv[1])
    await store.open()
    value = b"1" * 3_000
    for number in itertools.count():
        batch = [Write(f"{sys.argv[2]}:{number}:{part}", value, ABSENT) for part in range(10)]
        await store.write([*batch, Write("newest", b"%d" % number, ANY)])
        print(number, flush=True)

asyncio.run(main())
"""


@contextmanager
def process(script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script in another process; whatever happens it is gone at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def line_of(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    return running.stdout.readline().strip()


async def test_a_second_process_waits_and_is_refused(path: Path) -> None:
    with process(OTHER_PROCESS, str(path), "30") as other:
        assert line_of(other) == "open"

        store = SqliteStore(path, busy_timeout=0.2)
        with pytest.raises(StoreUnavailableError, match=r"another process has .*runs.db open; waited 0.2 s for it"):
            await store.open()

        other.communicate("go on\n", timeout=30)
    await store.open()
    assert await value_of(store, "other") == b"1"
    await store.close()


async def test_a_second_process_gets_in_when_the_first_lets_go(path: Path) -> None:
    with process(OTHER_PROCESS, str(path), "30") as other:
        assert line_of(other) == "open"
        store = SqliteStore(path, busy_timeout=60)
        opening = asyncio.create_task(store.open())
        await asyncio.sleep(0)
        assert not opening.done()

        await asyncio.to_thread(other.communicate, "go on\n", 30)
        await opening

    assert await value_of(store, "other") == b"1"
    await store.close()


@pytest.mark.parametrize("fresh", [True, False])
async def test_of_processes_that_start_together_all_get_their_turn(path: Path, *, fresh: bool) -> None:
    if not fresh:
        await filled(path)
    script = OTHER_PROCESS.replace("sys.stdin.readline()", "").replace('"other"', "sys.argv[3]")

    with (
        process(script, str(path), "60", "a") as a,
        process(script, str(path), "60", "b") as b,
        process(script, str(path), "60", "c") as c,
        process(script, str(path), "60", "d") as d,
    ):
        assert [(running.communicate(timeout=60)[0], running.returncode) for running in (a, b, c, d)] == [
            ("open\n", 0)
        ] * 4

    store = SqliteStore(path)
    await store.open()
    assert set(await store.read(["a", "b", "c", "d"])) == {"a", "b", "c", "d"}
    await store.close()


async def test_no_acknowledged_batch_is_lost_to_a_kill(path: Path) -> None:
    acknowledged: dict[str, int] = {}
    for kill in range(5):
        with process(WRITE_LOOP, str(path), f"run{kill}") as writer:
            for _ in range(20 + 7 * kill):
                acknowledged[f"run{kill}"] = int(line_of(writer))
            writer.send_signal(signal.SIGKILL)
            writer.wait(timeout=30)

        store = SqliteStore(path)
        await store.open()
        for name, last in acknowledged.items():
            for number in range(last + 1):
                found = await store.read([f"{name}:{number}:{part}" for part in range(10)])
                assert len(found) == 10
            after = await store.read([f"{name}:{last + 1}:{part}" for part in range(10)])
            assert len(after) in {0, 10}  # the batch that was under way: as a whole or not at all
        await store.close()
