"""Every command, file and snippet of README and docs does what the page says."""

from pathlib import Path

import pytest

from tests.docs.markdown import PAGES, ROOT, read_blocks
from tests.docs.reader import Reader

RUN = {"console", "python"}
LOOKED_AT = {"text", "json"}


def pages_with(languages: set[str]) -> list[Path]:
    return [page for page in PAGES if languages & {block.language for block in read_blocks(page)}]


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_with(RUN), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_reader_who_follows_the_page_sees_what_it_shows(page: Path, tmp_path: Path) -> None:
    Reader(page, tmp_path).follow()


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.exists()], ids=lambda page: str(page.relative_to(ROOT))
)
def test_a_page_has_only_blocks_that_are_run_or_need_not_be(page: Path) -> None:
    assert {block.language for block in read_blocks(page)} <= RUN | LOOKED_AT
