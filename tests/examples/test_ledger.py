"""The examples' outside world does a thing once, however often and by how many it is asked."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from examples.ledger import WithdrawnError, effects, record


def test_a_request_that_comes_again_does_nothing(ledger_file: Path) -> None:
    record("trip", "reserve car", "key-1")
    record("trip", "reserve car", "key-1")
    record("trip", "reserve hotel", "key-2")

    assert effects("trip") == ["reserve car", "reserve hotel"]
    lines = [json.loads(line) for line in ledger_file.read_text(encoding="utf-8").splitlines()]
    assert [line["key"] for line in lines] == ["key-1", "key-2"]


def test_a_request_that_was_withdrawn_is_refused() -> None:
    record("trip", "cancel car", "cancel car-1")

    with pytest.raises(WithdrawnError, match="car-1"):
        record("trip", "reserve car", "reserve car-1", unless="cancel car-1")

    assert effects("trip") == ["cancel car"]


def test_threads_that_ask_for_the_same_get_it_once() -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: record("trip", "reserve", f"key-{number % 10}"), range(200)))

    assert effects("trip") == ["reserve"] * 10


def test_the_folder_of_the_ledger_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_EXAMPLES_LEDGER", str(tmp_path / "new" / "ledger.jsonl"))

    record("trip", "reserve car", "key-1")

    assert effects("trip") == ["reserve car"]
