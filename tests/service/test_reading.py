"""Reading what strangers write: JSON, durations, searches, and text for a terminal."""

import contextlib
import json
from datetime import timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.search import Spelled
from app.durations import LONGEST, parse_duration
from app.json_writer import dump
from app.text import visible
from holdfast.core.strict_json import MAX_DEPTH, JsonError, load

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4))


@given(VALUES)
def test_what_is_read_is_what_was_written_and_what_the_engine_can_keep(value: object) -> None:
    for raw in (json.dumps(value).encode(), orjson.dumps(value)):
        assert load(raw) == value
        assert orjson.loads(dump(load(raw))) == value


@given(st.binary(max_size=60) | st.text('[]{}",:0123456789.eE+-\\ud8tfn ', max_size=40).map(str.encode))
def test_reading_ends_in_a_value_or_in_one_error(raw: bytes) -> None:
    try:
        value = load(raw)
    except JsonError:
        return
    assert orjson.loads(orjson.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "c"),
        ('{"a": [1, {"b": "\\udfff"}]}', "a.1.b"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "0.0.0.0.0.0.0.0"),
    ],
)
def test_an_error_names_the_place(text: str, field: str) -> None:
    with pytest.raises(JsonError) as caught:
        load(text.encode())

    assert caught.value.field == field


def test_depth_up_to_the_limit_is_taken() -> None:
    deep: Any = 1
    for _ in range(MAX_DEPTH):
        deep = {"a": [1], "b": deep} if isinstance(deep, list) else [deep]

    assert load(json.dumps(deep).encode()) == deep


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5),
        ("5s", 5),
        ("250ms", 0.25),
        ("1.5s", 1.5),
        ("2m", 120),
        ("1h30m", 5_400),
        ("1d", 86_400),
        ("2w", 1_209_600),
        ("PT5S", 5),
        ("PT1H30M", 5_400),
        ("P1D", 86_400),
        ("P1DT12H", 129_600),
        ("P2W", 1_209_600),
        ("PT0.5S", 0.5),
        (" 5s ", 5),
        (0, 0),
        (1.5, 1.5),
        (timedelta(minutes=1), 60),
    ],
)
def test_a_duration_may_be_written_in_many_ways(text: object, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        *("", "s", "5 s", "5x", "-5s", "1e3", "P", "PT", "P1Y", "٣s", "5s5", "inf", "nan", "9" * 30, "9" * 18 + "w"),
        *(-1, True, None, [], {}, float("nan"), float("inf"), LONGEST.total_seconds() + 1),
    ],
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@given(st.text(max_size=30))
def test_no_text_breaks_the_reader_of_durations(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert timedelta(0) <= parse_duration(text) <= LONGEST


@pytest.mark.parametrize(
    ("word", "value"), [("5", 5), ("5", "5"), ("true", True), ("1.5", 1.5), ("null", None), ("a", "a"), ("", "")]
)
def test_a_word_equals_whatever_is_written_so(word: str, value: object) -> None:
    assert value == Spelled(word)
    assert value != Spelled(f"{word}x")


@given(st.text())
def test_what_is_shown_on_a_terminal_cannot_steer_it(text: str) -> None:
    shown = visible(text)

    assert shown.isprintable()
    assert shown == text or not text.isprintable()
