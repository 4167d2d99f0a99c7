"""Histograms: a value belongs to the first bucket whose bound it does not pass."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.engine.histogram import Histogram

BOUNDS = (0.1, 1.0, 10.0)
VALUES = st.lists(st.one_of(st.sampled_from(BOUNDS), st.floats(0, 100)))


def test_a_value_on_a_bound_is_within_it() -> None:
    histogram = Histogram(BOUNDS)
    for value in (0.1, 0.2, 1.0, 10.0, 10.5, 11.0, 12.0):
        histogram.observe(value)

    shown = histogram.shown()
    assert shown.bounds == BOUNDS
    assert shown.counts == (1, 2, 1, 3)
    assert shown.count == 7
    assert abs(shown.total - 44.8) < 1e-9


def test_what_was_shown_does_not_change() -> None:
    histogram = Histogram(BOUNDS)
    before = histogram.shown()
    histogram.observe(5)

    assert before.counts == (0, 0, 0, 0)
    assert before.total == 0


@given(VALUES)
def test_many_at_once_count_as_one_by_one(values: list[float]) -> None:
    one_by_one, at_once = Histogram(BOUNDS), Histogram(BOUNDS)
    for value in values:
        one_by_one.observe(value)
    at_once.observe_all(values[:3])
    at_once.observe_all(values[3:])

    assert one_by_one.shown().counts == at_once.shown().counts
    assert abs(one_by_one.shown().total - sum(values)) < 1e-6
    assert abs(at_once.shown().total - sum(values)) < 1e-6
    assert at_once.shown().count == len(values)
