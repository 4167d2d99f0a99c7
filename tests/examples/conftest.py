"""The examples' outside world is a file of its own in each test."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def ledger_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "ledger.jsonl"
    monkeypatch.setenv("HOLDFAST_EXAMPLES_LEDGER", str(path))
    return path
