"""The stores that the setting can name, how long each is waited for, and that no password of one is ever shown."""

import sys
from datetime import timedelta
from pathlib import Path

import pytest

from app.bootstrap import build_engine, make_store
from app.errors import StartupError
from app.service import Service
from app.settings import Settings
from holdfast import EngineThread, stores
from holdfast.core.durations import Duration
from holdfast.ports import StateStore
from holdfast.stores import MemoryStore, SqliteStore, registry
from holdfast.stores.dapr import DaprStore
from tests.play import Anything
from tests.service.kit import application, process, service_of


@pytest.mark.parametrize(
    ("setting", "kind"),
    [("memory:", MemoryStore), ("sqlite:///runs.db", SqliteStore), ("dapr:statestore", DaprStore)],
)
def test_a_store_is_named_by_its_kind_and_place(setting: str, kind: type) -> None:
    assert type(make_store(Settings(store=setting))) is kind


@pytest.mark.parametrize(
    "setting", ["", "dapr:", "sqlite:///", "redis://localhost", "memory", "kafka://localhost", "nats://a:1/b?c=d"]
)
def test_what_names_no_store_is_refused_with_what_does(setting: str) -> None:
    with pytest.raises(StartupError, match=r"^HOLDFAST_STORE: .*(sqlite|dapr|kafka|nats):"):
        make_store(Settings(store=setting))


def test_without_the_extra_the_sidecar_is_refused_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "holdfast.stores.dapr", None)

    with pytest.raises(StartupError, match=r"^HOLDFAST_STORE: .*pip install 'holdfast\[dapr\]'"):
        make_store(Settings(store="dapr:statestore"))


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> dict[str, Duration | None]:
    """For how long the store that is made of a setting waits."""
    found: dict[str, Duration | None] = {}
    real = stores.open

    def watched(url: str, *, wait: Duration | None = None) -> StateStore:
        found[url] = wait
        return real("memory:")

    monkeypatch.setattr(stores, "open", watched)
    return found


@pytest.mark.parametrize(
    ("setting", "wait"),
    [
        ("sqlite:///runs.db", timedelta(seconds=30)),
        ("dapr:statestore", timedelta(minutes=5)),
        ("kafka://a:1", timedelta(minutes=5)),
        ("nats://a:1", timedelta(minutes=5)),
        ("inngest+https://a:1", timedelta(minutes=5)),
    ],
)
def test_a_file_is_waited_for_shortly_and_a_server_as_long_as_it_takes_to_start(
    setting: str, wait: timedelta, waits: dict[str, Duration | None]
) -> None:
    make_store(Settings(store=setting))
    assert waits == {setting: wait}

    make_store(Settings(store=setting, store_wait="7s"))  # type: ignore[arg-type]  # as it is written
    assert waits == {setting: timedelta(seconds=7)}


SHELF = """
from holdfast import stores, workflow

stores.register("shelf", lambda url, wait: stores.MemoryStore(max_batch=7))


@workflow
async def hello(ctx):
    return "hello"
"""


def test_a_module_of_workflows_may_bring_a_kind_of_store_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_factories", dict(registry._factories))  # noqa: SLF001 - registering is for good
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "shelf_of_tests.py").write_text(SHELF, encoding="utf-8")

    thread = build_engine(Settings(store="shelf:1", workflows=("shelf_of_tests",)), lambda _error: None)

    assert thread.engine.capabilities.max_batch == 7


@pytest.mark.parametrize(("setting", "kind"), [("memory:", "memory"), ("inngest+http://a:1/x", "inngest")])
def test_readiness_tells_the_kind_of_store_and_nothing_else_of_it(setting: str, kind: str) -> None:
    with application() as app:
        service_of(app).settings = Settings(store=setting)

        assert app.test_client().get("/readyz").get_json() == {"status": "ready", "store": kind}


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("dapr:statestore", "store to be free"),  # a store whose capabilities are known has answered
        ("sqlite:///runs.db", "store to be free"),
        ("kafka://me:s3cr3t@a:1", "store: for the server of kafka to answer, or for another process to let go"),
        ("nats://me:s3cr3t@a:1", "store: for the server of nats to answer"),
    ],
)
def test_a_start_that_takes_long_says_what_it_waits_for(
    setting: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service(Settings(store=setting), lambda *_arguments: EngineThread(MemoryStore()))

    service._say_what_it_waits_for(EngineThread(MemoryStore()))  # noqa: SLF001 - else the test would wait for a timer

    assert f"still waiting for the {words}" in caplog.text
    assert "s3cr3t" not in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting",
    [
        "kafka://me:s3cr3t@127.0.0.1:1/runs",
        "nats://me:s3cr3t?@127.0.0.1:1/runs",
        "nats://me:s3cr3t@127.0.0.1:1/runs?password=s3cr3t",
        "postgres://me:s3cr3t@127.0.0.1/runs",
    ],
)
def test_a_service_that_does_not_start_shows_no_password(setting: str, tmp_path: Path) -> None:
    with process(tmp_path, store=setting) as running:
        assert running.exit_status() != 0

    assert "cannot start: HOLDFAST_STORE: " in running.err
    assert "s3cr3t" not in running.out + running.err


@pytest.mark.slow
def test_a_service_whose_store_does_not_answer_shows_no_password(tmp_path: Path) -> None:
    with process(tmp_path, store="nats://me:s3cr3t@127.0.0.1:1/runs", store_wait="1s", log_level="debug") as running:
        assert running.exit_status() != 0

    assert "no NATS server answered at 127.0.0.1:1 within 1 s" in running.err
    assert "s3cr3t" not in running.out + running.err


def test_settings_that_are_shown_have_no_password() -> None:
    anything: Anything = Settings(store="nats://me:s3cr3t@a:1")

    assert "s3cr3t" not in repr(anything) + str(anything)
