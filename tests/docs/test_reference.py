"""The reference says what the code says."""

import re
from pathlib import Path
from types import ModuleType

import pytest

import holdfast
from holdfast import WorkflowContext, activities, executors, patterns, publishers, stores, testing
from tests.docs.markdown import ROOT
from tests.docs.reference import REFERENCE, TABLE, TABLES, rendered, route_rows

PAGES = sorted(REFERENCE.glob("*.md"))
NAMED = re.compile(r"`(?:await |@)?(?:\w+\.)*(\w+)")
"""What opens a piece of code on a page: some public names, such as `new`, are also words."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_of_a_page_are_those_of_the_code(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert text == rendered(text), "run: python -m tests.docs.reference"


def test_every_table_is_in_a_page() -> None:
    shown = [name for page in PAGES for name, _ in TABLE.findall(page.read_text(encoding="utf-8"))]

    assert sorted(shown) == sorted(TABLES)


@pytest.mark.parametrize(
    "module",
    [holdfast, activities, executors, patterns, publishers, stores, testing],
    ids=lambda module: module.__name__,
)
def test_every_public_name_is_on_a_page(module: ModuleType) -> None:
    pages = [page for page in (ROOT / "docs").rglob("*.md") if page.parent.name != "adr"]
    named = {name for page in pages for name in NAMED.findall(page.read_text(encoding="utf-8"))}

    assert set(module.__all__) - named == set()


WORDS = """
workflow, run, history, event, command, activation, replay, nondeterminism, activity, attempt, signal, query, update,
timer, child run, ref, output, outbox, continue-as-new, store, document, version, commit, batch, index, segment,
sidecar, executor, blueprint, node, edge
"""


def test_the_glossary_has_every_word_of_the_project() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")

    assert [word for word in WORDS.replace("\n", " ").split(", ") if f"\n- **{word.strip()}**: " not in text] == []


def test_the_glossary_calls_planned_what_has_no_code_and_nothing_else() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    there = {
        "ref": hasattr(WorkflowContext, "ref"),
        "output": hasattr(WorkflowContext, "output"),
        "dead letter": "/v1/dead-letters" in str(route_rows()),
        "sidecar": (ROOT / "app" / "sidecar").exists(),
        "blueprint": (ROOT / "holdfast" / "blueprints").exists(),
        "node": (ROOT / "holdfast" / "blueprints").exists(),
        "edge": (ROOT / "holdfast" / "blueprints").exists(),
    }

    planned = set(re.findall(r"^- \*\*([^*]+)\*\*: \*Planned\.\*", text, re.MULTILINE))

    assert planned == {word for word, is_there in there.items() if not is_there}
