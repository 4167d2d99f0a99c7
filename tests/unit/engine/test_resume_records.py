"""Records of workflow-resume: what each form does, and what becomes of those that ask for nothing that can be done."""

import asyncio
import base64

import orjson
import pytest

from holdfast import Delivery, WorkflowAlreadyStartedError, WorkflowContext, workflow
from holdfast.core.outputs import RESUME_TOPIC
from holdfast.core.refs import MAX_EARLY
from holdfast.core.threads import thread_id
from holdfast.stores import MemoryStore
from tests.play import Anything
from tests.unit.engine.kit import on_skipping_loop, types_of
from tests.unit.engine.publishers import Broker
from tests.unit.engine.resuming import RESUMING, answer, open_engine, reasons, result, resume


def event(data: Anything, **attributes: Anything) -> str:
    """A CloudEvent."""
    fields = {"specversion": "1.0", "id": "e-1", "source": "shop", "type": "t", **attributes, "data": data}
    return orjson.dumps(fields).decode()


# Starts.


@on_skipping_loop
async def test_new_starts_a_thread_with_what_follows_as_its_input() -> None:
    async with open_engine() as engine:
        assert await resume(engine, "a b", "new: 2 ") is Delivery.APPLIED
        for number in range(2):
            await answer(engine, "a b", number)

        assert await result(engine, "a b") == [0, 1]


@on_skipping_loop
async def test_init_starts_a_thread_and_leaves_one_alone_that_is_open() -> None:
    async with open_engine() as engine:
        assert await resume(engine, "a b", "init:1") is Delivery.APPLIED
        first = (await engine.describe(thread_id("a b"))).run_id
        assert await resume(engine, "a b", "init:7") is Delivery.APPLIED
        assert (await engine.describe(thread_id("a b"))).run_id == first
        assert await reasons(engine) == []

        await answer(engine, "a b", "x")
        assert await resume(engine, "a b", "init:1") is Delivery.APPLIED
        assert (await engine.describe(thread_id("a b"))).run_id != first, "it had ended"


@on_skipping_loop
async def test_new_for_a_key_that_is_open_is_dead_and_changes_nothing() -> None:
    async with open_engine() as engine:
        await resume(engine, "a b", "new:1", "m1")
        before = await engine.history(thread_id("a b"))

        assert await resume(engine, "a b", "new:5", "m2") is Delivery.DEAD
        assert await engine.history(thread_id("a b")) == before
        (letter,) = (await engine.dead_letters()).items
        assert (letter.key, letter.value, letter.workflow_id) == ("a b", "new:5", thread_id("a b"))
        assert "is already started" in letter.reason

        with pytest.raises(WorkflowAlreadyStartedError):
            await engine.replay_dead_letter(letter.number)
        await answer(engine, "a b", "x")
        assert await engine.replay_dead_letter(letter.number) is Delivery.APPLIED, "the key is free by now"


@on_skipping_loop
async def test_a_start_names_its_workflow_or_the_entry_is_started() -> None:
    async with open_engine() as engine:
        await resume(engine, "k1", event("new:7", workflow="ends_with"))
        await resume(engine, "k2", event("init:7", workflow="ends_with", id="e-2"))
        await resume(engine, "k3", event("new:7", id="e-3"))

        assert [(await engine.describe(key)).workflow for key in ("k1", "k2", "k3")] == [
            "ends_with",
            "ends_with",
            "asks",
        ]


@on_skipping_loop
async def test_a_start_without_an_entry_and_one_of_a_workflow_that_nobody_knows_are_dead() -> None:
    async with open_engine(resume_entry="") as engine:
        assert await resume(engine, "a b", "new:1", "m1") is Delivery.DEAD
        assert await resume(engine, "a b", event("new:1", workflow="nobody")) is Delivery.DEAD
        first, second = await reasons(engine)

    assert first == "the record does not say which workflow to start, and no resume_entry is set"
    assert second.startswith("no workflow 'nobody' is registered here")


@on_skipping_loop
async def test_a_run_that_was_started_by_its_id_is_the_thread_of_that_key() -> None:
    async with open_engine() as engine:
        await engine.start("asks", 1, id="plain")
        assert await resume(engine, "plain", "new:1") is Delivery.DEAD
        assert await resume(engine, "plain", "init:1") is Delivery.APPLIED
        assert await answer(engine, "plain", "x") is Delivery.APPLIED
        assert await result(engine, "plain") == ["x"]


# Answers.


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ({"ref": "answer", "value": {"a": 1}}, {"a": 1}),
        ({"ref": "answer", "value": None}, None),
        ({"ref": "answer"}, None),
        ({"ref": "answer", "value": 1, "something": "else"}, 1),
        ({"ref": "answer", "error": "no"}, {"raised": "no"}),
        ({"ref": "answer", "error": None}, {"raised": None}),
        ({"ref": "answer", "error": 1, "value": 2}, {"raised": 1}),
        (event({"ref": "answer", "value": 7}), 7),
        (event('{"ref":"answer","value":7}'), 7),
        (orjson.dumps('{"ref":"answer","value":7}').decode(), 7),
    ],
)
@on_skipping_loop
async def test_an_answer_in_each_of_its_forms(record: Anything, found: Anything) -> None:
    async with open_engine(resume_entry="bears_errors") as engine:
        await resume(engine, "a b", "new:null")
        assert await resume(engine, "a b", record) is Delivery.APPLIED
        assert await result(engine, "a b") == found


