"""Measurements take stores by kind or by URL."""

from pathlib import Path

import pytest

from bench.places import url_of
from bench.stores import table
from holdfast import stores


@pytest.mark.parametrize(
    "store", ["memory", "sqlite", "dapr", "kafka://localhost:9092/bench-{}", "nats://localhost:4222"]
)
def test_what_is_measured_can_be_opened(store: str, tmp_path: Path) -> None:
    assert stores.open(url_of(store, tmp_path))


def test_each_measurement_can_have_a_place_of_its_own(tmp_path: Path) -> None:
    for store in ("sqlite", "kafka://localhost:9092/bench-{}"):
        assert url_of(store, tmp_path) != url_of(store, tmp_path)
    assert url_of("memory:", tmp_path) == "memory:"
    assert url_of("nats://localhost:4222", tmp_path) == "nats://localhost:4222"


def test_figures_are_laid_out_in_columns_and_what_was_not_measured_is_left_open() -> None:
    lines = table(
        {"memory": {"figures": {"commits_per_s": 1234.5}}, "nats": {"figures": {"all_moving_s": 2}}}
    ).splitlines()

    assert [len(line) for line in lines] == [len(lines[0])] * 3
    assert lines[1].split() == ["memory", "1234.5", "-", "-", "-", "-", "-"]
    assert lines[2].split()[-1] == "2"
