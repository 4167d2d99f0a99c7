"""The reference says what the code says."""

from pathlib import Path

import pytest

from tests.docs.markdown import ROOT
from tests.docs.reference import REFERENCE, TABLE, TABLES, rendered

PAGES = sorted(REFERENCE.glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_of_a_page_are_those_of_the_code(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert text == rendered(text), "run: python -m tests.docs.reference"


def test_every_table_is_in_a_page() -> None:
    shown = [name for page in PAGES for name, _ in TABLE.findall(page.read_text(encoding="utf-8"))]

    assert sorted(shown) == sorted(TABLES)


WORDS = """
workflow, run, history, event, command, activation, replay, nondeterminism, activity, attempt, signal, query, update,
timer, child run, ref, output, outbox, continue-as-new, store, document, version, commit, batch, index, segment,
sidecar, executor, blueprint, node, edge
"""


def test_the_glossary_has_every_word_of_the_project() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")

    assert [word for word in WORDS.replace("\n", " ").split(", ") if f"\n- **{word.strip()}**: " not in text] == []