@on_skipping_loop
async def test_content_that_a_sidecar_took_for_binary_is_read() -> None:
    data = base64.b64encode(b'{"ref":"answer","value":7}').decode()
    record = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data_base64": data}
    async with open_engine() as engine:
        await resume(engine, "a b", "new:1")
        assert await resume(engine, "a b", record) is Delivery.APPLIED
        assert await result(engine, "a b") == [7]


@pytest.mark.parametrize("attribute", ["workflowid", "partitionkey", "subject"])
@on_skipping_loop
async def test_an_event_names_the_thread_where_the_record_has_no_key(attribute: str) -> None:
    async with open_engine() as engine:
        assert await resume(engine, "", event("new:1", **{attribute: "a b"})) is Delivery.APPLIED
        assert (
            await resume(engine, "", event({"ref": "answer", "value": 7}, id="e-2", **{attribute: "a b"})) == "applied"
        )
        assert await result(engine, "a b") == [7]


@on_skipping_loop
async def test_the_key_of_the_record_goes_before_what_the_event_says() -> None:
    async with open_engine() as engine:
        await resume(engine, "k", event("new:1", workflowid="other", partitionkey="third", subject="fourth"))
        assert (await engine.describe("k")).status == "running"


@on_skipping_loop
async def test_the_trace_of_an_answer_stands_in_the_history() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with open_engine() as engine:
        await resume(engine, "k", event("new:1", traceparent=trace))
        await resume(engine, "k", event({"ref": "answer"}, traceparent=trace, id="e-2"))
        resolved = [each for each in await engine.history("k") if each.type == "ref_resolved"]

    assert [each.details for each in resolved] == [{"traceparent": trace}]


@on_skipping_loop
async def test_an_answer_that_comes_too_late_is_dropped_and_no_dead_letter() -> None:
    async with open_engine(resume_entry="asks_by_own_ref") as engine:
        await resume(engine, "k", "new:null")
        ref = await engine.query("k", "ref")
        assert await answer(engine, "k", 1, ref, "m1") is Delivery.APPLIED
        for _ in range(2):
            assert await answer(engine, "k", 2, ref, "m2") is Delivery.DROPPED

        assert engine.stats().dropped_answers == 1
        assert await reasons(engine) == []


@on_skipping_loop
async def test_an_answer_that_finds_no_room_is_a_dead_letter_that_can_be_replayed() -> None:
    async with open_engine(resume_entry="opens_late", dev_replay=False) as engine:
        await resume(engine, "k", "new:null")
        for number in range(MAX_EARLY):
            assert await answer(engine, "k", number, f"r{number}") is Delivery.APPLIED
        assert await answer(engine, "k", "over", id="m") is Delivery.DEAD
        (letter,) = (await engine.dead_letters()).items
        assert "1,000 answers wait for refs that do not exist yet" in letter.reason
        await engine.signal("k", "open")
        assert await engine.replay_dead_letter(letter.number) is Delivery.APPLIED
        assert await result(engine, "k") == "over"


@on_skipping_loop
async def test_an_answer_for_a_thread_that_has_ended_is_dead() -> None:
    async with open_engine(resume_entry="ends_with") as engine:
        await resume(engine, "k", "new:1")
        assert await answer(engine, "k", 1) is Delivery.DEAD
        assert await reasons(engine) == ["workflow 'k' has ended: it is completed"]


# What is none of these.


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("", "cannot be read"),
        ("null", 'must be "new:" or "init:" and JSON'),
        ("7", 'must be "new:" or "init:" and JSON'),
        ("new", "cannot be read"),
        ("new:", "what follows new: cannot be read"),
        ("init:", "what follows init: cannot be read"),
        ("new:undefined", "what follows new: cannot be read"),
        ("init:{", "what follows init: cannot be read"),
        ("NEW:1", "cannot be read"),
        ('{"value":1}', 'an object with a "ref"'),
        ("[]", 'an object with a "ref"'),
        ('"hello"', "the record cannot be read"),
        ('{"ref":7}', "ref id must be a text"),
        ('{"ref":""}', "ref id must not be empty"),
        ('{"ref":"a","ref":"b"}', "cannot be read"),
        ('{"ref":"a","value":NaN}', "cannot be read"),
        ('{"ref":"a","value":' + "[" * 70 + "]" * 70 + "}", "nested more than 64 levels deep"),
        (event(None), 'must be "new:" or "init:" and JSON'),
        ('{"specversion":"2.0","data":"new:1"}', "of which only 1.x is known"),
    ],
)
@on_skipping_loop
async def test_a_record_that_cannot_be_read_is_dead_with_its_reason(record: str, reason: str) -> None:
    async with open_engine() as engine:
        assert await resume(engine, "k", record) is Delivery.DEAD
        (found,) = await reasons(engine)

    assert reason in found


