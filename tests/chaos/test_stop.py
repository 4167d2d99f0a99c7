"""A process that is stopped, not killed, and goes on when others have long taken its place: it writes nothing more."""

import asyncio
import os
import signal
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from holdfast import Engine, HistoryEvent, RunStatus
from holdfast.testing import replay
from tests.chaos.owner import COMMITS, FENCED_STATUS, FROM_SUCCESSOR, brief, collect, note
from tests.chaos.program import SECONDS, Program, running
from tests.chaos.shared_store import Entry, SharedStore
from tests.chaos.victim import children_of
from tests.service.kit import answers, process, until

pytestmark = pytest.mark.slow

GUARDS = ["key atomic", "batch atomic", "key apart"]


@pytest.fixture
def path() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:  # a socket's path has to be a short one
        yield str(Path(folder) / "store")


@pytest.mark.parametrize("guard", GUARDS)
@pytest.mark.timeout(180)
def test_an_owner_stopped_for_over_a_thousand_commits_of_its_successor_fences_itself_and_writes_nothing(
    path: str, guard: str
) -> None:
    with (
        running("tests.chaos.store_server", path, *guard.split()) as server,
        owner(server, path, "first") as first,
    ):
        acknowledged = [int(first.line()) for _ in range(40)]
        first.send(signal.SIGSTOP)
        until(first.is_stopped)
        with owner(server, path, "successor") as successor:
            told, commits = successor.line().split()
            assert (told, int(commits) >= COMMITS) == ("done", True)

            first.send(signal.SIGCONT)
            status, said = first.finish()

            assert status == FENCED_STATUS
            assert "was taken over by another process" in said[-1]
            acknowledged += [int(line) for line in said if line.isdecimal()]
            ended = until_told(SharedStore.entries, path)
            assert successor.finish() == (0, [])

        check_late_writes(ended, atomic=guard.endswith("atomic"))
        history, briefs = until_told(histories, path)
        check_history(history, acknowledged, atomic=guard.endswith("atomic"))
        assert len(briefs) > 100
        for events in briefs:
            assert [event.seq for event in events] == [1, 2, 3, 4]
            assert replay(brief, events, activities=[note]) is RunStatus.COMPLETED


@contextmanager
def owner(server: Program, path: str, role: str) -> Iterator[Program]:
    """Let a process own the runs; both have one name, as two on one host have."""
    if role == "first":
        assert server.line() == "serving"
    with running("tests.chaos.owner", path, "host", role) as program:
        assert program.line() == "open"
        yield program


def until_told(question: Callable[[SharedStore], Coroutine[Any, Any, Any]], path: str) -> Any:  # noqa: ANN401
    """Ask something of the shared store, which stays as it is."""

    async def ask() -> Any:  # noqa: ANN401
        store = SharedStore(path, "test")
        await store.open()
        try:
            return await question(store)
        finally:
            await store.close()

    return asyncio.run(ask())


def check_late_writes(entries: list[Entry], *, atomic: bool) -> None:
    """Of what the first owner still tried, nothing took effect once its successor had the runs."""
    taken = next(position for position, entry in enumerate(entries) if entry.who == "successor" and entry.applied)
    late = [entry for entry in entries[taken + 1 :] if entry.who == "first"]
    assert late, "it should have tried to write"
    theirs = [entry for entry in entries[taken:] if entry.who == "successor"]
    assert len(theirs) > COMMITS
    assert any("checkpoint:0" in entry.applied for entry in theirs), "older records should have been deleted meanwhile"
    if atomic:
        assert [entry.applied for entry in late] == [[] for _ in late]
    else:
        proofs = [key for entry in late for key in entry.applied if key.startswith(("commit:", "owner:"))]
        assert proofs == []


async def histories(store: SharedStore) -> tuple[list[HistoryEvent], list[list[HistoryEvent]]]:
    """Let the run end under a third owner, and read what there is."""
    async with Engine(store, workflows=[collect, brief], activities=[note], instance="host") as engine:
        await engine.signal("numbers", "n", -1)
        await engine.handle("numbers").result(timeout=SECONDS)
        ids = [item.workflow_id for item in (await engine.list(workflow="brief", limit=200)).items]
        return await engine.history("numbers"), [await engine.history(id) for id in ids]


def check_history(history: list[HistoryEvent], acknowledged: list[int], *, atomic: bool) -> None:
    """No gap, nothing that was acknowledged is lost or doubled, and the code fits it."""
    assert [event.seq for event in history] == list(range(1, len(history) + 1))
    assert replay(collect, history, activities=[note]) is RunStatus.COMPLETED
    taken: list[int] = history[-1].value
    own = [number for number in taken if number < FROM_SUCCESSOR]
    assert own == list(range(len(own)))
    assert own[: len(acknowledged)] == acknowledged
    assert len(own) <= len(acknowledged) + 1
    theirs = [number for number in taken if number >= FROM_SUCCESSOR]
    assert theirs == list(range(FROM_SUCCESSOR, FROM_SUCCESSOR + 5))
    if atomic:
        assert taken == own + theirs


def test_a_stopped_process_keeps_its_file_and_a_second_one_refuses_with_a_clear_message(tmp_path: Path) -> None:
    with process(tmp_path) as first:
        first.ready()
        first.request("POST", "/v1/workflows/order/runs", json={"id": "order-1", "input": {"sku": "A1"}})
        first.request("POST", "/v1/runs/order-1/signals/note", json=1, headers={"Idempotency-Key": "note-1"})
        before = first.request("GET", "/v1/runs/order-1/history").json()["events"]
        pids = [first.pid, *children_of(first.pid)]
        tell(pids, signal.SIGSTOP)
        try:
            with process(tmp_path, store_wait="1s") as second:
                assert second.exit_status() == 1
                assert "another process has runs.db open" in second.err
                assert "Traceback" not in second.err + second.out
        finally:
            tell(pids, signal.SIGCONT)

        until(lambda: answers(f"{first.url}/readyz"))
        first.request("POST", "/v1/runs/order-1/signals/approval", json="yes")
        end = until(lambda: first.request("GET", "/v1/runs/order-1").json()["result"])
        assert end == {"cents": 100, "approval": "yes"}
        assert first.request("GET", "/v1/runs/order-1/history").json()["events"][: len(before)] == before
        first.send(signal.SIGTERM)
        assert first.exit_status() == 0

    with process(tmp_path) as third:
        third.ready()
        assert third.request("GET", "/v1/runs/order-1").json()["result"] == end


def test_a_stopped_process_that_is_killed_leaves_its_file_to_the_next_one(tmp_path: Path) -> None:
    with process(tmp_path) as first:
        first.ready()
        first.request("POST", "/v1/workflows/order/runs", json={"id": "order-1", "input": {"sku": "A1"}})
        pids = [first.pid, *children_of(first.pid)]
        tell(pids, signal.SIGSTOP)
        with process(tmp_path, store_wait="60s") as second:
            until(lambda: "still waiting" in second.out)
            tell(pids, signal.SIGKILL)

            second.ready()
            assert second.request("GET", "/v1/runs/order-1").json()["status"] == "running"


def tell(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)
