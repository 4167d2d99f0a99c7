"""The store over HTTP is opened, closed and cancelled: it waits for what it has to, and leaves nothing running."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from holdfast.core.errors import StoreError, StoreUnavailableError
from holdfast.ports import ANY, Write, Written
from holdfast.stores.inngest import InngestStore
from holdfast.testing.inngest_server import reference_server
from tests.integration.processes import free_port
from tests.unit.engine.kit import eventually
from tests.unit.inngest_kit import Answer, Environ, Server, answers, server, store_of, threads, writes

PATH = "/v1/workflows/"


async def test_open_waits_for_a_server_that_begins_to_serve_later(tmp_path: Path) -> None:
    port = free_port()
    store = InngestStore(f"http://127.0.0.1:{port}", connect_timeout=timedelta(seconds=60))
    opening = asyncio.create_task(store.open())
    await eventually(threads)
    assert not opening.done()

    with reference_server(tmp_path / "documents.db", port=port):
        await opening
        await store.open()  # once more does nothing
        await store.write(writes("a"))
        await store.close()


async def test_open_waits_for_a_server_that_is_busy(tmp_path: Path) -> None:
    plan = iter([answers(503), answers(429, Retry_After="0"), answers(500)])

    def busy(found: Server, environ: Environ) -> Answer | None:
        fault = next(plan, None)
        return fault(found, environ) if fault else None

    with server(tmp_path, fault=busy) as found:
        store = store_of(found, connect_timeout=60)
        await store.open()
        await store.close()

    assert len(found.calls) == 4


@pytest.mark.parametrize("wait", [0, 0.2])
async def test_open_gives_a_server_up_that_does_not_answer_and_leaves_no_threads(wait: float) -> None:
    store = InngestStore(f"http://127.0.0.1:{free_port()}", connect_timeout=wait)

    with pytest.raises(StoreUnavailableError, match=r"no answer reading .* refused"):
        await store.open()

    assert threads() == []
    with pytest.raises(StoreError, match="not open"):
        await store.read(["a"])


async def test_open_does_not_wait_for_a_pause_that_is_longer_than_it_would(tmp_path: Path) -> None:
    with server(tmp_path, fault=answers(503, Retry_After="50")) as found:
        store = store_of(found, connect_timeout=20)
        with pytest.raises(StoreUnavailableError) as caught:
            await store.open()

    assert caught.value.retry_after == 50
    assert len(found.calls) == 1


@pytest.mark.parametrize("given", ["wrong", ""])
async def test_open_with_another_key_than_the_servers_fails_at_once_with_advice(tmp_path: Path, given: str) -> None:
    with server(tmp_path) as found:
        store = store_of(found, event_key=given)
        with pytest.raises(StoreError, match=r"refuses the event key .*401.*; set INNGEST_EVENT_KEY") as caught:
            await store.open()

    assert not isinstance(caught.value, StoreUnavailableError)
    assert len(found.calls) == 1
    assert threads() == []


async def test_close_waits_for_the_calls_under_way_and_ends_the_threads(tmp_path: Path) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def waits(_server: Server, environ: Environ) -> Answer | None:
        if environ["REQUEST_METHOD"] == "PUT":
            arrived.set()
            assert go_on.wait(30)
        return None

    with server(tmp_path, fault=waits) as found:
        store = store_of(found, timeout=60)
        await store.open()
        writing = asyncio.create_task(store.write(writes("a")))
        await asyncio.to_thread(arrived.wait, 30)
        closing = asyncio.create_task(store.close())
        await asyncio.sleep(0)
        assert not closing.done()
        go_on.set()
        await closing
        assert threads() == []
        assert await writing == [Written("")]
        await store.close()  # once more does nothing

        await store.open()
        assert list(await store.read(["a"])) == ["a"]
        await store.close()


async def test_a_batch_of_which_a_part_is_left_when_the_store_is_closed_fails(tmp_path: Path) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def first_waits(_server: Server, environ: Environ) -> Answer | None:
        if environ["PATH_INFO"].endswith("first"):
            arrived.set()
            assert go_on.wait(30)
        return None

    with server(tmp_path, fault=first_waits) as found:
        store = store_of(found, timeout=60)
        await store.open()
        writing = asyncio.create_task(store.write(writes("first", "second")))
        await asyncio.to_thread(arrived.wait, 30)
        closing = asyncio.create_task(store.close())
        await asyncio.sleep(0)
        go_on.set()
        await closing
        with pytest.raises(StoreError, match="closed before all calls had been made"):
            await writing

    assert found.called("PUT") == ["first"]


async def test_a_write_that_was_cancelled_does_not_come_after_a_later_one(tmp_path: Path) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def first_waits(_server: Server, environ: Environ) -> Answer | None:
        if environ["REQUEST_METHOD"] == "PUT" and not arrived.is_set():
            arrived.set()
            assert go_on.wait(30)
        return None

    with server(tmp_path, fault=first_waits) as found:
        store = store_of(found, timeout=60)
        await store.open()
        old = asyncio.create_task(store.write([Write("a", b'"old"', ANY), Write("b", b'"old"', ANY)]))
        await asyncio.to_thread(arrived.wait, 30)
        old.cancel()
        with pytest.raises(asyncio.CancelledError):
            await old
        new = asyncio.create_task(store.write([Write("a", b'"new"', ANY)]))
        other = store_of(found)
        await other.open()
        for _ in range(20):  # long enough for the new one to be on its way, if it did not wait
            await other.read(["a"])
        await other.close()
        assert found.called("PUT") == ["a"]
        go_on.set()
        await new

        assert await store.read(["a", "b"]) == {"a": (b'"new"', "")}
        await store.close()


async def test_a_batch_that_was_cancelled_begins_no_more_calls(tmp_path: Path) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def others_wait(_server: Server, environ: Environ) -> Answer | None:
        if environ["PATH_INFO"].startswith(f"{PATH}other"):
            arrived.set()
            assert go_on.wait(30)
        return None

    with server(tmp_path, fault=others_wait) as found:
        store = store_of(found, timeout=60, max_connections=2)
        await store.open()
        batch = asyncio.create_task(store.write(writes("first", *(f"other-{number}" for number in range(50)))))
        await asyncio.to_thread(arrived.wait, 30)
        batch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await batch
        go_on.set()
        await store.close()

    assert len(found.called("PUT")) <= 3