@pytest.mark.parametrize("value", [b"new:\xff", b"init:\xc3", b"\xff"])
@on_skipping_loop
async def test_a_record_that_is_no_text_is_dead(value: bytes) -> None:
    async with open_engine() as engine:
        assert await engine.deliver(RESUME_TOPIC, "k", value) is Delivery.DEAD
        (found,) = await reasons(engine)

    assert "UTF-8" in found


@pytest.mark.parametrize(("key", "reason"), [("", "must not be empty"), ("x" * 1_025, "1,025"), ("é" * 513, "1,026")])
@on_skipping_loop
async def test_a_record_whose_key_cannot_be_one_is_dead(key: str, reason: str) -> None:
    async with open_engine() as engine:
        assert await resume(engine, key, "new:1") is Delivery.DEAD
        (found,) = await reasons(engine)

    assert "thread key" in found
    assert reason in found


@on_skipping_loop
async def test_an_input_over_the_limit_is_dead() -> None:
    async with open_engine(resume_entry="ends_with") as engine:
        assert await resume(engine, "k", f'new:"{"x" * 1024 * 1024}"') is Delivery.DEAD
        (reason,) = await reasons(engine)

    assert reason.startswith("input of a thread")


# The same record again.


@pytest.mark.parametrize("prefix", ["new:", "init:"])
@on_skipping_loop
async def test_a_start_that_comes_again_starts_nothing_also_after_the_thread_has_ended(prefix: str) -> None:
    store, broker = MemoryStore(), Broker()
    async with open_engine(store, publisher=broker) as engine:
        for _ in range(3):
            assert await resume(engine, "a b", f"{prefix}1", "m1") is Delivery.APPLIED
        await answer(engine, "a b", "x")
        for _ in range(3):
            assert await resume(engine, "a b", f"{prefix}1", "m1") is Delivery.APPLIED
    async with open_engine(store, publisher=broker) as engine:
        assert await resume(engine, "a b", f"{prefix}1", "m1") is Delivery.APPLIED
        await engine.settled()
        assert await reasons(engine) == []

    assert broker.ends == [("workflow-result", "a b", b'["x"]')]


@on_skipping_loop
async def test_a_start_that_found_an_open_thread_is_known_when_it_comes_again_after_the_end() -> None:
    async with open_engine() as engine:
        await resume(engine, "k", "init:1", "m1")
        await resume(engine, "k", "init:1", "m2")
        await answer(engine, "k", "x")
        first = (await engine.describe("k")).run_id
        await resume(engine, "k", "init:1", "m2")
        assert (await engine.describe("k")).run_id == first


@on_skipping_loop
async def test_the_id_of_an_event_goes_before_that_of_the_delivery() -> None:
    async with open_engine() as engine:
        await resume(engine, "k", "new:2")
        record = event({"ref": "answer", "value": 1})
        await resume(engine, "k", record, "delivery 1")
        await resume(engine, "k", record, "delivery 2")
        assert await engine.query("k", "answers") == [1]


@on_skipping_loop
async def test_a_record_without_any_id_counts_as_often_as_it_comes() -> None:
    async with open_engine() as engine:
        await resume(engine, "k", "new:2")
        await answer(engine, "k", 1)
        await answer(engine, "k", 1)
        assert await result(engine, "k") == [1, 1]


@on_skipping_loop
async def test_starts_of_one_key_that_come_at_once_make_one_thread() -> None:
    async with open_engine() as engine:
        found = await asyncio.gather(*(resume(engine, "k", "new:1", f"m{number}") for number in range(10)))

        assert sorted(found) == ["applied", *["dead"] * 9]
        assert (await types_of(engine, "k")) == ["workflow_started"]


# Which topic.


@on_skipping_loop
async def test_the_topic_has_the_name_that_the_engine_was_given() -> None:
    async with open_engine(resume_topic="replies") as engine:
        assert await engine.deliver("replies", "k", b"new:1") is Delivery.APPLIED
        assert await engine.deliver(RESUME_TOPIC, "k", b"new:1") is Delivery.DEAD


@on_skipping_loop
async def test_what_a_workflow_writes_to_the_topic_resumes_threads_of_the_same_process() -> None:
    @workflow
    async def talks(ctx: WorkflowContext) -> None:
        ctx.output(RESUME_TOPIC, "new:2", key="a b")
        ctx.output_json(RESUME_TOPIC, {"ref": "answer", "value": "as JSON"}, key="a b")
        ctx.output(RESUME_TOPIC, '{"ref":"answer","value":"as text"}', key="a b")

    async with open_engine(workflows=[*RESUMING, talks]) as engine:
        await engine.execute(talks)
        await engine.settled()
        assert await result(engine, "a b") == ["as JSON", "as text"]
        assert await reasons(engine) == []
