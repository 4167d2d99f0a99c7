"""`dapr.yaml`, and what is started from it without the Dapr CLI."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from app.settings import Settings
from tests.deployment.manifests import ROOT, Manifest, documents, faults
from tools.run_dapr.plan import plan
from tools.run_dapr.programs import MissingProgramError, Program
from tools.run_dapr.resources import RedisUrlError, RunningRedis, read_redis_url, rendered
from tools.run_dapr.run_file import RunFile, read_run_file

RUNTIME = dict.fromkeys(("DAPRD", "PLACEMENT", "SCHEDULER"), sys.executable)
REDIS = {"REDIS_URL": "redis://:s%21cret@127.0.0.1:7000"}


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be where `make run-dapr` is typed."""
    monkeypatch.chdir(ROOT)


def run_file() -> Manifest:
    (content,) = documents(ROOT / "dapr.yaml")
    return content


def read(**environment: str) -> RunFile:
    return read_run_file(Path("dapr.yaml"), environment)


def planned(folder: Path, **environment: str) -> dict[str, Program]:
    given = RUNTIME | REDIS | environment
    return {program.name: program for program in plan(read(**given), given, folder)}


def options(program: Program) -> dict[str, str]:
    """The options of a command, but for those that are given more than once."""
    return dict(word.removeprefix("--").split("=", 1) for word in program.command[1:])


def test_the_file_is_one_that_the_dapr_cli_understands() -> None:
    assert faults(run_file(), "run-file") == []


def misspell(content: Manifest) -> None:
    content["apps"][0]["daprHttpPort"] = content["apps"][0].pop("daprHTTPPort")


def set_no_environment(content: Manifest) -> None:
    del content["apps"][0]["env"]


def set_text_for_port(content: Manifest) -> None:
    content["apps"][0]["appPort"] = "8000"


def set_bare_number(content: Manifest) -> None:
    content["apps"][0]["env"]["HOLDFAST_DEV_REPLAY"] = 1


@pytest.mark.parametrize("spoil", [misspell, set_no_environment, set_text_for_port, set_bare_number])
def test_a_file_that_the_cli_would_misread_is_found(spoil: Callable[[Manifest], None]) -> None:
    content = copy.deepcopy(run_file())

    spoil(content)

    assert faults(content, "run-file")


def test_every_path_in_the_file_is_there() -> None:
    content = run_file()
    paths = [*content["common"]["resourcesPaths"], content["common"]["configFilePath"]]

    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_service_understands_its_environment() -> None:
    (app,) = run_file()["apps"]
    given = {name.removeprefix("HOLDFAST_").lower(): value for name, value in app["env"].items()}

    settings = Settings(**given)

    assert settings.address.port == app["appPort"]
    assert settings.store == "dapr:statestore"
    assert settings.publisher == "dapr:pubsub"


def test_the_supervisor_and_the_cli_run_the_same(tmp_path: Path) -> None:
    content = run_file()
    (app,) = content["apps"]

    programs = planned(tmp_path)

    assert list(programs) == ["placement", "scheduler", "daprd", "holdfast"]
    daprd = options(programs["daprd"])
    assert daprd["app-id"] == app["appID"]
    assert daprd["app-port"] == str(app["appPort"])
    assert daprd["app-protocol"] == app["appProtocol"]
    assert daprd["dapr-http-port"] == str(app["daprHTTPPort"])
    assert daprd["dapr-grpc-port"] == str(app["daprGRPCPort"])
    assert daprd["dapr-listen-addresses"] == app["apiListenAddresses"]
    assert daprd["max-body-size"] == app["maxBodySize"]
    assert daprd["config"] == content["common"]["configFilePath"]
    assert "enable-app-health-check" not in daprd
    assert not app["enableAppHealthCheck"]
    assert list(programs["holdfast"].command) == app["command"]
    ports = {"DAPR_HTTP_PORT": str(app["daprHTTPPort"]), "DAPR_GRPC_PORT": str(app["daprGRPCPort"])}
    assert programs["holdfast"].environment == app["env"] | ports


