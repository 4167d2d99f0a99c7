"""Every command, file and snippet of README and docs does what the page says."""

import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from tests.conftest import require
from tests.docs.markdown import PAGES, ROOT, read_blocks
from tests.docs.reader import Reader

RUN = {"console", "python"}
SHOWN = {"text"}


def pages_with(languages: set[str]) -> list[Path]:
    return [page for page in PAGES if languages & {block.language for block in read_blocks(page)}]


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_with(RUN), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_reader_who_follows_the_page_sees_what_it_shows(page: Path, tmp_path: Path) -> None:
    for tool in ("bash", "curl", "make"):
        require(shutil.which(tool), tool)

    Reader(page, tmp_path).follow()


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.exists()], ids=lambda page: str(page.relative_to(ROOT))
)
def test_a_page_has_only_blocks_that_are_run_or_need_not_be(page: Path) -> None:
    languages = [block.language for block in read_blocks(page)]
    assert set(languages) <= RUN | SHOWN
    assert all(before == "python" for before, after in pairwise([None, *languages]) if after in SHOWN), (
        "what is shown is the output of the snippet before it"
    )
