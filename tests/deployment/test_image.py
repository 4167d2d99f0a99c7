"""The image: what the Dockerfile says of it (and `make check` lints it).

Not asserted here, because no engine builds images on the machines that run these tests: that the base is named by its
digest (``--build-arg PYTHON=``), that the image is signed, that its bill of materials is attached.
"""

from __future__ import annotations

import re

import pytest

from tests.deployment.dockerfile import Stage, exec_form, read
from tests.deployment.manifests import ROOT

LOCKED = re.compile(r"^([\w.-]+)==\S+.*\n(?: +--hash.*\n)+ +# via((?:\n +#   .*)+| .*)", re.MULTILINE)


@pytest.fixture
def build() -> Stage:
    return read(ROOT / "Dockerfile")[0]


@pytest.fixture
def image() -> Stage:
    return read(ROOT / "Dockerfile")[-1]


def test_the_image_is_made_in_stages_of_which_only_the_last_is_kept(build: Stage, image: Stage) -> None:
    assert [stage.name for stage in read(ROOT / "Dockerfile")] == ["build", "service"]
    assert build.base == image.base == "${PYTHON}"
    assert image.all("COPY") == ["--from=build /opt/holdfast /opt/holdfast", "examples /srv/examples"]


def test_the_base_is_slim_and_can_be_named_by_its_digest() -> None:
    assert re.search(r"^ARG PYTHON=python:3\.1[123]-slim-\w+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


def test_only_what_is_locked_by_hash_is_installed(build: Stage) -> None:
    installs = [part for run in build.all("RUN") for part in run.split("&&") if " install " in part]

    assert len(installs) == 2
    assert "--require-hashes" in installs[0]
    assert "requirements/service.txt" in installs[0]
    assert {"--no-index", "--no-deps", "--no-build-isolation"} <= set(installs[1].split())
    assert not [stage for stage in read(ROOT / "Dockerfile") for run in stage.all("RUN") if "apt" in run]


def build_tools() -> set[str]:
    """The packages of the lock that nothing needs but building."""
    reasons = {
        name: set(re.findall(r"[\w.-]+(?: \([^)]+\))?", why))
        for name, why in LOCKED.findall((ROOT / "requirements" / "service.txt").read_text(encoding="utf-8"))
    }
    found = {name for name, why in reasons.items() if all("build-system" in reason for reason in why)}
    while more := {name for name, why in reasons.items() if why <= found} - found:
        found |= more
    return found


def test_no_build_tools_are_left_in_the_image(build: Stage, image: Stage) -> None:
    removed = build.all("RUN")[-1].rpartition("uninstall --yes ")[2].split()

    assert set(removed) == build_tools()
    assert "--without-pip" in build.all("RUN")[0]
    assert image.all("RUN") == ["python -m pip uninstall --yes pip"]


def test_the_service_is_nobody_in_particular(image: Stage) -> None:
    user, _, group = image.last("USER").partition(":")

    assert int(user) >= 10_000
    assert int(group) >= 10_000
    assert not [copy for copy in image.all("COPY") if "--chown" in copy]  # it cannot change what it runs


def test_the_service_is_the_process_that_gets_the_signal(image: Stage) -> None:
    assert exec_form(image.last("ENTRYPOINT")) == ["holdfast"]
    assert exec_form(image.last("CMD")) == ["serve"]
    assert image.last("STOPSIGNAL") == "SIGTERM"


def test_health_is_asked_for_without_a_tool_that_is_not_there(image: Stage) -> None:
    options, _, command = image.last("HEALTHCHECK").partition(" CMD ")

    program, flag, code = exec_form(command)
    assert (program, flag) == ("python", "-c")
    compile(code, "healthcheck", "exec")
    assert f"http://127.0.0.1:{image.last('EXPOSE')}/livez" in code
    assert image.variables()["HOLDFAST_ADDRESS"] == f"0.0.0.0:{image.last('EXPOSE')}"
    assert "--start-period=10m" in options  # the port stays closed while the service waits


def test_python_writes_nothing_beside_the_code(image: Stage) -> None:
    assert image.variables()["PYTHONDONTWRITEBYTECODE"] == "1"


def test_no_secret_and_no_data_of_the_checkout_gets_into_the_image() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    copied = {
        word
        for stage in read(ROOT / "Dockerfile")
        for copy in stage.all("COPY")
        if "--from" not in copy
        for word in copy.split()[:-1]
    }

    assert lines[0] == "*"
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == copied
