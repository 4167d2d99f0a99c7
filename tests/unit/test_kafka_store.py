"""What a `KafkaStore` makes of a log: what it holds, who may write, and what a lost answer means."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from holdfast.core.errors import StoreError, StoreUnavailableError
from holdfast.ports import ABSENT, ANY, Conflict, StateStore, Write, Written
from holdfast.stores import WorkflowFilter, WorkflowState, WorkflowStore
from holdfast.stores.kafka import KafkaStore
from holdfast.testing.conformance_kit import opened
from holdfast.testing.store_conformance import StoreFactory, run_conformance
from tests.unit.kafka_kit import MemoryReader, MemoryTopic, MemoryWriter


class TopicFactory(StoreFactory):
    """Stores on topics in memory."""

    def __init__(self) -> None:
        self._topics: dict[StateStore, MemoryTopic] = {}

    def create(self) -> StateStore:
        return self._on(MemoryTopic())

    def again(self, store: StateStore) -> StateStore | None:
        return self._on(self._topics[store])

    @asynccontextmanager
    async def outage(self, store: StateStore) -> AsyncIterator[None]:
        self._topics[store].is_away = True
        yield
        self._topics[store].is_away = False

    def _on(self, topic: MemoryTopic) -> StateStore:
        store = topic.store()
        self._topics[store] = topic
        return store


async def test_a_store_on_a_log_keeps_the_contract() -> None:
    report = await run_conformance(TopicFactory())

    assert set(report.left_out.values()) == {"the store does not guard each key by a version"}
    assert "of_racing_creators_one_wins" in report.passed


async def test_what_was_written_is_there_after_reopening_without_what_was_deleted() -> None:
    topic = MemoryTopic()
    first, second = topic.store(), topic.store()
    async with opened(first):
        await first.write([Write("a", b"1", ABSENT), Write("b", b"1", ABSENT)])
        await first.write([Write("a", b"2", ANY), Write("b", None, ANY)])

    async with opened(second):
        found = await second.read(["a", "b"])
        assert {key: document.value for key, document in found.items()} == {"a": b"2"}
        assert [key async for key in second.keys("")] == ["a"]


async def test_opening_and_reading_fence_nobody() -> None:
    topic = MemoryTopic()
    owner, newcomer = topic.store(), topic.store()
    async with opened(owner):
        await owner.write([Write("a", b"1", ABSENT)])
        async with opened(newcomer):
            assert (await newcomer.read(["a"]))["a"].value == b"1"
            assert await owner.write([Write("a", b"2", ANY)]) == [Written("2")]
            assert (await newcomer.read(["a"]))["a"].value == b"2"
    assert topic.claims == 1


async def test_a_writer_that_was_replaced_finds_what_its_successor_wrote() -> None:
    topic = MemoryTopic()
    stale, successor = topic.store(), topic.store()
    async with opened(stale, successor):
        await stale.write([Write("commit:1", b"stale", ABSENT)])
        await successor.write([Write("commit:2", b"successor", ABSENT)])

        late = [Write("commit:2", b"stale", ABSENT), Write("run:x", b"stale", ANY)]
        with pytest.raises(StoreUnavailableError, match="fenced"):
            await stale.write(late)
        assert await stale.write(late) == [Conflict(), Conflict()]
        assert topic.claims == 2
        assert (await stale.read(["commit:2", "run:x"])).keys() == {"commit:2"}
        assert isinstance((await successor.write([Write("commit:3", b"1", ABSENT)]))[0], Written)


async def test_nothing_is_written_before_all_was_read_that_a_former_writer_wrote() -> None:
    """The broker goes away between the claim and the reading that belongs to it; meanwhile another commit stands."""
    topic = MemoryTopic()
    store = topic.store()

    def last_words_of_another_writer() -> None:
        topic.on_claim = lambda: None
        topic.append([("commit:1", b"theirs")])
        topic.is_away = True

    topic.on_claim = last_words_of_another_writer
    async with opened(store):
        with pytest.raises(StoreUnavailableError):
            await store.write([Write("commit:1", b"ours", ABSENT)])
        topic.is_away = False

        assert await store.write([Write("commit:1", b"ours", ABSENT)]) == [Conflict()]
    assert [entry.value for entry in topic.entries] == [b"theirs"]


async def test_a_commit_whose_answer_was_lost_is_found_when_it_is_tried_again() -> None:
    topic = MemoryTopic()
    store = topic.store()
    async with opened(store):
        topic.keeps_answers = True
        batch = [Write("commit:1", b"1", ABSENT), Write("run:x", b"1", ANY)]
        with pytest.raises(StoreUnavailableError, match="no answer"):
            await store.write(batch)
        topic.keeps_answers = False

        assert await store.write(batch) == [Conflict(), Conflict()]
        assert (await store.read(["commit:1"]))["commit:1"].value == b"1"
        assert len(topic.entries) == 2


async def test_a_refusal_for_good_is_told_and_the_next_batch_goes_through() -> None:
    topic = MemoryTopic()
    store = topic.store()
    async with opened(store):
        topic.refuses = True
        with pytest.raises(StoreError, match="refused for good") as refused:
            await store.write([Write("a", b"1", ABSENT)])
        assert not isinstance(refused.value, StoreUnavailableError)
        topic.refuses = False

        assert await store.write([Write("a", b"1", ABSENT)]) == [Written("0")]


async def test_versions_are_offsets_and_are_compared() -> None:
    topic = MemoryTopic()
    store = topic.store()
    async with opened(store):
        (first,) = await store.write([Write("a", b"1", ABSENT)])
        assert isinstance(first, Written)
        (second,) = await store.write([Write("a", b"2", first.version)])
        assert isinstance(second, Written)
        assert await store.write([Write("a", b"3", first.version)]) == [Conflict()]
        assert await store.write([Write("a", None, first.version)]) == [Conflict()]
        assert (await store.read(["a"]))["a"] == (b"2", second.version)


async def test_versions_are_right_where_markers_stand_between_the_records_of_a_commit() -> None:
    topic = MemoryTopic()
    topic.has_gaps = True
    store, other = topic.store(), topic.store()
    async with opened(store, other):
        results = await store.write([Write(key, b"1", ABSENT) for key in "abc"])
        assert results == [Written("0"), Written("2"), Written("4")]
        assert await store.read(list("abc")) == await other.read(list("abc"))


async def test_deleting_what_is_absent_writes_nothing() -> None:
    topic = MemoryTopic()
    store = topic.store()
    async with opened(store):
        assert await store.write([Write("a", None, ANY), Write("b", None, "7")]) == [Written(""), Written("")]
        assert topic.entries == []
        assert await store.write([Write("a", None, ANY), Write("c", b"1", ABSENT)]) == [Written(""), Written("0")]
        assert [entry.key for entry in topic.entries] == ["c"]


async def test_what_another_instance_wrote_can_be_deleted() -> None:
    topic = MemoryTopic()
    ours, theirs = topic.store(), topic.store()
    async with opened(ours, theirs):
        await ours.write([Write("a", b"1", ABSENT)])
        await theirs.write([Write("x", b"1", ABSENT)])
        with pytest.raises(StoreUnavailableError, match="fenced"):
            await ours.write([Write("x", None, ANY)])
        await ours.write([Write("x", None, ANY)])
        assert (await theirs.read(["a", "x"])).keys() == {"a"}


async def test_a_log_need_not_mark_its_commits() -> None:
    topic = MemoryTopic()
    topic.markers = 0
    ours, theirs = topic.store(), topic.store()
    async with opened(ours, theirs):
        await ours.write([Write("k", b"1", ABSENT)])
        await theirs.write([Write("j", b"1", ABSENT)])
        assert (await ours.read(["k", "j"])).keys() == {"k", "j"}


@pytest.mark.parametrize("again", [0, 1, 5])
async def test_on_a_log_that_was_replaced_nothing_is_acknowledged_any_more(again: int) -> None:
    topic = MemoryTopic()
    store = topic.store()
    async with opened(store):
        for number in range(5):
            await store.write([Write(f"commit:{number}", b"1", ABSENT), Write("run:x", b"1", ANY)])
        topic.entries, topic.end = [], 0
        for number in range(again):
            topic.append([(f"theirs:{number}", b"1")])

        batch = [Write("commit:5", b"1", ABSENT), Write("run:x", b"2", ANY)]
        for _ in range(3):
            with pytest.raises(StoreUnavailableError, match="the topic was replaced or cut off while it was in use"):
                await store.write(batch)
            with pytest.raises(StoreUnavailableError, match="the topic was replaced"):
                await store.read(["run:x"])


async def test_a_log_that_was_replaced_is_noticed_by_reading_it() -> None:
    topic = MemoryTopic()
    store = topic.store()
    async with opened(store):
        for number in range(3):
            await store.write([Write(f"commit:{number}", b"1", ABSENT)])
        topic.entries, topic.end = [], 0

        with pytest.raises(StoreUnavailableError, match="the topic was replaced"):
            await store.read(["commit:0"])


async def test_a_writer_reads_nothing_back_that_it_wrote_itself() -> None:
    topic = MemoryTopic()
    store = topic.store()
    async with opened(store):
        for number in range(5):
            await store.write([Write(f"k{number}", b"1", ABSENT)])
            await store.read([f"k{number}"])
    assert topic.reads == []


@pytest.mark.parametrize("room", [0, 10, 55])
async def test_with_little_memory_every_document_can_still_be_read(room: int) -> None:
    topic = MemoryTopic()
    store = topic.store(max_cached_bytes=room)
    async with opened(store):
        for number in range(20):
            await store.write([Write(f"k{number}", b"%010d" % number, ABSENT)])
        await store.write([Write("k3", b"replaced 3", ANY), Write("k4", None, ANY)])

        for number in (*range(20), *reversed(range(20))):
            found = await store.read([f"k{number}"])
            expected = {3: b"replaced 3", 4: None}.get(number, b"%010d" % number)
            assert (found[f"k{number}"].value if found else None) == expected
        assert store._session is not None  # noqa: SLF001 - what stays in memory is not public
        assert store._session.state._documents.cached_bytes <= room  # noqa: SLF001 - as above


async def test_an_outage_at_the_start_is_told_and_lets_go_of_the_clients() -> None:
    topic = MemoryTopic()
    topic.is_away = True
    writer, reader = MemoryWriter(topic), MemoryReader(topic)
    store = KafkaStore.with_writer_reader(writer, reader)

    with pytest.raises(StoreUnavailableError):
        await store.open()

    assert (writer.closed, reader.closed) == (1, 1)
    with pytest.raises(StoreError, match="not open"):
        await store.read(["a"])


async def test_what_the_log_may_have_forgotten_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log forgets that something was deleted after a day: who has not looked for so long begins from the start."""
    topic = MemoryTopic()
    reader, writer = topic.store(), topic.store()
    async with opened(reader, writer):
        await writer.write([Write("a", b"1", ABSENT), Write("b", b"1", ABSENT)])
        assert len(await reader.read(["a", "b"])) == 2
        await writer.write([Write("a", None, ANY)])
        topic.entries = [entry for entry in topic.entries if entry.key == "b"]
        topic.end += 1
        assert len(await reader.read(["a", "b"])) == 2  # what compaction may do to somebody who does not look

        assert reader._session is not None  # noqa: SLF001 - a day cannot be waited for
        monkeypatch.setattr(reader._session.state, "_looked", float("-inf"))  # noqa: SLF001 - as above
        assert (await reader.read(["a", "b"])).keys() == {"b"}


async def test_workflow_states_of_other_instances_are_found() -> None:
    topic = MemoryTopic()
    async with WorkflowStore(topic.store()) as ours, WorkflowStore(topic.store()) as theirs:
        await ours.save(WorkflowState("pipeline-1", "running"))
        await theirs.save(WorkflowState("pipeline-2", "completed"))

        assert [state.workflow_id for state in await ours.list()] == ["pipeline-1", "pipeline-2"]
        assert [state.workflow_id for state in await ours.list(WorkflowFilter(status="completed"))] == ["pipeline-2"]
        await theirs.delete("pipeline-1")
        assert await ours.load("pipeline-1") is None

        topic.is_away = True
        with pytest.raises(StoreUnavailableError, match=r"kafka/save: write: the broker is away"):
            await ours.save(WorkflowState("pipeline-3", "running"))
        topic.is_away = False
