"""The service where nothing can be written but a temporary folder, as in its container."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import require
from tests.service.kit import process

pytestmark = pytest.mark.integration

NAMESPACE = ["unshare", "--mount", "--propagation", "private"]
READ_ONLY = """
mount -t tmpfs tmpfs "$TMPDIR" && mount -o remount,bind,ro / || exit 97
if (: > writable) 2>/dev/null; then exit 98; fi
exec "$@"
"""


def test_the_service_needs_no_more_than_a_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    namespace = NAMESPACE if os.geteuid() == 0 else [*NAMESPACE, "--map-root-user"]
    able = sys.platform == "linux" and subprocess.run([*namespace, "true"], check=False).returncode == 0
    require(able, "mount namespaces (unshare)")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    serve = [sys.executable, "-c", "from app.cli import main; main()", "serve"]

    with process(tmp_path / "service", *namespace, "sh", "-c", READ_ONLY, "sh", *serve, store="memory:") as service:
        service.ready()
        started = service.request("POST", "/v1/workflows/quick/runs?wait=20s", json={})

    assert started.status_code == 201
    assert started.json()["status"] == "completed"
