"""Which revision of its key a write aims at."""

from __future__ import annotations

import pytest

from holdfast.ports import ABSENT, ANY, Expectation, Write
from holdfast.stores.nats_reads import Revision
from holdfast.stores.nats_targets import Target, Unsure, first_target, is_unsure, target_of

THERE = Revision(7, b"1")
MARKED = Revision(8, None)


@pytest.mark.parametrize(
    ("value", "expected", "target", "unsure"),
    [
        (b"1", ANY, ANY, False),
        (b"1", ABSENT, 0, True),
        (b"1", "7", 7, False),
        (b"1", "9223372036854775807", 9223372036854775807, False),
        (b"1", "no-such-version", Unsure.UNKNOWN, True),
        (b"1", "", Unsure.UNKNOWN, True),
        (b"1", "0", Unsure.UNKNOWN, True),
        (b"1", "07", Unsure.UNKNOWN, True),
        (b"1", "7\n", Unsure.UNKNOWN, True),
        (b"1", "٣", Unsure.UNKNOWN, True),
        (b"1", "99999999999999999999", Unsure.UNKNOWN, True),
        (None, ANY, ANY, False),
        (None, "7", 7, True),
        (None, "no-such-version", Unsure.UNKNOWN, True),
        (None, ABSENT, Unsure.UNKNOWN, True),
    ],
)
def test_before_reading(value: bytes | None, expected: str | Expectation, target: Target, *, unsure: bool) -> None:
    write = Write("key", value, expected)

    assert first_target(write) == target
    assert is_unsure(write) == unsure


@pytest.mark.parametrize(
    ("value", "expected", "found", "target"),
    [
        (b"1", ABSENT, None, 0),
        (b"1", ABSENT, MARKED, 8),
        (b"1", ABSENT, THERE, None),
        (b"1", "no-such-version", None, None),
        (b"1", "no-such-version", MARKED, None),
        (b"1", "no-such-version", THERE, None),
        (None, "7", None, Unsure.GONE),
        (None, "7", MARKED, Unsure.GONE),
        (None, "8", MARKED, Unsure.GONE),
        (None, "7", THERE, 7),
        (None, "6", THERE, None),
        (None, "no-such-version", None, Unsure.GONE),
        (None, "no-such-version", THERE, None),
        (None, ABSENT, None, Unsure.GONE),
        (None, ABSENT, THERE, None),
    ],
)
def test_after_reading(
    value: bytes | None, expected: str | Expectation, found: Revision | None, target: Target | None
) -> None:
    assert target_of(Write("key", value, expected), found) == target
