"""Every command, file and snippet of README and docs does what the page says."""

import re
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from tests.conftest import require
from tests.docs.markdown import PAGES, ROOT, read_blocks
from tests.docs.reader import Reader
from tests.integration.sidecar import program

RUN = {"console", "python"}
SHOWN = {"text"}
ELSEWHERE = {"sh"}
"""Commands of tools that no machine has where these tests run: each block is one or more lines, without a prompt."""
ABSENT = {"dapr", "docker", "helm", "kubectl"}
PATH = re.compile(r"(?<![\w:/.-])(?:k8s|dapr|components|docs)/[\w./-]+")
RUNTIME = ("daprd", "placement", "scheduler")


def pages_with(languages: set[str]) -> list[Path]:
    return [page for page in PAGES if languages & {block.language for block in read_blocks(page)}]


def needs_dapr(page: Path) -> bool:
    return any("make run-dapr" in block.text for block in read_blocks(page) if block.language == "console")


def follow(page: Path, folder: Path, **tools: str) -> None:
    for tool in ("bash", "curl", "make"):
        require(shutil.which(tool), tool)

    Reader(page, folder, tools).follow()


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [page for page in pages_with(RUN) if not needs_dapr(page)],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_a_reader_who_follows_the_page_sees_what_it_shows(page: Path, tmp_path: Path) -> None:
    follow(page, tmp_path)


@pytest.mark.integration
@pytest.mark.parametrize(
    "page", [page for page in pages_with(RUN) if needs_dapr(page)], ids=lambda page: str(page.relative_to(ROOT))
)
def test_a_reader_who_has_the_dapr_runtime_sees_what_the_page_shows(page: Path, tmp_path: Path) -> None:
    require(shutil.which("redis-server"), "redis-server (Debian: redis-server)")

    follow(page, tmp_path, **{name.upper(): program(name) for name in RUNTIME})


@pytest.mark.parametrize("page", pages_with(ELSEWHERE), ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_are_not_run_here_need_a_tool_that_is_not_here_and_name_files_that_are(page: Path) -> None:
    blocks = [block.text for block in read_blocks(page) if block.language in ELSEWHERE]

    assert [text for text in blocks if not ABSENT & set(re.findall(r"\w+", text))] == []
    assert [
        path for text in blocks for path in PATH.findall(text) if path != "dapr/dapr" and not (ROOT / path).exists()
    ] == []


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.exists()], ids=lambda page: str(page.relative_to(ROOT))
)
def test_a_page_has_only_blocks_that_are_run_or_need_not_be(page: Path) -> None:
    languages = [block.language for block in read_blocks(page)]
    assert set(languages) <= RUN | SHOWN | ELSEWHERE
    assert all(before == "python" for before, after in pairwise([None, *languages]) if after in SHOWN), (
        "what is shown is the output of the snippet before it"
    )
