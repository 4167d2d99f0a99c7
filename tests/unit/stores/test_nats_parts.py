"""The parts of the NATS store that need no server: what its answers mean, and what a bucket can do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from holdfast.core.errors import StoreError, StoreUnavailableError
from holdfast.stores.nats import NatsStore
from holdfast.stores.nats_bucket import Bucket, bucket_capabilities, described
from holdfast.stores.nats_errors import client_errors, is_conflict, refusal, unexpected
from holdfast.stores.nats_reads import marks_deletion

OURS = Bucket("KV_b", "$KV.b.")
CONFIG = {
    "subjects": ["$KV.b.>"],
    "retention": "limits",
    "storage": "file",
    "discard": "new",
    "num_replicas": 1,
    "max_msgs_per_subject": 1,
    "max_msg_size": -1,
    "allow_direct": True,
    "allow_msg_ttl": True,
    "allow_atomic": True,
}


def answer(status: str = "", data: bytes = b"", **headers: str) -> Msg:
    return Msg(Client(), data=data, headers={**({"Status": status} if status else {}), **headers})


def test_a_bucket_can_do_what_its_stream_can() -> None:
    bucket = described(OURS, CONFIG, 1_048_576)

    assert (bucket.atomic, bucket.direct, bucket.expiring, bucket.durable) == (True, True, True, True)


@pytest.mark.parametrize(
    ("change", "attribute"),
    [
        ({"allow_atomic": False}, "atomic"),
        ({"allow_direct": False}, "direct"),
        ({"num_replicas": 3}, "direct"),
        ({"allow_msg_ttl": False}, "expiring"),
        ({"max_msgs_per_subject": 2}, "expiring"),
        ({"storage": "memory"}, "durable"),
        ({"persist_mode": "async"}, "durable"),
    ],
)
def test_what_a_stream_lacks_its_bucket_cannot_do(change: dict[str, Any], attribute: str) -> None:
    assert not getattr(described(OURS, CONFIG | change, 1_048_576), attribute)


@pytest.mark.parametrize("name", ["allow_atomic", "allow_direct", "allow_msg_ttl"])
def test_what_an_older_server_does_not_know_its_buckets_cannot_do(name: str) -> None:
    config = {key: value for key, value in CONFIG.items() if key != name}

    bucket = described(OURS, config, 1_048_576)

    assert [bucket.atomic, bucket.direct, bucket.expiring].count(False) == 1


@pytest.mark.parametrize(
    ("change", "max_payload", "limit"),
    [({}, 1_048_576, 1_044_480), ({}, 8_388_608, 8_384_512), ({"max_msg_size": 100_000}, 1_048_576, 95_904)],
)
def test_the_limit_leaves_room_for_the_rest_of_a_message(change: dict[str, Any], max_payload: int, limit: int) -> None:
    capabilities = bucket_capabilities(described(OURS, CONFIG | change, max_payload))

    assert capabilities.max_value_bytes == limit
    assert capabilities.max_batch_bytes >= max(4_194_304, limit)


def test_a_bucket_for_small_messages_only_is_refused() -> None:
    with pytest.raises(StoreError, match=r"no documents of 64 KiB \(max_msg_size has to be 69632 or more\)"):
        described(OURS, CONFIG | {"max_msg_size": 69_631}, 1_048_576)

    assert described(OURS, CONFIG | {"max_msg_size": 69_632}, 1_048_576).max_value_bytes == 65_536


@pytest.mark.parametrize("fault", [{"mirror": {"name": "other"}}, {"sealed": True}])
def test_a_bucket_that_nobody_can_write_to_is_refused(fault: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match="the stream KV_b cannot keep documents"):
        described(OURS, CONFIG | fault, 1_048_576)


@pytest.mark.parametrize(
    ("code", "number", "kind"),
    [
        (400, 10054, StoreError),
        (400, 10097, StoreError),
        (500, 10052, StoreError),
        (500, 10074, StoreError),
        (503, 10023, StoreUnavailableError),
        (400, 10174, StoreUnavailableError),
        (400, 10176, StoreUnavailableError),
        (429, 10210, StoreUnavailableError),
        (500, 10047, StoreUnavailableError),
        (503, 10077, StoreUnavailableError),
        (503, 10008, StoreUnavailableError),
    ],
)
def test_a_refusal_is_for_good_only_if_the_server_never_takes_it(
    code: int, number: int, kind: type[StoreError]
) -> None:
    error = {"code": code, "err_code": number, "description": "words of the server"}

    told = refusal(error, "writing 5 documents")

    assert type(told) is kind
    assert str(told) == f"NATS failed writing 5 documents: words of the server ({number})"


def test_wrong_last_sequences_are_conflicts() -> None:
    assert [number for number in (10054, 10071, 10164, 10176) if is_conflict({"err_code": number})] == [10071, 10164]


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (errors.MaxPayloadError(), StoreError),
        (errors.BadSubjectError(), StoreError),
        (errors.ConnectionClosedError(), StoreUnavailableError),
        (errors.OutboundBufferLimitError(), StoreUnavailableError),
        (errors.TimeoutError(), StoreUnavailableError),
        (TimeoutError(), StoreUnavailableError),
        (ConnectionResetError("gone"), StoreUnavailableError),
    ],
)
def test_errors_of_the_client_are_translated(raised: Exception, kind: type[StoreError]) -> None:
    with pytest.raises(StoreError) as told, client_errors("reading a document"):
        raise raised

    assert type(told.value) is kind
    assert "reading a document" in str(told.value)
    assert told.value.__cause__ is raised


def test_answers_that_make_no_sense_are_outages_that_quote_them() -> None:
    assert "nobody serves the bucket" in str(unexpected(answer("503"), "reading"))
    assert "408 Bad Request" in str(unexpected(answer("408", Description="Bad Request"), "reading"))
    assert "<html>" in str(unexpected(answer(data=b"<html>"), "reading"))


@pytest.mark.parametrize(
    ("headers", "deleted"),
    [
        (None, False),
        ({"KV-Operation": "PUT"}, False),
        ({"KV-Operation": "DEL"}, True),
        ({"KV-Operation": "PURGE"}, True),
        ({"Nats-Marker-Reason": "MaxAge"}, True),
    ],
)
def test_what_marks_a_deletion(headers: dict[str, str] | None, *, deleted: bool) -> None:
    assert marks_deletion(headers) == deleted


@pytest.mark.parametrize("name", ["", "a.b", "a b", "a*", "ü", "a\n", "x" * 201])
def test_names_that_no_bucket_can_have_are_refused(name: str) -> None:
    with pytest.raises(StoreError, match="a bucket of NATS is named with"):
        NatsStore(bucket=name)


def test_without_a_server_there_is_no_store() -> None:
    with pytest.raises(StoreError, match="needs the URL of a server"):
        NatsStore([])


async def test_credentials_that_cannot_be_read_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot be made: .*nobody\.creds"):
        await NatsStore(credentials=tmp_path / "nobody.creds").open()


async def test_credentials_need_another_package_and_the_error_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nkeys", None)
    credentials = tmp_path / "user.creds"
    credentials.touch()

    with pytest.raises(StoreError, match=r"pip install 'nats-py\[nkeys\]'"):
        await NatsStore(credentials=credentials).open()


def test_before_it_is_open_it_claims_the_least() -> None:
    can = NatsStore().capabilities

    assert (can.durable, can.guard, can.atomic_batch) == (False, "key", False)


async def test_what_is_not_open_refuses_and_closing_it_does_nothing() -> None:
    store = NatsStore()

    await store.close()

    with pytest.raises(StoreError, match="the bucket 'beluga_workflows' is not open"):
        await store.read(["key"])
