"""What becomes of a NATS store when its server is away, hangs, or does not let it in."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import re
from collections.abc import Sized
from functools import partial
from pathlib import Path

import pytest

from holdfast.core.errors import StoreError, StoreUnavailableError
from holdfast.ports import ABSENT, ANY, Conflict, Document, Write, Written
from holdfast.stores.nats import NatsStore
from tests.integration.processes import Backend, Server, free_port
from tests.stores.nats_kit import opened_store, url_of

pytestmark = pytest.mark.stores

ROOT = Path(__file__).parents[2]
LONG = 600.0
"""Seconds that a call may take: no test waits for them to pass."""

SECRET = "open-sesame"
WITH_A_TOKEN = f"authorization {{ token: {SECRET} }}\n"
ALLOWED_NOTHING = "authorization { users: [{ user: u, password: p, permissions: { publish: nothing } }] }\n"
WITHOUT_JETSTREAM = "accounts { A: { users: [{ user: u, password: p }] } }\n"


def configured(backend: Backend, folder: Path, more: str) -> str:
    """Start a server again with more in its configuration; give its address."""
    server, port = backend
    server.stop()
    with (folder / "nats-server" / "nats.conf").open("a", encoding="utf-8") as configuration:
        configuration.write(more)
    server.start()
    return f"127.0.0.1:{port}"


async def list_all(store: NatsStore) -> list[str]:
    return [key async for key in store.keys("")]


async def until_back(store: NatsStore, key: str) -> Document | None:
    """Read a key as soon as the store is there again."""
    async with asyncio.timeout(60):
        while True:
            try:
                return (await store.read([key])).get(key)
            except StoreUnavailableError:
                await asyncio.sleep(0.05)


async def until_there(store: NatsStore, key: str) -> None:
    """Wait until a document has come to be there."""
    async with asyncio.timeout(60):
        while True:
            if await until_back(store, key) is not None:
                return
            await asyncio.sleep(0.05)


async def until_away(store: NatsStore) -> None:
    """Wait until the store has noticed that its server is gone."""
    async with asyncio.timeout(60):
        while True:
            try:
                await store.read(["any"])
            except StoreUnavailableError:
                return


async def test_who_has_the_wrong_token_is_told_at_once(own_nats: Backend, tmp_path: Path) -> None:
    address = configured(own_nats, tmp_path, WITH_A_TOKEN)

    for url in (f"nats://{address}", f"nats://wrong-{SECRET}@{address}"):
        with pytest.raises(
            StoreError, match=f"NATS at {address} refused the connection: .*[Aa]uthorization"
        ) as refused:
            await NatsStore(url, connect_timeout=LONG).open()
        assert not isinstance(refused.value, StoreUnavailableError)
        assert SECRET not in str(refused.value)
    store = NatsStore(f"nats://{SECRET}@{address}")
    await store.open()
    await store.close()


async def test_who_may_not_use_jetstream_is_told_at_once(own_nats: Backend, tmp_path: Path) -> None:
    address = configured(own_nats, tmp_path, ALLOWED_NOTHING)

    with pytest.raises(StoreError, match=r"(?i)permissions violation") as refused:
        await NatsStore(f"nats://u:p@{address}", timeout=LONG, connect_timeout=LONG).open()

    assert not isinstance(refused.value, StoreUnavailableError)


async def test_the_rights_that_the_how_to_names_are_enough(own_nats: Backend, tmp_path: Path) -> None:
    section = (ROOT / "docs/how-to/keep-state-in-nats.md").read_text(encoding="utf-8").partition("## Rights")[2]
    subjects = re.findall(r"`([$_][^`]+)`", section.partition("##")[0])
    allowed = {"publish": [subject for subject in subjects if subject != "_INBOX.>"], "subscribe": "_INBOX.>"}
    users = [{"user": "u", "password": "p", "permissions": allowed}]
    address = configured(own_nats, tmp_path, f"authorization {{ users: {json.dumps(users)} }}\n")

    store = NatsStore(f"nats://u:p@{address}", bucket="orders", timeout=2.0)
    await store.open()
    try:
        await store.write([Write("a", b"1", ABSENT), Write("b", b"1", ABSENT)])
        await store.write([Write("a", None, ANY)])
        await store.write([Write("a", b"2", ABSENT), Write("c", b"2", ABSENT)])
        assert sorted(await store.read(["a", "b", "c"])) == sorted(await list_all(store)) == ["a", "b", "c"]
        assert set(await store.read(["a"])) == {"a"}
    finally:
        await store.close()


async def test_a_server_without_jetstream_is_not_waited_for_for_ever(own_nats: Backend, tmp_path: Path) -> None:
    address = configured(own_nats, tmp_path, WITHOUT_JETSTREAM)

    with pytest.raises(StoreUnavailableError, match="is JetStream enabled"):
        await NatsStore(f"nats://u:p@{address}", connect_timeout=0.5).open()


async def test_an_address_that_is_none_is_told_at_once() -> None:
    with pytest.raises(StoreError, match="cannot be made"):
        await NatsStore("nats://127.0.0.1:4222:5", connect_timeout=LONG).open()


async def test_nobody_at_the_address_is_not_waited_for_for_ever() -> None:
    address = f"127.0.0.1:{free_port()}"

    with pytest.raises(StoreUnavailableError, match=f"no NATS server answered at {address} within 0.5 s"):
        await NatsStore(f"nats://{address}", connect_timeout=0.5).open()


async def test_open_waits_for_a_server_that_is_started_later(own_nats: Backend) -> None:
    server, _ = own_nats
    server.kill()
    store = NatsStore(url_of(own_nats))
    opening = asyncio.create_task(store.open())
    await asyncio.to_thread(server.start)

    await opening

    await store.close()


async def test_a_call_under_way_ends_with_the_connection(own_nats: Backend) -> None:
    server, _ = own_nats
    async with opened_store(own_nats, "runs", timeout=LONG) as store:
        server.halt()
        calls = [
            asyncio.create_task(store.write([Write("a", b"1", ABSENT), Write("b", b"1", ABSENT)])),
            asyncio.create_task(store.read(["a", "b"])),
            asyncio.create_task(list_all(store)),
        ]
        await asyncio.wait(calls, timeout=0.2)
        server.kill()

        async with asyncio.timeout(60):
            ends = await asyncio.gather(*calls, return_exceptions=True)

        assert [type(end) for end in ends] == [StoreUnavailableError] * 3
        server.start()


async def test_nothing_that_was_refused_while_the_server_was_away_takes_effect_later(own_nats: Backend) -> None:
    server, _ = own_nats
    async with opened_store(own_nats, "runs", timeout=LONG) as store:
        server.kill()
        await until_away(store)

        for number in range(10):
            with pytest.raises(StoreUnavailableError, match="no connection"):
                await store.write([Write(f"late-{number}", b"1", ABSENT), Write(f"late-too-{number}", b"1", ABSENT)])

        server.start()
        await until_back(store, "any")
        assert await list_all(store) == []


async def test_a_write_that_timed_out_and_took_effect_later_is_found_to_be_its_own(own_nats: Backend) -> None:
    server, _ = own_nats
    async with opened_store(own_nats, "runs", timeout=0.5) as store:
        server.halt()
        batch = [Write("commit:0:1", b'{"write_id":"w"}', ABSENT), Write("run:a", b"1", ABSENT)]
        with pytest.raises(StoreUnavailableError, match="in time"):
            await store.write(batch)
        server.resume()
        await until_there(store, "run:a")

        again = await store.write(batch)

        assert again == [Conflict()] * 2
        assert (await store.read(["commit:0:1"]))["commit:0:1"].value == b'{"write_id":"w"}'


async def test_a_client_that_the_server_has_thrown_out_is_replaced(
    own_nats: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened_store(own_nats, "runs") as store:
        await store.write([Write("key", b"1", ABSENT)])
        client = store._link.client  # noqa: SLF001 - the store itself sends nothing that is too large
        await client.publish("somewhere", b"", headers={"large": "x" * 2_000_000})
        await until_away(store)

        document = await until_back(store, "key")

        assert document is not None
        assert client.is_closed
        assert "has closed itself" in caplog.text
        assert isinstance((await store.write([Write("key", b"2", document.version)]))[0], Written)


async def test_reconnecting_is_told_in_two_lines_and_no_traceback(
    own_nats: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    server, port = own_nats
    caplog.set_level(logging.INFO)
    async with opened_store(own_nats, "runs") as store:
        await asyncio.to_thread(end_and_start, server)
        await until_back(store, "any")

    told = [record.getMessage() for record in caplog.records]
    assert told == [
        f"the connection to NATS at 127.0.0.1:{port} was lost",
        f"connected to NATS at 127.0.0.1:{port} again",
    ]
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.timeout(180)
async def test_nothing_acknowledged_is_lost_when_the_server_is_killed_under_writes(own_nats: Backend) -> None:
    server, _ = own_nats
    kept: dict[str, bytes] = {}
    done = asyncio.Event()
    more = asyncio.Condition()

    async def write_on(store: NatsStore, writer: int) -> None:
        for number in itertools.count(1):
            if done.is_set():
                return
            batch = [Write(f"run:{writer}:{number}:{place}", b"%d" % number, ABSENT) for place in range(5)]
            batch.append(Write(f"head:{writer}", b"%d" % number, ANY))
            try:
                results = await store.write(batch)
            except StoreUnavailableError:
                await until_back(store, "any")
                continue
            assert all(isinstance(result, Written) for result in results)
            async with more:
                kept.update({key: value for key, value, _ in batch if value is not None})
                more.notify_all()

    async with opened_store(own_nats, "runs") as store, asyncio.TaskGroup() as group:
        for writer in range(8):
            group.create_task(write_on(store, writer))
        for kill in range(1, 5):
            async with asyncio.timeout(60), more:
                await more.wait_for(partial(is_at_least, kept, 500 * kill))
            await asyncio.to_thread(end_and_start, server)
        done.set()

    async with opened_store(own_nats, "runs") as store:
        keys = sorted(kept)
        for start in range(0, len(keys), 1_000):
            part = keys[start : start + 1_000]
            found = await store.read(part)
            assert all(int(found[key].value) >= int(kept[key]) for key in part)


def is_at_least(kept: Sized, count: int) -> bool:
    return len(kept) >= count


def end_and_start(server: Server) -> None:
    server.kill()
    server.start()
