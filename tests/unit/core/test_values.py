"""Small arithmetic: durations, ids, retries, failures."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import (
    FailureInfo,
    HoldfastError,
    InvalidIdError,
    NonRetryableError,
    PayloadError,
    RetryPolicy,
    WorkflowFailedError,
)
from holdfast.core.durations import milliseconds
from holdfast.core.ids import MAX_COMMAND_ID, check_id, child_run_id, lineage_id


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1000),
        (0, 0),
        (0.25, 250),
        (timedelta(days=3), 259_200_000),
        (timedelta(milliseconds=1.5), 2),
        (0.0001, 1),
        (0.1 + 0.2, 300),
        (1.1, 1100),
    ],
)
def test_a_duration_is_a_timedelta_or_bare_seconds_and_never_ends_early(
    value: timedelta | float, expected: int
) -> None:
    assert milliseconds(value, "timeout") == expected


@pytest.mark.parametrize(
    "value",
    [
        -1,
        timedelta(seconds=-1),
        float("nan"),
        float("inf"),
        10**10,
        timedelta(days=40_000),
        pytest.param(10**400, id="huge"),
    ],
)
def test_a_duration_that_is_no_length_of_time_is_refused(value: timedelta | float) -> None:
    with pytest.raises(ValueError, match="timeout must be between 0 seconds and 100 years"):
        milliseconds(value, "timeout")


@pytest.mark.parametrize("value", ["5s", None, True, [1]])
def test_a_duration_of_another_type_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="timeout must be a timedelta or a number of seconds, not"):
        milliseconds(value, "timeout")  # type: ignore[arg-type]  # what the test is about


@given(st.from_regex(r"\A[A-Za-z0-9_-]{1,64}\Z"))
def test_an_id_of_allowed_characters_passes(value: str) -> None:
    assert check_id(value) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "a" * 65,
        "a b",
        "a\n",
        "\na",
        "a||b",
        "../x",
        "a/b",
        "%2F",
        "a\x00b",
        "é",
        "\u0430",
        "\u202eabc",
        ".",
        5,
        None,
        b"a",
    ],
)
def test_any_other_id_is_refused_from_end_to_end(value: object) -> None:
    with pytest.raises(InvalidIdError, match=r"^workflow id .* is not valid: 1 to 64 characters") as caught:
        check_id(value)

    assert len(str(caught.value)) < 200


@given(st.text(max_size=100))
def test_no_id_passes_that_does_not_match(value: str) -> None:
    allowed = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
    good = 1 <= len(value) <= 64 and set(value) <= allowed

    try:
        check_id(value)
        passed = True
    except InvalidIdError:
        passed = False

    assert passed is good


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=12))
def test_a_lineage_id_has_at_most_16_characters(path: list[int]) -> None:
    lineage = ""
    for ordinal in path:
        lineage = lineage_id(lineage, ordinal)

    assert 1 <= len(lineage) <= MAX_COMMAND_ID == 16
    check_id(lineage.replace(".", "_"))


def test_lineage_ids_of_a_wide_and_deep_tree_are_all_different() -> None:
    level, seen = [""], set[str]()
    for _ in range(5):
        level = [lineage_id(parent, ordinal) for parent in level[-40:] for ordinal in range(1, 100)]
        seen.update(level)

    assert len(seen) == 99 + 4 * 40 * 99


def test_a_default_child_id_begins_with_its_parents_and_is_valid() -> None:
    parent = "p" * 64

    first = child_run_id(parent, "run-1", "1")

    assert first.startswith("p" * 40 + "-")
    assert len(first) == 40 + 1 + 16
    check_id(first)
    assert first != child_run_id(parent, "run-2", "1")
    assert first != child_run_id(parent, "run-1", "2")
    assert first == child_run_id(parent, "run-1", "1")


def test_waits_grow_by_the_coefficient_up_to_the_longest() -> None:
    policy = RetryPolicy(initial_interval=1, backoff_coefficient=3, max_interval=20)

    waits = [policy.wait_ms(failures, 0.5) for failures in (1, 2, 3, 4, 5, 5_000)]

    assert waits == [1_000, 3_000, 9_000, 20_000, 20_000, 20_000]
    assert RetryPolicy().wait_ms(5_000, 0.5) == 10_000  # more than a float could hold


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 200))
def test_jitter_keeps_each_wait_between_half_and_one_and_a_half(chance: float, failures: int) -> None:
    policy = RetryPolicy()

    middle = min(10_000, 100 * 2 ** (failures - 1))

    assert 0.5 * middle - 1 <= policy.wait_ms(failures, chance) <= 1.5 * middle + 1


def test_the_default_policy_is_the_documented_one() -> None:
    policy = RetryPolicy()

    assert policy.max_attempts == 3
    assert milliseconds(policy.initial_interval, "") == 100
    assert policy.backoff_coefficient == 2.0
    assert milliseconds(policy.max_interval, "") == 10_000
    assert policy.non_retryable == ()


@pytest.mark.parametrize(("failures", "again"), [(1, True), (2, True), (3, False), (4, False)])
def test_attempts_are_counted_with_the_first(failures: int, *, again: bool) -> None:
    assert RetryPolicy(max_attempts=3).retries(ValueError(), failures) is again


def test_without_a_limit_there_is_always_another_attempt() -> None:
    assert RetryPolicy(max_attempts=None).retries(ValueError(), 10**9)


class DeclinedError(NonRetryableError):
    pass


class MissingError(LookupError):
    pass


@pytest.mark.parametrize(
    ("non_retryable", "error", "again"),
    [
        ((), NonRetryableError("no"), False),
        ((), DeclinedError("no"), False),
        ((), PayloadError("no"), False),
        ((), ValueError("no"), True),
        ((ValueError,), ValueError("no"), False),
        ((LookupError,), MissingError("no"), False),
        (("MissingError",), MissingError("no"), False),
        (("LookupError",), MissingError("no"), False),
        (("Missing",), MissingError("no"), True),
        ((KeyError, "ValueError"), MissingError("no"), True),
    ],
)
def test_what_cannot_be_retried_is_told_by_class_or_name(
    non_retryable: tuple[type[BaseException] | str, ...], error: BaseException, *, again: bool
) -> None:
    assert RetryPolicy(non_retryable=non_retryable).retries(error, 1) is again


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_attempts": 0}, "max_attempts must be at least 1, or None for no limit, not 0"),
        ({"backoff_coefficient": 0.5}, "backoff_coefficient must be at least 1"),
        ({"backoff_coefficient": float("nan")}, "backoff_coefficient must be at least 1"),
        ({"initial_interval": -1}, "initial_interval must be between 0 seconds and 100 years"),
        ({"max_interval": float("inf")}, "max_interval must be between"),
    ],
)
def test_a_policy_that_cannot_be_carried_out_is_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RetryPolicy(**options)  # type: ignore[arg-type]  # one bad value at a time


def chained(depth: int) -> BaseException:
    error: BaseException = ValueError("0")
    for number in range(1, depth):
        outer = ValueError(str(number))
        outer.__cause__ = error
        error = outer
    return error


def test_a_failure_keeps_type_message_details_and_causes() -> None:
    error = KeyError("sku")
    error.details = {"row": 5}  # type: ignore[attr-defined]  # as users do
    outer = HoldfastError("no such item")
    outer.__cause__ = error

    failure = FailureInfo.of(outer)

    assert failure == FailureInfo("HoldfastError", "no such item", None, FailureInfo("KeyError", "'sku'", {"row": 5}))
    assert failure.innermost().type == "KeyError"
    assert FailureInfo.from_json(failure.to_json()) == failure


def test_a_failure_keeps_eight_causes_and_four_thousand_characters() -> None:
    failure = FailureInfo.of(chained(20))
    depth, inner = 1, failure
    while inner.cause is not None:
        depth, inner = depth + 1, inner.cause

    assert depth == 8
    assert len(FailureInfo.of(ValueError("x" * 10_000)).message) == 4_000


def test_of_a_group_the_first_error_is_the_cause() -> None:
    group = ExceptionGroup("two went wrong", [ValueError("first"), KeyError("second")])

    assert FailureInfo.of(group).innermost() == FailureInfo("ValueError", "first")


class Unprintable(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("details", [object(), float("nan"), "x" * 20_000])
def test_what_cannot_be_recorded_of_an_error_is_left_out(details: object) -> None:
    error = Unprintable()
    error.details = details  # type: ignore[attr-defined]

    assert FailureInfo.of(error) == FailureInfo("Unprintable", "(its message could not be made)")


def test_a_message_that_utf8_cannot_hold_is_recorded_in_part() -> None:
    assert FailureInfo.of(ValueError("a\ud800b")).message == "a?b"


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (FailureInfo("ValueError", "outer", None, FailureInfo("KeyError", "inner")), "inner"),
        (FailureInfo("ValueError", "outer", None, FailureInfo("CancelledError", "")), "outer"),
        (FailureInfo("TimeoutError", "", None, FailureInfo("CancelledError", "")), "TimeoutError"),
    ],
)
def test_the_reason_of_a_failure_is_its_innermost_message_or_else_its_type(failure: FailureInfo, reason: str) -> None:
    assert failure.reason == reason
    assert str(WorkflowFailedError("a", "r", failure)) == f"workflow 'a' failed: {reason}"