def test_the_sidecar_reads_the_folders_of_the_file_with_the_redis_that_runs(tmp_path: Path) -> None:
    folders = [Path(folder) for folder in run_file()["common"]["resourcesPaths"]]

    daprd = planned(tmp_path)["daprd"]

    given = [Path(word.partition("=")[2]) for word in daprd.command if word.startswith("--resources-path=")]
    assert len(given) == len(folders)
    for folder, wanted in zip(given, folders, strict=True):
        for path in wanted.glob("*.yaml"):
            text = yaml.safe_load(path.read_text(encoding="utf-8"))
            there = yaml.safe_load((folder / path.name).read_text(encoding="utf-8"))
            assert there == yaml.safe_load(yaml.safe_dump(text).replace("127.0.0.1:6379", "127.0.0.1:7000"))
    assert daprd.environment == {"REDIS_PASSWORD": "s!cret"}


def test_everything_listens_on_this_machine_only(tmp_path: Path) -> None:
    programs = planned(tmp_path)

    for name in ("placement", "scheduler", "daprd"):
        given = options(programs[name])
        addresses = {option: value for option, value in given.items() if "listen-address" in option}
        assert set(addresses.values()) == {"127.0.0.1"}, name
        ports = [value for option, value in given.items() if option.endswith("port")]
        assert len(ports) == len(set(ports)), name


def test_the_environment_wins_over_the_file() -> None:
    run = read(HOLDFAST_ADDRESS="127.0.0.1:9000", DAPR_HTTP_PORT="9001", DAPR_GRPC_PORT="9002", HOLDFAST_DRAIN="1s")

    assert (run.app_port, run.http_port, run.grpc_port) == (9000, 9001, 9002)
    assert run.environment["DAPR_GRPC_PORT"] == "9002"
    assert "HOLDFAST_DRAIN" not in run.environment  # it is in the environment already


def test_no_redis_is_started_for_components_that_need_none(tmp_path: Path) -> None:
    folders = tuple(Path("components", block, "in-memory") for block in ("state", "pubsub"))

    programs = plan(replace(read(), resources=folders), RUNTIME, tmp_path)

    assert [program.name for program in programs] == ["placement", "scheduler", "daprd", "holdfast"]
    assert rendered(folders, RunningRedis("127.0.0.1:7000"), tmp_path) == [*folders]


def test_a_redis_is_started_where_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = tmp_path / "redis-server"
    server.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    redis, *_ = plan(read(), RUNTIME, tmp_path)

    assert redis.name == "redis"
    words = list(redis.command)
    assert words[words.index("--appendonly") + 1] == "yes"
    assert words[words.index("--appendfsync") + 1] == "always"
    assert words[words.index("--bind") + 1] == "127.0.0.1"


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(MissingProgramError, match="make dapr-runtime"):
        plan(read(), REDIS, tmp_path)

    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingProgramError, match="REDIS_URL"):
        plan(read(), RUNTIME, tmp_path)


@pytest.mark.parametrize(
    ("url", "address", "password"),
    [
        ("redis://localhost", "localhost:6379", ""),
        ("redis://127.0.0.1:7000/0", "127.0.0.1:7000", ""),
        ("redis://:a%40b@[::1]:7000", "[::1]:7000", "a@b"),
    ],
)
def test_the_address_of_a_redis_is_read(url: str, address: str, password: str) -> None:
    assert read_redis_url(url) == RunningRedis(address, password)


@pytest.mark.parametrize(
    "url", ["rediss://host:1", "redis://ann:pw@host:1", "redis://host:1/2", "host:1", "redis://", "redis://host:x"]
)
def test_an_address_that_asks_for_more_is_refused(url: str) -> None:
    with pytest.raises(RedisUrlError, match="REDIS_URL"):
        read_redis_url(url)
