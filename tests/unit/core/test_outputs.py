"""Outputs as workflow code asks for them: what is recorded, what comes back out of that, and what is refused."""

import base64
from dataclasses import dataclass
from typing import Any

import pytest

from holdfast import NondeterminismError, PayloadError, UndeclaredTopicError, WorkflowContext, workflow
from holdfast.core.definitions import WorkflowDefinition
from holdfast.core.history import Event, EventType
from holdfast.core.outputs import MAX_OUTBOX, Output, output_of
from holdfast.core.replay import replay_history
from tests.play import Anything, Begin, Code


@dataclass
class Shipped:
    order: str
    boxes: int


def sending(*calls: tuple[str, Anything], key: str | None = None) -> Code:
    """Make a workflow that asks for some outputs: ``plain`` or ``json``, and the value."""

    @workflow(outputs=["parcels"])
    async def run(ctx: WorkflowContext) -> str:
        for form, value in calls:
            send: Any = ctx.output if form == "plain" else ctx.output_json
            send("parcels", value, key=key)
        return "sent"

    return run


def only_output(begin: Begin, form: str, value: Anything, key: str | None = None) -> Output:
    play = begin(sending((form, value), key=key))
    assert play.words == ["output_sent parcels", "workflow_completed"]
    return output_of(play.history[1])


@pytest.mark.parametrize(
    ("form", "value", "leaves", "content_type"),
    [
        ("plain", "0", b"0", "text/plain"),
        ("plain", "", b"", "text/plain"),
        ("plain", 'naïve "text"\n\x00', 'naïve "text"\n\x00'.encode(), "text/plain"),
        ("plain", b"\x00\xff{", b"\x00\xff{", "application/octet-stream"),
        ("plain", bytearray(b"ab"), b"ab", "application/octet-stream"),
        ("plain", memoryview(b"ab"), b"ab", "application/octet-stream"),
        ("json", "0", b'"0"', "application/json"),
        ("json", None, b"null", "application/json"),
        ("json", [1, 2.5, {"a": True}], b'[1,2.5,{"a":true}]', "application/json"),
        ("json", Shipped("o-1", 2), b'{"order":"o-1","boxes":2}', "application/json"),
    ],
)
def test_what_leaves_is_what_was_asked_for(
    begin: Begin, form: str, value: Anything, leaves: bytes, content_type: str
) -> None:
    assert only_output(begin, form, value) == Output("parcels", None, leaves, content_type)


def test_a_key_is_recorded_and_nothing_where_there_is_none(begin: Begin) -> None:
    assert only_output(begin, "plain", "x", 'order|{"ref":"1"}').key == 'order|{"ref":"1"}'
    assert begin(sending(("plain", "x"))).asked[0].details == {"content_type": "text/plain"}


def test_an_output_waits_for_nothing_and_the_next_thing_asked_for_has_the_next_id(begin: Begin) -> None:
    @workflow(outputs=["parcels"])
    async def run(ctx: WorkflowContext) -> None:
        ctx.output("parcels", "first")
        ctx.output_json("parcels", "second")
        await ctx.execute_activity("pack")

    play = begin(run)

    assert [(command.id, str(command.type), command.name) for command in play.asked] == [
        ("1", "output_sent", "parcels"),
        ("2", "output_sent", "parcels"),
        ("3", "activity_started", "pack"),
    ]
    assert play.reload().complete("pack")[-1].type is EventType.WORKFLOW_COMPLETED


@pytest.mark.parametrize("declared", [[], ["other", "another"]])
def test_a_topic_that_is_not_declared_raises_at_the_call_and_records_nothing(begin: Begin, declared: list[str]) -> None:
    @workflow(name="ship", outputs=declared)
    async def run(ctx: WorkflowContext) -> str:
        with pytest.raises(UndeclaredTopicError) as caught:
            ctx.output("parcels", "x")
        assert caught.value.topic == "parcels"
        return str(caught.value)

    play = begin(run)

    assert play.words == ["workflow_completed"]
    assert play.result == (
        "workflow 'ship' does not declare the topic 'parcels': name it in @workflow(outputs=[...]); "
        f"declared: {'another, other' if declared else 'none'}"
    )


def test_a_bare_function_has_declared_nothing(begin: Begin) -> None:
    async def run(ctx: WorkflowContext) -> None:
        ctx.output_json("parcels", 1)

    assert begin(run).failure.type == "UndeclaredTopicError"


@pytest.mark.parametrize(
    ("form", "value", "options", "message"),
    [
        ("plain", 7, {}, "output to topic 'parcels' must be a text or bytes, not int; ctx.output_json takes any JSON"),
        ("plain", "\ud800", {}, "output to topic 'parcels' cannot be written as JSON"),
        ("json", float("nan"), {}, "it holds nan, which is not a JSON number"),
        ("json", object(), {}, "output to topic 'parcels' cannot be written as JSON"),
        ("plain", "x" * 1_000, {}, "output to topic 'parcels' is 1,002 bytes; the limit is 1,000"),
        ("plain", b"x" * 750, {}, "output to topic 'parcels' is 1,002 bytes; the limit is 1,000"),
        ("plain", "x", {"key": ""}, "key must not be empty"),
        ("plain", "x", {"key": 7}, "key must be a text, not int"),
        ("plain", "x", {"key": "k" * 2_049}, "key has 2,049 characters; the limit is 2,048"),
    ],
)
def test_what_cannot_be_stored_raises_at_the_call_and_records_nothing(
    begin: Begin, form: str, value: Anything, options: dict[str, Any], message: str
) -> None:
    play = begin(sending((form, value), **options), payload_limit=1_000)

    assert play.words == ["workflow_failed"]
    assert play.failure.type == "PayloadError"
    assert message in play.failure.message


