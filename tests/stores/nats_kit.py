"""Buckets on a real NATS server, as stores and as another client of NATS sees them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from uuid import uuid4

import nats as nats_py
import orjson
from nats.aio.client import Client

from holdfast.ports import StateStore
from holdfast.stores.nats import NatsStore
from holdfast.testing.store_conformance import StoreFactory
from tests.integration.processes import Backend, Server

BARE_BUCKET = {"max_msgs_per_subject": 1, "discard": "new", "deny_delete": True, "allow_rollup_hdrs": True}
"""The bucket that a client creates which knows of nothing newer: no batches, no direct reads, nothing expires."""

DAY_NS = 24 * 3600 * 10**9


def url_of(backend: Backend) -> str:
    return f"nats://127.0.0.1:{backend[1]}"


def new_bucket() -> str:
    return f"bucket-{uuid4().hex}"


@asynccontextmanager
async def client_of(backend: Backend) -> AsyncIterator[Client]:
    """A client of NATS that knows nothing of stores."""
    client = await nats_py.connect(url_of(backend))
    try:
        yield client
    finally:
        await client.close()


async def call(client: Client, name: str, request: object = None) -> dict[str, Any]:
    """Call the JetStream API."""
    payload = b"" if request is None else orjson.dumps(request)
    answer = orjson.loads((await client.request(f"$JS.API.{name}", payload, timeout=10)).data)
    assert "error" not in answer, answer["error"]
    assert isinstance(answer, dict)
    return answer


async def create_stream(backend: Backend, bucket: str, config: Mapping[str, object]) -> dict[str, Any]:
    """Create the stream of a bucket, and give its configuration as the server sees it."""
    async with client_of(backend) as client:
        stream = {"name": f"KV_{bucket}", "subjects": [f"$KV.{bucket}.>"], **config}
        answer = await call(client, f"STREAM.CREATE.KV_{bucket}", stream)
    return dict(answer["config"])


async def stream_of(backend: Backend, bucket: str) -> dict[str, Any]:
    """What the server says of a bucket's stream, with its subjects."""
    async with client_of(backend) as client:
        return await call(client, f"STREAM.INFO.KV_{bucket}", {"subjects_filter": ">"})


async def until_subjects(backend: Backend, bucket: str, count: int) -> None:
    """Wait until a stream has no more than so many subjects."""
    async with asyncio.timeout(60):
        while True:
            state = (await stream_of(backend, bucket))["state"]
            if state["num_subjects"] <= count:
                return
            await asyncio.sleep(0.1)


@asynccontextmanager
async def opened_store(backend: Backend, bucket: str, *, timeout: float = 30.0) -> AsyncIterator[NatsStore]:
    store = NatsStore(url_of(backend), bucket=bucket, timeout=timeout)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


class NatsFactory(StoreFactory):
    """Stores in buckets of their own; an outage is a server that was killed."""

    def __init__(self, backend: Backend) -> None:
        self._server, _ = backend
        self._url = url_of(backend)
        self._buckets: dict[StateStore, str] = {}

    def create(self) -> StateStore:
        return self.on(new_bucket())

    def again(self, store: StateStore) -> StateStore | None:
        return self.on(self._buckets[store])

    def outage(self, store: StateStore) -> AbstractAsyncContextManager[None] | None:
        return killed(self._server)

    def on(self, bucket: str) -> StateStore:
        store = NatsStore(self._url, bucket=bucket, timeout=30.0)
        self._buckets[store] = bucket
        return store


class OneBucketFactory(NatsFactory):
    """Stores in a bucket that is there already."""

    def __init__(self, backend: Backend, bucket: str) -> None:
        super().__init__(backend)
        self._bucket = bucket

    def create(self) -> StateStore:
        return self.on(self._bucket)


@asynccontextmanager
async def killed(server: Server) -> AsyncIterator[None]:
    """Take a server away, and start it again."""
    server.kill()
    try:
        yield
    finally:
        server.start()
