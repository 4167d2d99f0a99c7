"""Histories that were recorded once fit the code of today, under each Python and hash seed."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast import NondeterminismError, RunStatus
from holdfast.core.history import OUTCOMES
from holdfast.testing import load_history, replay
from tests.golden.flows import packing_as_it_is, packing_as_it_was, shipping_as_it_is, shipping_as_it_was
from tests.golden.record import CHANGED, HISTORIES, PATCHED, RECORDED, record_all
from tests.laws import laws
from tests.laws.case import Story

ROOT = Path(__file__).parents[2]
FILES = sorted(path.name for path in HISTORIES.glob("*.json"))
CASES = {case.name: case for case in RECORDED}
MOST_BYTES = 300_000


def story_of(file: str) -> Story:
    return Story.of(CASES[file.partition("--")[0]], load_history(HISTORIES / file))


def unordered(steps: list[list[Any]]) -> list[list[Any]]:
    """Forget the order of the commands of each activation: Python versions interleave tasks unlike."""
    return [sorted(commands, key=repr) for commands in steps]


def test_there_is_a_history_of_every_case() -> None:
    assert {file.partition("--")[0] for file in FILES} == set(CASES)
    assert sum((HISTORIES / file).stat().st_size for file in FILES) < MOST_BYTES


@pytest.mark.parametrize("file", FILES)
def test_todays_code_asks_for_what_was_recorded_and_comes_to_the_same_end(file: str) -> None:
    story = story_of(file)

    status = replay(story.code, HISTORIES / file, activities=story.case.activities)
    replayed = laws.replay(story, story.events)

    assert status is OUTCOMES.get(story.events[-1].type, RunStatus.RUNNING)
    recorded = [commands for applied, commands in laws.activations(story.events) if applied is not None]
    assert unordered([commands for _, commands in replayed.log]) == unordered(recorded)


@pytest.mark.parametrize("law", ["no prefix contradicts", "no command twice", "split anywhere"])
@pytest.mark.parametrize("file", FILES)
def test_the_laws_hold_for_what_was_recorded(file: str, law: str) -> None:
    laws.LAWS[law](story_of(file))


def test_changed_code_is_told_what_was_expected_and_what_found() -> None:
    (path,) = HISTORIES.glob(f"{CHANGED.name}--*.json")

    assert replay(shipping_as_it_was, path) is RunStatus.COMPLETED
    with pytest.raises(NondeterminismError) as caught:
        replay(shipping_as_it_is, path)

    assert caught.value.expected == "timer_started (id 2)"
    assert caught.value.found == "activity_started 'echo' (id 2)"
    assert str(caught.value) == (
        "the code does not fit the history: after event 3, activity_completed 'echo' (id 1), "
        "expected timer_started (id 2), found activity_started 'echo' (id 2)"
    )


def test_code_with_a_patched_change_fits_what_was_recorded_before_the_change() -> None:
    (path,) = HISTORIES.glob(f"{PATCHED.name}--*.json")

    assert replay(packing_as_it_was, path) is RunStatus.COMPLETED
    assert replay(packing_as_it_is, path) is RunStatus.COMPLETED


def test_recording_again_gives_the_same_histories(tmp_path: Path) -> None:
    record_all(tmp_path)

    assert_same(tmp_path)


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_recording_under_another_hash_seed_gives_the_same_histories(tmp_path: Path, hash_seed: str) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.golden.record", str(tmp_path)]

    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=100)

    assert_same(tmp_path)


def assert_same(folder: Path) -> None:
    """Compare byte by byte: clock, ids and order are the same under every version of Python."""
    assert sorted(path.name for path in folder.iterdir()) == FILES
    differing = [file for file in FILES if (folder / file).read_bytes() != (HISTORIES / file).read_bytes()]
    assert differing == []
