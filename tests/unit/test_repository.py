"""The promises of the repository itself: it names no registry or private path, is locked, and documents its verbs."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import require

ROOT = Path(__file__).parents[2]

# Written in pieces, so that this file does not hold what it forbids.
REGISTRIES = [
    f"{name}.{domain}"
    for name, domain in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("crates", "io"),
        ("rubygems", "org"),
        ("proxy.golang", "org"),
        ("sum.golang", "org"),
    ]
]
PRIVATE_PATH = re.compile(r"(?<![\w.*}/-])/((root|work)(?![\w-])|(home|Users)/\w)")
PINNED = re.compile(r"^[\w.-]+==[^\s;]+", re.MULTILINE)
HASHED = re.compile(PINNED.pattern + r"(?=( ; [^\\\n]+)? \\\n +--hash=sha256:[0-9a-f]{64}( \\)?\n)", re.MULTILINE)


def texts() -> dict[str, str]:
    """Every file that git tracks or would add, with its content."""
    git = shutil.which("git")
    require(git and (ROOT / ".git").exists(), "a git checkout")
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    files = [name for name in listing.split("\0") if name and (ROOT / name).is_file()]
    return {name: (ROOT / name).read_text(encoding="utf-8", errors="replace") for name in files}


def test_no_file_names_a_package_registry() -> None:
    assert [(name, host) for name, text in texts().items() for host in REGISTRIES if host in text.lower()] == []


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    assert [(name, found.group()) for name, text in texts().items() for found in PRIVATE_PATH.finditer(text)] == []


def locked(name: str, pattern: re.Pattern[str]) -> set[str]:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    return {match.group() for match in pattern.finditer(text)}


@pytest.mark.parametrize("name", ["service.txt", "dev.txt"])
def test_every_locked_requirement_carries_a_hash(name: str) -> None:
    assert locked(name, PINNED)
    assert locked(name, PINNED) == locked(name, HASHED)


def test_the_development_lock_holds_the_service_lock() -> None:
    assert locked("service.txt", PINNED) <= locked("dev.txt", PINNED)


def test_help_lists_every_documented_verb() -> None:
    require(shutil.which("make"), "make")
    pages = [path for name in ("README.md", "CONTRIBUTING.md") if (path := ROOT / name).exists()]
    code = re.compile(r"(?:`|^(?: {4})?)make ([a-z-]+)", re.MULTILINE)  # in backticks or a block, not prose
    documented = {verb for page in pages for verb in code.findall(page.read_text(encoding="utf-8"))}

    listed = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout

    assert documented
    assert documented - set(re.findall(r"make ([a-z-]+)", listed)) == set()