def test_a_topic_that_is_no_text_raises_at_the_call(begin: Begin) -> None:
    @workflow(outputs=["parcels"])
    async def run(ctx: WorkflowContext) -> None:
        topic: Any = ["parcels"]
        ctx.output(topic, "x")

    assert begin(run).failure.message == "topic must be a text, not list"


def test_topics_are_checked_when_they_are_declared() -> None:
    with pytest.raises(TypeError, match=r"outputs must be a list of topics: write outputs=\['parcels'\]"):
        workflow(outputs="parcels")
    with pytest.raises(PayloadError, match="topic must not be empty"):
        workflow(outputs=["parcels", ""])

    assert WorkflowDefinition.of(sending()).outputs == {"parcels"}


def test_a_query_cannot_publish(begin: Begin) -> None:
    @workflow(outputs=["parcels"])
    async def run(ctx: WorkflowContext) -> None:
        ctx.set_query_handler("leak", lambda: ctx.output("parcels", "x"))
        await ctx.receive_signal("end")

    play = begin(run)

    with pytest.raises(Exception, match="a query or validator only looks at the run, it cannot ask for output_sent"):
        play.query("leak")


def test_outputs_to_other_topics_do_not_fit_the_history(begin: Begin) -> None:
    @workflow(name="run", outputs=["parcels", "letters"])
    async def before(ctx: WorkflowContext) -> None:
        ctx.output("parcels", "x")
        await ctx.receive_signal("end")

    @workflow(name="run", outputs=["parcels", "letters"])
    async def after(ctx: WorkflowContext) -> None:
        ctx.output("letters", "x")
        await ctx.receive_signal("end")

    play = begin(before)

    with pytest.raises(NondeterminismError, match=r"expected output_sent 'parcels' \(id 1\), found output_sent 'lett"):
        play.on_code(after)


# Room.


@workflow(outputs=["parcels"])
async def burst(ctx: WorkflowContext, count: int) -> list[int]:
    """Ask for outputs, and give the numbers of those that were refused."""
    refused = []
    for number in range(count):
        try:
            ctx.output_json("parcels", number)
        except PayloadError as error:
            assert error.too_large  # noqa: PT017 - inside of a workflow
            refused.append(number)
    await ctx.execute_activity("pack")
    return refused


def test_as_many_as_the_outbox_has_room_for_are_taken_and_the_others_recorded_as_refused(begin: Begin) -> None:
    play = begin(burst, 3 + MAX_OUTBOX)

    kinds = [str(command.type) for command in play.asked]
    assert kinds == ["output_sent"] * MAX_OUTBOX + ["output_refused"] * 3 + ["activity_started"]
    play.complete("pack")
    assert play.result == [MAX_OUTBOX, MAX_OUTBOX + 1, MAX_OUTBOX + 2]


def test_what_is_still_on_its_way_takes_room(begin: Begin) -> None:
    @workflow(outputs=["parcels"])
    async def run(ctx: WorkflowContext) -> list[int]:
        refused = []
        for number in range(3):
            await ctx.receive_signal("next")
            try:
                ctx.output_json("parcels", number)
            except PayloadError:
                refused.append(number)
        return refused

    play = begin(run)
    play.run.outbox = range(MAX_OUTBOX)
    assert play.signal("next")[0].type is EventType.OUTPUT_REFUSED
    play.run.outbox = range(MAX_OUTBOX - 1)
    assert play.signal("next")[0].type is EventType.OUTPUT_SENT


def test_children_asked_for_in_the_same_turn_take_room_and_activities_do_not(begin: Begin) -> None:
    @workflow(outputs=["parcels"])
    async def run(ctx: WorkflowContext) -> None:
        await ctx.receive_signal("next")
        for number in range(5):
            ctx.start_child("any", id=f"c{number}")
        ctx.set_attributes(a=1)
        ctx.output("parcels", "x")

    play = begin(run)
    play.run.outbox = range(MAX_OUTBOX - 6)
    assert EventType.OUTPUT_SENT in [command.type for command in play.signal("next")]

    again = begin(run)
    again.run.outbox = range(MAX_OUTBOX - 5)
    assert again.signal("next")[-1].type is EventType.WORKFLOW_FAILED


def test_a_replay_refuses_what_was_refused_however_much_room_there_is_then(begin: Begin) -> None:
    play = begin(burst, 2 + MAX_OUTBOX)

    play.reload()
    play.complete("pack")

    assert play.result == [MAX_OUTBOX, MAX_OUTBOX + 1]
    replayed = play.replayed()
    assert replayed.outcome is not None


def test_a_replay_takes_what_was_taken_however_little_room_there_is_then(begin: Begin) -> None:
    play = begin(burst, 2)
    fresh = play._fresh()  # noqa: SLF001 - an instance to which nothing has been applied
    fresh.outbox = range(MAX_OUTBOX)

    replay_history(fresh, play.history)

    assert fresh.fault is None
    fresh.close()


def test_bytes_are_recorded_as_base64_beside_a_mark() -> None:
    raw = base64.b64encode(b"\xff\x00").decode()
    event = Event(EventType.OUTPUT_SENT, 1, "1", "parcels", f'"{raw}"'.encode(), {"content_type": "image/png"})

    assert output_of(event) == Output("parcels", None, b"\xff\x00", "image/png")
