"""Dead letters say whom they were for, as far as the message says so, whatever else is wrong with it."""

from __future__ import annotations

import orjson
import pytest

from holdfast import TopicMapping
from holdfast.engine.messages.addressee import addressee
from holdfast.engine.messages.routing import SIGNALS_TOPIC
from tests.play import Anything
from tests.unit.engine.kit import engine_on, on_skipping_loop
from tests.unit.engine.topics import deliver, signal

OURS = TopicMapping(SIGNALS_TOPIC)
THEIRS = TopicMapping("payments", workflow_id="order-{data.order.id}", signal="paid-{type}")


def names(value: Anything, mapping: TopicMapping | None = OURS, key: str = "") -> tuple[str, str]:
    found = addressee(mapping, value if isinstance(value, bytes) else orjson.dumps(value), key)
    return found.workflow_id, found.signal


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"{", ("", "")),
        (b"7", ("", "")),
        ({"workflow_id": "a", "signal": 7}, ("a", "")),
        ({"workflow_id": ["a"], "signal": "n"}, ("", "n")),
        ({"workflow_id": "x" * 257, "signal": "n"}, ("", "n")),
        ({"specversion": "2.0", "workflowid": "a b", "signalname": "n"}, ("a b", "n")),
        ({"specversion": "1.0", "workflowid": "a", "data": {"signal": "n"}}, ("a", "")),
        ({"specversion": "1.0", "data": {"workflow_id": "a", "signal": "n"}}, ("a", "n")),
        ({"specversion": "1.0", "workflowid": "a", "signalname": "n", "data_base64": "%"}, ("a", "n")),
    ],
)
def test_what_is_said_as_a_plain_text_is_named(value: Anything, expected: tuple[str, str]) -> None:
    assert names(value) == expected
    assert names(value, None) == expected


def test_the_message_of_another_team_is_named_as_its_mapping_says() -> None:
    assert names({"specversion": "1.0", "type": "in", "data": {"order": {"id": 7}}}, THEIRS) == ("order-7", "paid-in")
    assert names({"specversion": "1.0", "type": "in", "data": {}}, THEIRS) == ("", "paid-in")
    assert names({"order": {"id": "7"}}, THEIRS) == ("order-7", "")
    assert names(b"{", TopicMapping("t", workflow_id="{key}", signal="{topic}"), key="k-1") == ("k-1", "t")


@on_skipping_loop
async def test_a_dead_letter_names_run_and_signal_though_the_rest_is_bad() -> None:
    async with engine_on() as engine:
        await deliver(engine, signal("order-7", 1, sequence="first"))
        await deliver(engine, signal("order 8", 2))
        await deliver(engine, signal("order-9", 3), "unmapped")

        letters = (await engine.dead_letters()).items

        assert [(each.workflow_id, each.signal) for each in letters] == [
            ("order-9", "n"),
            ("order 8", "n"),
            ("order-7", "n"),
        ]
