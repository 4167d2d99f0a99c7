"""Which functions a module offers, and what a module that cannot be used gets."""

import sys
from pathlib import Path

import pytest

from app.bootstrap import build_engine
from app.errors import StartupError
from app.modules import load_functions
from app.settings import Settings

DECORATED = """
from holdfast import activity, workflow
from tests.service.flows import quick

@activity
def act() -> int:
    return 1

@workflow(name="named")
async def flow(ctx) -> int:
    return 1

async def bare(ctx) -> int:
    return 1
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, from which modules are imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name.startswith("flows_")]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


def write(folder: Path, name: str, text: str) -> str:
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return name


def names(functions: list[object]) -> list[str]:
    return [getattr(function, "__name__", "?") for function in functions]


def test_a_module_offers_its_decorated_functions_its_own_and_imported(folder: Path) -> None:
    functions = load_functions([write(folder, "flows_decorated", DECORATED)])

    assert names(functions.workflows) == ["quick", "flow"]
    assert names(functions.activities) == ["act"]


def test_a_module_with_a_list_offers_what_stands_in_it(folder: Path) -> None:
    functions = load_functions([write(folder, "flows_listed", DECORATED + "\nworkflows = (bare,)\n")])

    assert names(functions.workflows) == ["bare"]
    assert names(functions.activities) == []


def test_a_function_that_two_modules_offer_is_taken_once(folder: Path) -> None:
    one = write(folder, "flows_one", DECORATED)
    two = write(folder, "flows_two", "from flows_one import *\n")

    assert names(load_functions([one, two]).workflows) == ["quick", "flow"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1", "has no workflows and no activities"),
        ("workflows = []", "has no workflows and no activities"),
        ("import nowhere_at_all", "cannot be imported: ModuleNotFoundError"),
        ("1 / 0", "ZeroDivisionError: division by zero (flows_bad.py, line 1)"),
        ("def f(:", "SyntaxError"),
        ("raise SystemExit(3)", "cannot be imported: SystemExit"),
    ],
)
def test_a_module_that_cannot_be_used_is_a_start_up_error(folder: Path, text: str, words: str) -> None:
    with pytest.raises(StartupError) as caught:
        load_functions([write(folder, "flows_bad", text)])

    assert "'flows_bad'" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["nowhere", "tests.nowhere", "..", "a b"])
def test_a_module_that_is_not_there_is_a_start_up_error(name: str) -> None:
    with pytest.raises(StartupError, match="cannot be imported"):
        load_functions([name])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("workflows = [lambda ctx: 1]", "has no name of its own"),
        ("def plain(ctx): ...\nworkflows = [plain]", "must be an async def"),
        ("workflows = [1]", "cannot be registered"),
        (
            "async def a(ctx): ...\nb, a.__name__ = a, 'same'\nasync def same(ctx): ...\nworkflows = [b, same]",
            "two workflows are named 'same'",
        ),
    ],
)
def test_functions_that_cannot_be_registered_are_a_start_up_error(folder: Path, text: str, words: str) -> None:
    settings = Settings(store="memory:", workflows=(write(folder, "flows_odd", text),))

    with pytest.raises(StartupError, match=words):
        build_engine(settings, lambda _error: None)
