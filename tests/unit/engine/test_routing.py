"""Reading records: which run and signal they are for, or why that cannot be said."""

from __future__ import annotations

import base64

import orjson
import pytest

from holdfast import InvalidIdError, PayloadError, TopicMapping
from holdfast.engine.messages.envelope import read_envelope
from holdfast.engine.messages.routing import SIGNALS_TOPIC, Message, route
from tests.play import Anything

OURS = TopicMapping(SIGNALS_TOPIC)
THEIRS = TopicMapping("payments", workflow_id="order-{data.order.id}", signal="paid-{type}", start="order")


def read(value: Anything, mapping: TopicMapping = OURS, *, key: str = "", id: str = "", limit: int = 1_000) -> Message:
    raw = value if isinstance(value, bytes) else orjson.dumps(value)
    return route(mapping, read_envelope(raw), key, id, limit=limit)


def event(**fields: Anything) -> dict[str, Anything]:
    return {"specversion": "1.0", "id": "e-1", "source": "shop", "type": "paid", **fields}


def test_a_cloud_event_says_by_its_attributes_what_it_is_for() -> None:
    found = read(event(workflowid="order-1", signalname="approval", data={"by": "sales"}))

    assert found == Message("order-1", "approval", b'{"by":"sales"}', "shop e-1", "shop", 0)


def test_a_cloud_event_may_say_it_in_its_data() -> None:
    found = read(event(data={"workflow_id": "order-1", "signal": "approval", "payload": [1]}))

    assert (found.workflow_id, found.signal, found.payload, found.id) == ("order-1", "approval", b"[1]", "shop e-1")


def test_plain_json_says_it_in_its_fields_and_is_known_by_its_own_id_or_its_deliverers() -> None:
    plain = {"workflow_id": "order-1", "signal": "approval"}

    assert read(plain).payload == b"null"
    assert read(plain).id == ""
    assert read(plain, id="offset-7").id == "offset-7"
    assert read({**plain, "signal_id": "s-1"}, id="offset-7").id == "s-1"
    assert read({**plain, "signalid": "s-1"}).id == "s-1"


def test_the_id_of_a_signal_is_its_own_before_that_of_its_event() -> None:
    assert read(event(workflowid="a", signalname="b", signalid="mine")).id == "mine"


def test_a_long_identity_is_shortened_and_stays_apart_from_others() -> None:
    ids = {read(event(workflowid="a", signalname="b", source="s" * 300, id=name)).id for name in "xyz"}

    assert len(ids) == 3
    assert all(len(name) <= 256 for name in ids)


def test_content_in_base64_is_read_where_it_is_json() -> None:
    packed = base64.b64encode(b'{"by":"sales"}').decode()

    assert read(event(workflowid="a", signalname="b", data_base64=packed)).payload == b'{"by":"sales"}'


def test_the_topic_of_another_team_is_read_by_its_mapping() -> None:
    found = read(event(data={"order": {"id": 7}, "cents": 5}), THEIRS)

    assert (found.workflow_id, found.signal, found.start) == ("order-7", "paid-paid", "order")
    assert found.payload == b'{"order":{"id":7},"cents":5}'


def test_a_mapping_may_use_the_key_and_the_topic() -> None:
    mapping = TopicMapping("orders", workflow_id="{key}", signal="{topic}")

    assert read("x", mapping, key="k-1").workflow_id == "k-1"
    assert read("x", mapping, key="k-1").signal == "orders"


@pytest.mark.parametrize(("given", "number"), [("1", 1), (1, 1), ("900719925474099", 900719925474099), ("", 0)])
def test_a_sequence_is_a_decimal_number_from_1(given: Anything, number: int) -> None:
    assert read(event(workflowid="a", signalname="b", sequence=given)).sequence == number


def test_the_numbers_of_other_teams_count_only_where_their_mapping_says_so() -> None:
    numbered = TopicMapping("payments", workflow_id="{data.id}", signal="paid", sequence="{data.no}")

    assert read(event(sequence="0012", data={"order": {"id": 7}}), THEIRS).sequence == 0
    assert read(event(data={"id": "o", "no": 3}), numbered).sequence == 3


