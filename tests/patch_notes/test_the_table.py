"""The table of cases and the tests say the same: 26 cases, a test for each, on every store where it says so."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

from tests.patch_notes.cases import CASES

FOLDER = Path(__file__).parent
OF_A_CASE = re.compile(r"test_(\d\d)_(\w+)")


class Found(NamedTuple):
    """A test that is named after a case."""

    number: int
    name: str
    parameters: set[str]


def found_tests() -> list[Found]:
    """Read the tests from their files, so that one that is skipped or deselected counts as well."""
    found = []
    for path in sorted(FOLDER.glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            named = OF_A_CASE.fullmatch(node.name) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else None
            if named is not None and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                arguments = {each.arg for each in (*node.args.args, *node.args.kwonlyargs)}
                found.append(Found(int(named[1]), named[2], arguments))
    return found


def test_there_are_26_cases_with_numbers_in_the_order_of_the_releases() -> None:
    assert [case.number for case in CASES] == list(range(1, 27))
    releases = [[int(part) for part in re.findall(r"\d+", case.release)][:3] for case in CASES]
    assert releases == sorted(releases)
    assert len({case.fault for case in CASES}) == 26


def test_each_case_has_one_test_of_its_name_and_no_other_is_numbered() -> None:
    assert sorted((test.number, test.name) for test in found_tests()) == [(each.number, each.test) for each in CASES]


def test_cases_that_what_is_stored_decides_are_tried_on_every_store_and_no_others() -> None:
    on_stores = {test.number for test in found_tests() if "home" in test.parameters}

    assert on_stores == {case.number for case in CASES if case.on_every_store}
