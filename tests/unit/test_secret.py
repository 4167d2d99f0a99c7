"""Tokens in files: read again when they change, kept when they cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.secret import Secret


def test_a_token_that_was_given_wins_over_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from the file", encoding="utf-8")

    assert Secret("given", file).value() == "given"


def test_a_file_is_read_again_when_its_token_is_renewed(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n", encoding="utf-8")
    secret = Secret(file=file)
    assert secret.value() == "first"

    renewed = tmp_path / "renewed"
    renewed.write_text("other\n", encoding="utf-8")
    renewed.replace(file)

    assert secret.value() == "other"


def test_a_file_that_vanishes_for_a_moment_leaves_its_token_in_force(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "token"
    file.write_text("first", encoding="utf-8")
    secret = Secret(file=file)
    assert secret.value() == "first"

    file.unlink()

    assert secret.value() == "first"
    assert "cannot be read" in caplog.text
    file.write_text("second", encoding="utf-8")
    assert secret.value() == "second"


def test_a_secret_does_not_show_itself(tmp_path: Path) -> None:
    assert "given" not in repr(Secret("given"))
    assert not Secret().is_set
    assert Secret(file=tmp_path / "later").is_set