@pytest.mark.parametrize("trace", [1, None, [], {"a": 1}, True])
def test_a_trace_field_that_is_no_text_is_passed_over(trace: Anything) -> None:
    assert read(event(workflowid="a", signalname="b", traceparent=trace)).trace == ""


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"\xff\xfe", "not UTF-8"),
        (b"{", "not JSON"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b"[" * 100_000, "levels deep"),
        (b'{"workflow_id":"a","workflow_id":"b"}', "twice"),
        (b"7", "does not say what it is for"),
        (b"{}", "does not say what it is for"),
        (event(workflowid="a"), "does not say what it is for"),
        (event(specversion="2.0"), "of which only 1.x is known"),
        (event(specversion=1), "of which only 1.x is known"),
        (event(workflowid="a", signalname=""), "signal name must not be empty"),
        (event(workflowid="a", signalname=7), "must be a text"),
        (event(workflowid="a", signalname="b", signalid=7), "signal id must be a text"),
        (event(workflowid="a", signalname="b", sequence="0"), "decimal number from 1"),
        (event(workflowid="a", signalname="b", sequence="-1"), "decimal number from 1"),
        (event(workflowid="a", signalname="b", sequence=True), "decimal number from 1"),
        (event(workflowid="a", signalname="b", sequence="1.5"), "decimal number from 1"),
        (event(workflowid="a", signalname="b", data_base64="%%"), "not base64"),
        (event(workflowid="a", signalname="b", data_base64="/w=="), "content in data_base64 cannot be read"),
        (event(workflowid="a", signalname="b", data="x" * 2_000), "limit is 1,000"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_reason(value: Anything, words: str) -> None:
    with pytest.raises(PayloadError, match=words):
        read(value)


@pytest.mark.parametrize("workflow_id", ["", "a b", "../a", "a||b", "x" * 65, 7, None, ["a"]])
def test_a_run_is_named_by_an_id_that_can_be_one(workflow_id: Anything) -> None:
    with pytest.raises(InvalidIdError):
        read(event(workflowid=workflow_id, signalname="b"))


@pytest.mark.parametrize("data", [{}, {"order": 7}, {"order": {"id": None}}, {"order": {"id": True}}, [1], None])
def test_a_mapping_whose_place_is_empty_says_which(data: Anything) -> None:
    with pytest.raises(PayloadError, match=r"no text or number at 'data\.order\.id'"):
        read(event(data=data), THEIRS)


@pytest.mark.parametrize("id", [2**53, -(2**53), 10**17, 1e21, -1e300])
def test_a_number_that_a_sidecar_may_have_changed_leads_nowhere(id: float) -> None:
    with pytest.raises(PayloadError, match=r"'data\.order\.id' is beyond .* send it as a text"):
        read(event(data={"order": {"id": id}}), THEIRS)


@pytest.mark.parametrize("id", [2**53 - 1, 1 - 2**53, str(10**17)])
def test_a_number_that_comes_unchanged_is_taken_and_so_is_any_text(id: Anything) -> None:
    assert read(event(data={"order": {"id": id}}), THEIRS).workflow_id == f"order-{id}"


def test_a_sequence_that_a_sidecar_may_have_changed_is_refused_and_as_a_text_it_is_not() -> None:
    numbered = TopicMapping("payments", workflow_id="{data.id}", signal="paid", sequence="{data.no}")

    assert read(event(workflowid="a", signalname="b", sequence=str(2**53))).sequence == 2**53
    assert read(event(data={"id": "o", "no": str(2**53)}), numbered).sequence == 2**53
    with pytest.raises(PayloadError, match=r"'sequence' is beyond"):
        read(event(workflowid="a", signalname="b", sequence=2**53))
    with pytest.raises(PayloadError, match=r"'data\.no' is beyond"):
        read(event(data={"id": "o", "no": 2**53}), numbered)


@pytest.mark.parametrize(
    "fields",
    [
        {"topic": ""},
        {"topic": "t", "workflow_id": "{data.id}"},
        {"topic": "t", "signal": "paid"},
        {"topic": "t", "workflow_id": "{}", "signal": "paid"},
        {"topic": "t", "workflow_id": "{data..id}", "signal": "paid"},
        {"topic": "t", "workflow_id": "{data.id", "signal": "paid"},
        {"topic": "t", "workflow_id": "order-{data.id-x", "signal": "paid"},
        {"topic": "t", "workflow_id": "order-data.id}-{data.id}", "signal": "paid"},
        {"topic": "t", "workflow_id": "{data.id}", "signal": "paid", "sequence": "1{data.no x"},
        {"topic": "t", "workflow_id": "{data.id!r}", "signal": "paid"},
    ],
)
def test_a_mapping_that_can_never_fit_is_refused_when_it_is_made(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="mapping"):
        TopicMapping(**fields)


def test_a_mapping_whose_brace_is_not_closed_is_refused_with_topic_and_field() -> None:
    with pytest.raises(ValueError, match=r"topic 'payments' has in signal a place that is not one: 'a-\{type-b'"):
        TopicMapping("payments", workflow_id="{data.id}", signal="a-{type-b")
