"""DaprStore over a stand-in of a sidecar: what it asks for, and what it makes of each answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from dapr.proto import api_v1

from holdfast import StoreError, StoreUnavailableError
from holdfast.ports import ABSENT, ANY, Conflict, StateStore, Write, Written
from holdfast.stores.dapr import DaprStore
from holdfast.testing.store_conformance import CHECKS, StoreFactory, run_conformance
from tests.unit.dapr_kit import CallError, FakeSidecar, internal

KINDS = [("state.redis", "v1"), ("state.sqlite", "v1"), ("state.postgresql", "v2"), ("state.in-memory", "v1")]
every_kind = pytest.mark.parametrize(("kind", "version"), KINDS)


@asynccontextmanager
async def opened(sidecar: FakeSidecar) -> AsyncIterator[DaprStore]:
    store = DaprStore.with_client(sidecar)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def transactions(sidecar: FakeSidecar) -> list[api_v1.ExecuteStateTransactionRequest]:
    requests = sidecar.called("ExecuteStateTransaction")
    return [request for request in requests if isinstance(request, api_v1.ExecuteStateTransactionRequest)]


class Factory(StoreFactory):
    """Stores on one stand-in."""

    def __init__(self, sidecar: FakeSidecar, *, allow_unguarded: bool = False) -> None:
        self._sidecar = sidecar
        self._allow_unguarded = allow_unguarded

    def create(self) -> StateStore:
        return DaprStore.with_client(self._sidecar, allow_unguarded=self._allow_unguarded)

    def again(self, store: StateStore) -> StateStore | None:
        return self.create()


REDIS_FORGETS = {
    "a_late_update_brings_nothing_back": "an absent key takes any ETag",
    "versions_never_return": "the count of a key that was deleted begins anew",
}
NEEDS_VERSIONS = {
    "of_racing_updates_one_wins",
    "written_versions_are_those_read",
    "stale_versions_are_refused",
    "stale_deletions_are_refused",
    "a_late_update_brings_nothing_back",
    "versions_never_return",
    "a_stale_write_and_its_siblings",
}
NEEDS_CREATIONS = {
    "creating_what_exists_is_refused",
    "of_racing_creators_one_wins",
    "a_refused_write_and_its_siblings",
}


@every_kind
async def test_the_contract_is_kept_on_each_kind_of_component(kind: str, version: str) -> None:
    waived = REDIS_FORGETS if kind == "state.redis" else {}

    report = await run_conformance(Factory(FakeSidecar(kind, version=version)), waived=waived)

    left_out = set(waived) if waived else NEEDS_VERSIONS
    gone = {"a_store_reopened_has_its_data"} if kind == "state.in-memory" else set()
    assert set(report.left_out) == left_out | gone | {"an_outage_is_told_and_passes"}
    assert len(report.passed) + len(report.left_out) == len(CHECKS)


@pytest.mark.parametrize("traits", [["ETAG", "TRANSACTIONAL"], ["TTL"]])
async def test_an_allowed_component_without_guard_keeps_the_rest_of_the_contract(traits: list[str]) -> None:
    sidecar = FakeSidecar("state.cassandra", traits=traits)

    report = await run_conformance(Factory(sidecar, allow_unguarded=True))

    assert set(report.left_out) == NEEDS_VERSIONS | NEEDS_CREATIONS | {"an_outage_is_told_and_passes"}
    assert bool(sidecar.called("ExecuteStateTransaction")) == ("TRANSACTIONAL" in traits)


async def test_a_component_that_guards_nothing_is_refused_and_the_right_ones_are_named() -> None:
    store = DaprStore.with_client(FakeSidecar("state.memcached", traits=["TTL"]))

    with pytest.raises(StoreError, match=r"state\.memcached .*no ETAG and no TRANSACTIONAL.*use state\.redis, "):
        await store.open()


async def test_a_component_nobody_has_tried_is_refused() -> None:
    store = DaprStore.with_client(FakeSidecar("state.mysql"))

    with pytest.raises(StoreError, match=r"nobody has tried.*allow_unguarded"):
        await store.open()


async def test_a_missing_component_is_named_with_those_that_are_there() -> None:
    store = DaprStore.with_client(FakeSidecar(), "orders")

    with pytest.raises(StoreError, match="no state component 'orders'; loaded are: statestore"):
        await store.open()


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        (grpc.StatusCode.UNAVAILABLE, StoreUnavailableError, "no Dapr sidecar answers at 127"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, StoreUnavailableError, "no Dapr sidecar answers at 127"),
        (grpc.StatusCode.UNAUTHENTICATED, StoreError, "set DAPR_API_TOKEN"),
        (grpc.StatusCode.PERMISSION_DENIED, StoreError, "must allow the APIs metadata and state"),
    ],
)
async def test_a_sidecar_that_does_not_say_what_it_has_is_told_apart_from_none(
    code: grpc.StatusCode, error: type[StoreError], words: str
) -> None:
    sidecar = FakeSidecar()
    sidecar.fails["GetMetadata"] = [CallError(code, "so it is")]

    with pytest.raises(error, match=words) as caught:
        await DaprStore.with_client(sidecar).open()

    assert isinstance(caught.value, StoreUnavailableError) == (error is StoreUnavailableError)


@pytest.mark.parametrize(
    "failure",
    [
        CallError(grpc.StatusCode.UNAVAILABLE, "Socket closed"),
        CallError(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"),
        CallError(grpc.StatusCode.UNAUTHENTICATED, "the token is being renewed"),
        CallError(grpc.StatusCode.INVALID_ARGUMENT, "state store statestore is not found"),
        CallError(grpc.StatusCode.FAILED_PRECONDITION, "state store statestore is not configured"),
        internal("possible etag mismatch. error from state store: dial tcp: connection refused"),
        internal("possible etag mismatch. error from state store: OOM command not allowed"),
    ],
)
@every_kind
async def test_an_outage_is_told_as_one_whatever_it_looks_like(kind: str, version: str, failure: CallError) -> None:
    sidecar = FakeSidecar(kind, version=version)
    async with opened(sidecar) as store:
        await store.write([Write("there", b"1", ABSENT)])
        there = (await store.read(["there"]))["there"].version
        sidecar.fails["ExecuteStateTransaction"] = [failure]

        with pytest.raises(StoreUnavailableError, match="writing 3 documents"):
            await store.write([Write("new", b"1", ABSENT), Write("there", b"2", there), Write("any", b"3", ANY)])


@every_kind
async def test_an_outage_that_lasts_while_it_is_looked_into_is_one(kind: str, version: str) -> None:
    sidecar = FakeSidecar(kind, version=version)
    async with opened(sidecar) as store:
        sidecar.fails["ExecuteStateTransaction"] = [internal("possible etag mismatch. EOF")]
        sidecar.fails["GetBulkState"] = [internal("EOF")]

        with pytest.raises(StoreUnavailableError, match="reading 1 documents"):
            await store.write([Write("new", b"1", ABSENT)])


@every_kind
async def test_a_batch_whose_answer_was_lost_is_a_conflict_when_it_is_tried_again(kind: str, version: str) -> None:
    sidecar = FakeSidecar(kind, version=version)
    batch = [Write("commit:0:1", b"1", ABSENT), Write("run:a", b"2", ANY)]
    async with opened(sidecar) as store:
        sidecar.loses.append("ExecuteStateTransaction")
        with pytest.raises(StoreUnavailableError, match="Socket closed"):
            await store.write(batch)

        assert await store.write(batch) == [Conflict(), Conflict()]
        assert (await store.read(["commit:0:1"]))["commit:0:1"].value == b"1"


async def test_what_the_sidecar_refuses_for_good_is_no_outage() -> None:
    sidecar = FakeSidecar()
    async with opened(sidecar) as store:
        for code, words in [
            (grpc.StatusCode.INVALID_ARGUMENT, "input key/keyPrefix 'a||b' can't contain '||'"),
            (grpc.StatusCode.RESOURCE_EXHAUSTED, "received message larger than max (5 vs. 4)"),
            (grpc.StatusCode.UNIMPLEMENTED, "state store statestore doesn't support transactions"),
        ]:
            sidecar.fails["ExecuteStateTransaction"] = [CallError(code, words)]
            with pytest.raises(StoreError) as caught:
                await store.write([Write("a", b"1", ABSENT)])
            assert not isinstance(caught.value, StoreUnavailableError)


async def test_a_key_that_cannot_be_read_is_an_outage_and_never_looks_absent() -> None:
    class HalfBlind(FakeSidecar):
        async def GetBulkState(  # noqa: N802 - the name in the Dapr API
            self,
            request: api_v1.GetBulkStateRequest,
            *,
            timeout: float | None = None,
            metadata: tuple[tuple[str, str], ...] = (),
        ) -> api_v1.GetBulkStateResponse:
            return api_v1.GetBulkStateResponse(items=[api_v1.BulkStateItem(key="a", error="i/o timeout")])

    async with opened(HalfBlind("state.redis")) as store:
        with pytest.raises(StoreUnavailableError, match="'a': i/o timeout"):
            await store.read(["a", "b"])


async def test_what_does_not_fit_in_one_answer_is_read_in_parts() -> None:
    sidecar = FakeSidecar()
    async with opened(sidecar) as store:
        keys = [f"key:{number}" for number in range(9)]
        await store.write([Write(key, b"1" * 1_000, ABSENT) for key in keys])
        sidecar.answer_bytes = 2_500

        assert list(await store.read(keys)) == keys

        sidecar.answer_bytes = 500
        with pytest.raises(StoreError, match="larger than max"):
            await store.read(keys)


async def test_redis_is_asked_to_create_by_an_etag_that_no_count_reaches() -> None:
    sidecar = FakeSidecar("state.redis")
    async with opened(sidecar) as store:
        assert await store.write([Write("a", b"1", ABSENT)]) == [Written("1")]
        assert await store.write([Write("a", b"2", "1"), Write("b", b"3", ANY)]) == [Written("2"), Written("")]

        first, second = transactions(sidecar)
        assert first.operations[0].request.etag.value == "2147483647"
        assert second.operations[0].request.etag.value == "1"
        assert not second.operations[1].request.HasField("etag")
        assert not any(operation.request.HasField("options") for operation in (*first.operations, *second.operations))


@pytest.mark.parametrize("version", ["", "0", "-1", "01", "no-such-version", "2147483647", "1.0"])
async def test_redis_is_never_asked_for_a_version_that_it_would_take_for_any(version: str) -> None:
    sidecar = FakeSidecar("state.redis")
    async with opened(sidecar) as store:
        assert await store.write([Write("absent", b"1", version)]) == [Conflict()]
        assert await store.read(["absent"]) == {}

        await store.write([Write("there", b"1", ABSENT)])
        assert await store.write([Write("there", None, version)]) == [Conflict()]
        assert (await store.read(["there"]))["there"].value == b"1"


async def test_sql_components_guard_an_update_by_the_version_that_was_read() -> None:
    async with opened(FakeSidecar("state.sqlite")) as store:
        assert await store.write([Write("a", b"1", ABSENT)]) == [Written("")]
        version = (await store.read(["a"]))["a"].version

        assert await store.write([Write("a", b"2", version)]) == [Written("")]
        assert await store.write([Write("a", b"3", version)]) == [Conflict()]


async def test_a_version_that_the_store_did_not_tell_is_not_taken_for_any() -> None:
    async with opened(FakeSidecar("state.sqlite")) as store:
        (written,) = await store.write([Write("a", b"1", ABSENT)])
        assert isinstance(written, Written)

        assert await store.write([Write("a", b"2", written.version)]) == [Conflict()]


async def test_every_call_has_a_deadline_and_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAPR_API_TOKEN", " secret\n")
    sidecar = FakeSidecar("state.cassandra", traits=["TTL"])
    for allowed in (sidecar, FakeSidecar()):
        store = DaprStore.with_client(allowed, allow_unguarded=True)
        await store.open()
        await store.write([Write("a", b"1", ANY), Write("b", None, ANY)])
        await store.read(["a"])

        assert len({name for name, *_ in allowed.calls}) >= 3
        assert all(timeout and timeout <= 30 for _, _, timeout, _ in allowed.calls)
        assert {headers for *_, headers in allowed.calls} == {(("dapr-api-token", "secret"),)}


async def test_limits_leave_room_for_what_an_operation_takes_beside_its_value() -> None:
    sidecar = FakeSidecar()
    async with opened(sidecar) as store:
        limits = store.capabilities
        keys = [f"{number:0100}" for number in range(limits.max_batch)]
        size = limits.max_batch_bytes // limits.max_batch - 100

        await store.write([Write(key, b"1" * size, ABSENT) for key in keys])

        assert transactions(sidecar)[0].ByteSize() <= 4 * 1024 * 1024


async def test_nobody_listens_at_the_address() -> None:
    store = DaprStore(address="127.0.0.1:1", connect_timeout=0.2)

    with pytest.raises(StoreUnavailableError, match=r"no Dapr sidecar answers at 127\.0\.0\.1:1"):
        await store.open()
    with pytest.raises(StoreError, match="not open"):
        await store.read(["a"])


async def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(StoreError, match="is not the address of a sidecar"):
        await DaprStore(address="ftp://nowhere:1").open()
