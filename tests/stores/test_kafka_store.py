"""A `KafkaStore` on a real broker: the contract, the topic, fencing, outages and compaction."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from holdfast import Engine, FencedError, WorkflowContext
from holdfast.core.errors import StoreError, StoreUnavailableError
from holdfast.ports import ABSENT, ANY, Conflict, StateStore, Write, Written
from holdfast.stores.kafka import KafkaStore
from holdfast.testing.conformance_kit import opened
from holdfast.testing.store_conformance import CHECKS, Check, CheckNotApplicableError, StoreFactory
from tests.integration.processes import Backend, Server, until

pytestmark = [pytest.mark.stores, pytest.mark.timeout(180)]

COMPACTED_SOON = {
    "cleanup.policy": "compact",
    "segment.ms": "1000",
    "min.cleanable.dirty.ratio": "0.001",
    "delete.retention.ms": "1000",
    "max.compaction.lag.ms": "1000",
}


def brokers(backend: Backend) -> str:
    return f"127.0.0.1:{backend[1]}"


def fresh_topic() -> str:
    return f"runs-{uuid4().hex}"


@contextmanager
def halted(server: Server) -> Iterator[None]:
    server.halt()
    try:
        yield
    finally:
        server.resume()


class KafkaFactory(StoreFactory):
    """Stores on topics of their own; in an outage every thread of the broker stands still."""

    def __init__(self, backend: Backend) -> None:
        self._server = backend[0]
        self._brokers = brokers(backend)
        self._topics: dict[StateStore, str] = {}

    def create(self) -> StateStore:
        return self._on(fresh_topic())

    def again(self, store: StateStore) -> StateStore | None:
        return self._on(self._topics[store])

    @asynccontextmanager
    async def outage(self, store: StateStore) -> AsyncIterator[None]:
        with halted(self._server):
            yield

    def _on(self, topic: str) -> StateStore:
        store = KafkaStore(self._brokers, topic=topic, timeout=3.0)
        self._topics[store] = topic
        return store


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: str(check.__name__))
async def test_the_store_keeps_the_contract(check: Check, kafka: Backend) -> None:
    try:
        await check(KafkaFactory(kafka))
    except CheckNotApplicableError as reason:
        assert str(reason) == "the store does not guard each key by a version"  # noqa: PT017 - the only one left out


async def test_the_topic_is_created_compacted_and_used_again(kafka: Backend) -> None:
    topic = fresh_topic()
    async with opened(KafkaStore(brokers(kafka), topic=topic, partition=2)):
        pass

    admin = AdminClient({"bootstrap.servers": brokers(kafka)})
    assert len(admin.list_topics(topic, timeout=10).topics[topic].partitions) == 3
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    assert admin.describe_configs([resource])[resource].result()["cleanup.policy"].value == "compact"
    first, second = (KafkaStore(brokers(kafka), topic=topic, partition=number) for number in (0, 1))
    async with opened(first, second):
        await first.write([Write("a", b"1", ABSENT)])
        await second.write([Write("a", b"2", ABSENT)])
        assert (await first.read(["a"]))["a"].value == b"1"
        assert await first.write([Write("a", b"3", ANY)]) == [Written("2")]  # partitions fence each other not


@pytest.mark.parametrize("policy", ["delete", "compact,delete"])
async def test_a_topic_that_forgets_is_refused_and_left_alone(policy: str, kafka: Backend) -> None:
    topic = fresh_topic()
    created(kafka, topic, {"cleanup.policy": policy})

    with pytest.raises(StoreError, match=f"'{topic}' has cleanup.policy={policy}, .*set cleanup.policy=compact"):
        await KafkaStore(brokers(kafka), topic=topic).open()

    assert end_of(kafka, topic) == 0


async def test_a_partition_that_is_not_there_is_refused(kafka: Backend) -> None:
    topic = fresh_topic()
    created(kafka, topic, {"cleanup.policy": "compact"})

    with pytest.raises(StoreError, match="has 1 partitions, numbered from 0: there is no partition 1"):
        await KafkaStore(brokers(kafka), topic=topic, partition=1).open()


@pytest.mark.parametrize("then", ["stays away", "comes back"])
async def test_a_topic_that_is_deleted_under_a_writer_takes_nothing_more(then: str, kafka: Backend) -> None:
    topic = fresh_topic()
    store, other = (KafkaStore(brokers(kafka), topic=topic, timeout=2.0) for _ in range(2))
    admin = AdminClient({"bootstrap.servers": brokers(kafka)})
    async with opened(store):
        for number in range(5):
            await store.write([Write(f"commit:{number}", b"1", ABSENT), Write("run:x", b"1", ANY)])
        admin.delete_topics([topic])[topic].result()
        if then == "comes back":
            async with opened(other):
                await other.write([Write("commit:0", b"another", ABSENT)])
        batch = [Write("commit:5", b"1", ABSENT), Write("run:x", b"2", ANY)]
        for _ in range(2):
            with pytest.raises(StoreUnavailableError):
                await store.write(batch)
            with pytest.raises(StoreUnavailableError):
                await store.read(["run:x"])
    if then == "stays away":
        assert topic not in admin.list_topics(timeout=10).topics


def test_a_partition_is_a_number_from_0() -> None:
    with pytest.raises(StoreError, match="partition -1"):
        KafkaStore(partition=-1)


async def test_more_replicas_than_brokers_are_refused(kafka: Backend) -> None:
    with pytest.raises(StoreError, match=r"cannot be created: .*replication factor"):
        await KafkaStore(brokers(kafka), topic=fresh_topic(), replicas=3).open()


async def test_a_name_that_no_topic_can_have_is_refused(kafka: Backend) -> None:
    with pytest.raises(StoreError, match="'no topic' cannot be created"):
        await KafkaStore(brokers(kafka), topic="no topic").open()


async def test_a_property_that_the_client_does_not_know_is_refused() -> None:
    with pytest.raises(StoreError, match=r"cannot be set like this: No such configuration property: .sasl.pasword"):
        await KafkaStore(config={"sasl.pasword": "secret"}).open()


async def test_a_value_that_the_client_does_not_take_is_not_repeated() -> None:
    with pytest.raises(StoreError, match=r"cannot be set like this: .*security\.protocol") as refused:
        await KafkaStore(config={"security.protocol": "sEcReT"}).open()
    assert "sEcReT" not in str(refused.value)


async def test_no_broker_is_an_outage() -> None:
    with pytest.raises(StoreUnavailableError, match=r"no broker answers at 127\.0\.0\.1:1: "):
        await KafkaStore("127.0.0.1:1", connect_timeout=0.1).open()


async def test_the_limit_of_the_topic_is_that_of_values(kafka: Backend) -> None:
    topic = fresh_topic()
    created(kafka, topic, {"cleanup.policy": "compact", "max.message.bytes": "100000"})
    store = KafkaStore(brokers(kafka), topic=topic)
    async with opened(store):
        limit = store.capabilities.max_value_bytes
        assert 90_000 < limit < 100_000
        assert await store.write([Write("k" * 200, b"x" * limit, ABSENT)]) == [Written("0")]
        with pytest.raises(StoreError, match="at most"):
            await store.write([Write("b", b"x" * (limit + 1), ABSENT)])
        many = [Write(f"k{number}", b"x" * 50_000, ABSENT) for number in range(20)]  # many batches of one transaction
        assert all(isinstance(result, Written) for result in await store.write(many))


async def test_a_large_batch_is_one_transaction(kafka: Backend) -> None:
    topic = fresh_topic()
    store, other = KafkaStore(brokers(kafka), topic=topic), KafkaStore(brokers(kafka), topic=topic)
    batch = [Write(f"k{number}", b"x" * 1_000, ABSENT) for number in range(10_000)]
    async with opened(store, other):
        results = await store.write(batch)
        assert len({result.version for result in results if isinstance(result, Written)}) == 10_000
        assert len(await other.read([write.key for write in batch])) == 10_000
        assert set(map(type, await store.write([*batch[:5], Write("new", b"1", ABSENT)]))) == {Conflict}
        assert await other.read(["new"]) == {}


async def test_a_stale_writer_is_fenced_and_writes_nothing(kafka: Backend) -> None:
    topic = fresh_topic()
    stale, successor = KafkaStore(brokers(kafka), topic=topic), KafkaStore(brokers(kafka), topic=topic)
    async with opened(stale, successor):
        await stale.write([Write("commit:1", b"stale", ABSENT)])
        await successor.write([Write("commit:2", b"successor", ABSENT)])
        late = [Write("commit:2", b"stale", ABSENT), Write("run:x", b"stale", ANY)]
        with pytest.raises(StoreUnavailableError, match="fenced"):
            await stale.write(late)
        assert set(map(type, await stale.write(late))) == {Conflict}
        assert (await successor.read(["commit:2", "run:x"])).keys() == {"commit:2"}


async def test_a_transaction_that_was_left_open_is_ended_by_the_next_writer(kafka: Backend) -> None:
    topic = fresh_topic()
    store = KafkaStore(brokers(kafka), topic=topic)
    async with opened(store):
        await store.write([Write("a", b"1", ABSENT)])
    dying = Producer({"bootstrap.servers": brokers(kafka), "transactional.id": f"holdfast-{topic}-0-1"})
    dying.init_transactions(30)
    dying.begin_transaction()
    dying.produce(topic, b"half", "a", partition=0)
    dying.flush()

    async with opened(store):
        assert (await store.read(["a"]))["a"].value == b"1"
        assert isinstance((await store.write([Write("b", b"1", ABSENT)]))[0], Written)
        assert (await store.read(["a"]))["a"].value == b"1"
    with pytest.raises(KafkaException, match="fenced"):
        dying.commit_transaction(30)


async def wait_for_a_signal(ctx: WorkflowContext, _: object) -> object:
    return await ctx.receive_signal("go")


async def test_an_engine_that_was_replaced_stops(kafka: Backend) -> None:
    topic = fresh_topic()
    told: asyncio.Queue[FencedError] = asyncio.Queue()
    workflows = [wait_for_a_signal]
    first = Engine(
        KafkaStore(brokers(kafka), topic=topic), workflows=workflows, instance="one", on_fenced=told.put_nowait
    )
    await first.open()
    try:
        await first.start(wait_for_a_signal, None, id="stays")
        async with Engine(KafkaStore(brokers(kafka), topic=topic), workflows=workflows, instance="one") as second:
            async with asyncio.timeout(60):
                assert "taken over" in str(await told.get())
            handle = second.handle("stays")
            await handle.signal("go", 7)
            assert await handle.result() == 7
    finally:
        await first.close()


async def test_a_broker_that_is_killed_loses_nothing_that_was_acknowledged(own_kafka: Backend) -> None:
    server, _ = own_kafka
    topic = "killed"
    store = KafkaStore(brokers(own_kafka), topic=topic, timeout=2.0)
    acknowledged: dict[str, bytes] = {}
    goes_on = asyncio.Event()

    async def writing() -> None:
        number = 0
        while not goes_on.is_set() or number % 50:
            batch = [Write(f"k{number}-{part}", b"%d" % number, ABSENT) for part in range(5)]
            try:
                results = await store.write(batch)
            except StoreUnavailableError:
                continue  # the same batch again: it is known whether it counts once there is an answer
            found = await stubborn_read(store, [write.key for write in batch])
            assert len(found) == 5, results
            acknowledged.update({write.key: write.value or b"" for write in batch})
            number += 1

    async with opened(store):
        writer = asyncio.create_task(writing())
        for _ in range(2):
            await more_than(acknowledged, len(acknowledged) + 50)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        await more_than(acknowledged, len(acknowledged) + 50)
        goes_on.set()
        await writer

    again = KafkaStore(brokers(own_kafka), topic=topic)
    async with opened(again):
        found = await again.read(list(acknowledged)[:10_000])
        assert {key: document.value for key, document in found.items()} == acknowledged


async def more_than(acknowledged: dict[str, bytes], count: int) -> None:
    await asyncio.to_thread(until, lambda: len(acknowledged) > count, "writes go on")


async def stubborn_read(store: KafkaStore, keys: list[str]) -> dict[str, object]:
    while True:
        try:
            return dict(await store.read(keys))
        except StoreUnavailableError:
            continue


async def test_compaction_keeps_the_newest_of_each_key(kafka: Backend) -> None:
    topic = fresh_topic()
    created(kafka, topic, COMPACTED_SOON)
    store = KafkaStore(brokers(kafka), topic=topic, max_cached_bytes=0)
    async with opened(store):
        await store.write([Write("gone", b"1", ABSENT), Write("kept", b"0", ABSENT)])
        await store.write([Write("gone", None, ANY)])
        number = 0
        async with asyncio.timeout(120):
            while records_in(kafka, topic) > number // 2 or number < 50:  # it closes a segment only for a later record
                number += 1
                await store.write([Write("kept", b"%d" % number, ANY), Write("other", b"%d" % number, ANY)])
        assert (await store.read(["kept"]))["kept"].value == b"%d" % number
    again = KafkaStore(brokers(kafka), topic=topic)
    async with opened(again):
        found = await again.read(["gone", "kept", "other"])
        assert {key: document.value for key, document in found.items()} == dict.fromkeys(
            ["kept", "other"], b"%d" % number
        )


async def test_opening_tells_how_far_it_is(
    kafka: Backend, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = fresh_topic()
    store = KafkaStore(brokers(kafka), topic=topic)
    async with opened(store):
        for part in range(3):
            await store.write([Write(f"k{part}-{number}", b"1", ABSENT) for number in range(10_000)])
    monkeypatch.setattr("holdfast.stores.kafka_state._PROGRESS_SECONDS", 0.0)
    with caplog.at_level(logging.INFO, "holdfast.stores.kafka"):
        async with opened(store):
            assert len([key async for key in store.keys("k1-")]) == 10_000
    assert [record.message for record in caplog.records][:2] == [
        "reading the log: 10000 records, 33 % of it",
        "reading the log: 20000 records, 66 % of it",
    ]


def created(backend: Backend, topic: str, config: dict[str, str]) -> None:
    admin = AdminClient({"bootstrap.servers": brokers(backend)})
    admin.create_topics([NewTopic(topic, 1, 1, config=config)])[topic].result()


def end_of(backend: Backend, topic: str) -> int:
    consumer = Consumer({"bootstrap.servers": brokers(backend), "group.id": "tests"})
    try:
        return int(consumer.get_watermark_offsets(TopicPartition(topic, 0), 10, cached=False)[1])
    finally:
        consumer.close()


def records_in(backend: Backend, topic: str) -> int:
    """Count the records that a topic still has."""
    consumer = Consumer(
        {"bootstrap.servers": brokers(backend), "group.id": "tests", "fetch.wait.max.ms": 5, "log_level": 2}
    )
    place = TopicPartition(topic, 0, 0)
    try:
        end = consumer.get_watermark_offsets(place, 10, cached=False)[1]
        consumer.assign([place])
        count = 0
        while consumer.position([place])[0].offset < end:
            count += len(consumer.consume(1_000, 0.05))
        return count
    finally:
        consumer.close()
