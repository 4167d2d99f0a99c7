"""What a real sidecar and its components do that no documentation says, as far as the store stands on it.

The numbers are those of the list of Dapr facts that decided the design (docs/adr/0015-dapr-store.md). Not here: 6, for
no document has a time to live; 8, 9 and 13, which are about messages and shutdown; 11 is in test_dapr_restarts.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import grpc
import pytest
from dapr.proto import api_v1, common_v1

from holdfast import StoreError, StoreUnavailableError, UnsupportedOperationError
from holdfast.ports import ABSENT, ANY, Conflict, Write, Written
from holdfast.sidecar import connect
from holdfast.stores.dapr import DaprStore
from holdfast.stores.dapr_client import SidecarClient
from tests.integration.conftest import KINDS, StartSidecar
from tests.integration.processes import Backend
from tests.integration.sidecar import Sidecar, StateComponent

pytestmark = pytest.mark.integration

on_every_component = pytest.mark.parametrize("component", KINDS, indirect=True)
on_redis = pytest.mark.parametrize("component", ["redis"], indirect=True)
on_sql = pytest.mark.parametrize("component", ["in-memory", "sqlite", "postgresql"], indirect=True)
FIRST_WRITE = common_v1.StateOptions(concurrency=common_v1.StateOptions.CONCURRENCY_FIRST_WRITE)


@asynccontextmanager
async def opened(sidecar: Sidecar) -> AsyncIterator[DaprStore]:
    store = DaprStore(address=sidecar.address)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def stub(sidecar: Sidecar) -> AsyncIterator[SidecarClient]:
    """The sidecar without the store."""
    channel, client = connect(sidecar.address)
    try:
        yield client
    finally:
        await channel.close()


async def save(client: SidecarClient, key: str, value: bytes, etag: str | None = None, *, first: bool = True) -> None:
    options = FIRST_WRITE if first else None
    tag = common_v1.Etag(value=etag) if etag is not None else None
    item = common_v1.StateItem(key=key, value=value, etag=tag, options=options)
    await client.SaveState(api_v1.SaveStateRequest(store_name="statestore", states=[item]), timeout=10)


async def refused(client: SidecarClient, operations: Sequence[api_v1.TransactionalStateOperation]) -> str:
    """The status and the words with which a transaction is refused."""
    request = api_v1.ExecuteStateTransactionRequest(storeName="statestore", operations=operations)
    with pytest.raises(grpc.RpcError) as caught:
        await client.ExecuteStateTransaction(request, timeout=10)
    return str(caught.value)


def upsert(
    key: str, value: bytes, etag: str | None = None, *, first: bool = False
) -> api_v1.TransactionalStateOperation:
    tag = common_v1.Etag(value=etag) if etag is not None else None
    item = common_v1.StateItem(key=key, value=value, etag=tag, options=FIRST_WRITE if first else None)
    return api_v1.TransactionalStateOperation(operationType="upsert", request=item)


async def version_of(store: DaprStore, key: str) -> str | None:
    found = await store.read([key])
    return found[key].version if key in found else None


@on_redis
async def test_1_a_refused_creation_on_redis_is_not_told_as_a_conflict_but_an_internal_error(sidecar: Sidecar) -> None:
    async with stub(sidecar) as client, opened(sidecar) as store:
        await save(client, "a", b"1")
        with pytest.raises(grpc.RpcError) as caught:
            await save(client, "a", b"2")
        assert "StatusCode.INTERNAL" in str(caught.value)

        assert await store.write([Write("a", b"3", ABSENT)]) == [Conflict()]


@pytest.mark.parametrize("component", ["postgresql"], indirect=True)
async def test_1_a_refused_creation_on_postgresql_says_only_that_no_item_was_updated(sidecar: Sidecar) -> None:
    async with stub(sidecar) as client, opened(sidecar) as store:
        await store.write([Write("a", b"1", ABSENT)])

        words = await refused(client, [upsert("b", b"2"), upsert("a", b"2", first=True)])

        assert "StatusCode.INTERNAL" in words
        assert "no item was updated" in words
        assert await store.write([Write("b", b"2", ANY), Write("a", b"2", ABSENT)]) == [Conflict(), Conflict()]


@on_redis
async def test_2_an_outage_of_redis_is_told_as_an_etag_mismatch_and_taken_for_what_it_is(
    sidecar: Sidecar, redis: Backend
) -> None:
    server, _ = redis
    async with stub(sidecar) as client, opened(sidecar) as store:
        await store.write([Write("a", b"1", ABSENT)])
        server.kill()
        try:
            with pytest.raises(grpc.RpcError, match=r"(?s)StatusCode.ABORTED.*possible etag mismatch"):
                await save(client, "a", b"2", "1")
            assert "connection refused" in await refused(client, [upsert("a", b"2", "1")])
            with pytest.raises(StoreUnavailableError):
                await store.write([Write("a", b"2", "1")])
        finally:
            server.start()


@on_every_component
async def test_2_a_batch_that_meets_its_own_earlier_try_is_a_conflict_with_its_own_bytes_inside(
    sidecar: Sidecar,
) -> None:
    async with opened(sidecar) as store:
        batch = [Write("commit", b'"mine"', ABSENT), Write("run", b'"mine"', ANY)]
        await store.write(batch)

        assert await store.write(batch) == [Conflict(), Conflict()]
        assert {key: document.value for key, document in (await store.read(["commit", "run"])).items()} == {
            "commit": b'"mine"',
            "run": b'"mine"',
        }


@on_redis
async def test_3_redis_brings_a_deleted_key_back_when_it_is_updated_late(sidecar: Sidecar) -> None:
    async with opened(sidecar) as store:
        await store.write([Write("a", b"1", ABSENT)])
        await store.write([Write("a", b"2", "1")])
        await store.write([Write("a", None, ANY)])

        assert await store.write([Write("a", b"3", "2")]) == [Written("3")]
        assert await version_of(store, "a") == "1"


@on_sql
async def test_3_the_others_refuse_to_update_a_deleted_key(sidecar: Sidecar) -> None:
    async with opened(sidecar) as store:
        await store.write([Write("a", b"1", ABSENT)])
        version = await version_of(store, "a")
        assert version
        await store.write([Write("a", None, ANY)])

        assert await store.write([Write("a", b"2", version)]) == [Conflict()]
        assert await version_of(store, "a") is None


@on_redis
async def test_4_redis_counts_from_one_again_after_a_deletion(sidecar: Sidecar) -> None:
    async with opened(sidecar) as store:
        assert await store.write([Write("a", b"1", ABSENT)]) == [Written("1")]
        await store.write([Write("a", None, ANY)])

        assert await store.write([Write("a", b"2", ABSENT)]) == [Written("1")]


@on_redis
async def test_5_a_key_that_was_saved_as_first_write_cannot_be_saved_without_an_etag_again(sidecar: Sidecar) -> None:
    async with stub(sidecar) as client, opened(sidecar) as store:
        await save(client, "theirs", b"1")
        with pytest.raises(StoreUnavailableError, match="failed to set key"):
            await store.write([Write("theirs", b"2", ANY)])

        await store.write([Write("ours", b"1", ABSENT)])
        assert await store.write([Write("ours", b"2", ANY)]) == [Written("")]
        assert await version_of(store, "ours") == "2"


@on_redis
async def test_5_first_write_within_a_transaction_overwrites_and_the_etag_that_no_count_reaches_does_not(
    sidecar: Sidecar,
) -> None:
    async with stub(sidecar) as client, opened(sidecar) as store:
        await store.write([Write("a", b"1", ABSENT)])
        request = api_v1.ExecuteStateTransactionRequest(
            storeName="statestore", operations=[upsert("a", b'"overwritten"', first=True)]
        )
        await client.ExecuteStateTransaction(request, timeout=10)
        assert (await store.read(["a"]))["a"].value == b'"overwritten"'

        assert "failed to set key" in await refused(client, [upsert("a", b"3", "2147483647")])
        assert (await store.read(["a"]))["a"].value == b'"overwritten"'


@on_every_component
async def test_7_a_key_with_two_bars_is_refused_for_good(sidecar: Sidecar) -> None:
    async with opened(sidecar) as store:
        with pytest.raises(StoreError, match=r"\|\|") as caught:
            await store.write([Write("a||b", b"1", ABSENT)])

        assert not isinstance(caught.value, StoreUnavailableError)


@on_redis
async def test_7_another_app_id_does_not_see_the_data(
    sidecar: Sidecar, component: StateComponent, start_sidecar: StartSidecar
) -> None:
    other = start_sidecar(component, app_id="another")
    async with opened(sidecar) as store, opened(other) as stranger:
        await store.write([Write("a", b"1", ABSENT)])

        assert await stranger.read(["a"]) == {}


@on_every_component
async def test_10_a_batch_of_the_largest_size_goes_through_and_comes_back_and_one_over_it_is_refused(
    sidecar: Sidecar,
) -> None:
    async with opened(sidecar) as store:
        limits = store.capabilities
        (key, size) = ("k" * 100, limits.max_value_bytes)
        assert await store.write([Write(key, b"1" * size, ABSENT)]) != [Conflict()]
        assert len((await store.read([key]))[key].value) == size

        batch = [Write(f"{number:0100}", b"2" * 3_900, ABSENT) for number in range(limits.max_batch)]
        assert Conflict() not in await store.write(batch)
        twice = [write.key for write in batch][: limits.max_batch - 1]
        assert len(await store.read([key, *twice])) == limits.max_batch


@on_every_component
async def test_10_a_sidecar_with_a_smaller_limit_than_it_was_told_refuses_for_good(sidecar: Sidecar) -> None:
    async with opened(sidecar) as store:
        store._capabilities = DaprStore(max_body_bytes=16 * 1024 * 1024).capabilities  # noqa: SLF001 - told wrongly

        with pytest.raises(StoreError, match="larger than max") as caught:
            await store.write([Write("a", b"1" * 5_000_000, ABSENT)])

        assert not isinstance(caught.value, StoreUnavailableError)


@on_every_component
async def test_12_keys_cannot_be_listed(sidecar: Sidecar) -> None:
    async with opened(sidecar) as store:
        assert not store.capabilities.list_keys
        with pytest.raises(UnsupportedOperationError):
            store.keys("a")


@on_every_component
async def test_the_metadata_of_a_sidecar_says_what_its_component_can_do(
    request: pytest.FixtureRequest, sidecar: Sidecar
) -> None:
    kind = request.node.callspec.params["component"]
    async with opened(sidecar) as store:
        limits = store.capabilities

        assert (limits.guard, limits.atomic_batch) == (("key", False) if kind == "redis" else ("batch", True))
        assert limits.durable == (kind != "in-memory")


@on_every_component
async def test_a_sidecar_takes_an_empty_etag_for_none_and_the_store_does_not(sidecar: Sidecar) -> None:
    async with stub(sidecar) as client, opened(sidecar) as store:
        await store.write([Write("a", b"1", ABSENT)])
        request = api_v1.ExecuteStateTransactionRequest(storeName="statestore", operations=[upsert("a", b"2", "")])
        await client.ExecuteStateTransaction(request, timeout=10)
        assert (await store.read(["a"]))["a"].value == b"2"

        assert await store.write([Write("a", b"3", "")]) == [Conflict()]
        assert (await store.read(["a"]))["a"].value == b"2"


@on_redis
async def test_redis_carries_out_the_siblings_of_a_refused_write(sidecar: Sidecar) -> None:
    async with opened(sidecar) as store:
        await store.write([Write("taken", b"1", ABSENT)])

        results = await store.write([Write("a", b"1", ABSENT), Write("taken", b"2", ABSENT), Write("b", b"1", ANY)])

        assert results == [Conflict()] * 3
        assert set(await store.read(["a", "b"])) == {"a", "b"}


@pytest.mark.parametrize("component", ["in-memory"], indirect=True)
async def test_a_sidecar_with_a_token_opens_to_that_token_only(
    component: StateComponent, start_sidecar: StartSidecar
) -> None:
    guarded = start_sidecar(component, environment={"DAPR_API_TOKEN": "secret"})

    with pytest.raises(StoreError, match="set DAPR_API_TOKEN"):
        await DaprStore(address=guarded.address, token="wrong").open()
    store = DaprStore(address=guarded.address, token="secret")
    await store.open()
    assert await store.write([Write("a", b"1", ABSENT)]) == [Written("")]
    await store.close()


@pytest.mark.parametrize("component", ["in-memory"], indirect=True)
async def test_a_component_that_is_not_there_is_named(sidecar: Sidecar) -> None:
    with pytest.raises(StoreError, match="no state component 'orders'; loaded are: statestore"):
        await DaprStore("orders", address=sidecar.address).open()
