"""The registry makes the store that a URL names, and says how a URL is right that names none."""

from __future__ import annotations

import inspect
import sys
import traceback
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from holdfast import HoldfastError, StoreError, UnknownProviderError, stores
from holdfast.core.durations import Duration
from holdfast.ports import ANY, StateStore, Write
from holdfast.stores import MemoryStore, SqliteStore, registry
from holdfast.stores.dapr import DaprStore
from holdfast.stores.store_kinds import KINDS, StoreKind

SECRET = "s3cr3t"


class Made(NamedTuple):
    """How an adapter was called."""

    arguments: tuple[Any, ...]
    named: dict[str, Any]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for the adapters: what comes of a URL is how they would be called."""
    for kind in KINDS:
        module, _, name = kind.adapter.partition(":")
        stand_in = ModuleType(module)
        setattr(stand_in, name, lambda *arguments, **named: Made(arguments, named))
        monkeypatch.setitem(sys.modules, module, stand_in)


def made(url: str, wait: Duration | None = None) -> Made:
    store: object = stores.open(url, wait=wait)
    assert isinstance(store, Made)
    return store


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    path = tmp_path / "kafka.properties"
    path.write_text(f"# who we are\n\nsasl.username = beluga\nsasl.password={SECRET}=x\n", encoding="utf-8")
    return path


def refusal(url: str) -> str:
    """Why a URL is refused; nothing that is shown of it, the traceback included, has the secret."""
    with pytest.raises(HoldfastError) as caught:
        stores.open(url)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "arguments", "named"),
    [
        ("memory:", (), {}),
        ("sqlite:///runs.db", ("runs.db",), {}),
        ("sqlite:////var/lib/runs.db", ("/var/lib/runs.db",), {}),
        ("sqlite:///a b/r@1.db", ("a b/r@1.db",), {}),
        ("dapr:statestore", ("statestore",), {}),
        ("kafka://localhost:9092", ("localhost:9092",), {}),
        ("kafka://localhost:9092/", ("localhost:9092",), {}),
        ("kafka://a:1,b.example:2/runs", ("a:1,b.example:2",), {"topic": "runs"}),
        ("kafka://[::1]:9092/runs", ("[::1]:9092",), {"topic": "runs"}),
        (
            "kafka://a:1/runs?partition=3&replicas=2&max_cached_bytes=1000000",
            ("a:1",),
            {"topic": "runs", "partition": 3, "replicas": 2, "max_cached_bytes": 1_000_000},
        ),
        ("nats://localhost:4222", (["nats://localhost:4222"],), {}),
        ("nats://a:1,b:2/runs?replicas=3", (["nats://a:1", "nats://b:2"],), {"bucket": "runs", "replicas": 3}),
        ("nats://me:p@w:d@a:1,b:2/runs", (["nats://me:p@w:d@a:1", "nats://me:p@w:d@b:2"],), {"bucket": "runs"}),
        ("nats://token@a:1", (["nats://token@a:1"],), {}),
        ("inngest+http://localhost:8288", ("http://localhost:8288",), {}),
        ("inngest+http://[::1]:8288/", ("http://[::1]:8288",), {}),
        ("inngest+https://example.org/state/here", ("https://example.org/state/here",), {}),
    ],
)
def test_a_url_becomes_the_arguments_of_an_adapter(
    url: str, arguments: tuple[Any, ...], named: dict[str, Any], recorded: None
) -> None:
    assert made(url) == Made(arguments, named)


@pytest.mark.parametrize(
    ("url", "argument"),
    [
        ("memory:", None),
        ("sqlite:///runs.db", "busy_timeout"),
        ("dapr:statestore", "connect_timeout"),
        ("kafka://a:1", "connect_timeout"),
        ("nats://a:1", "connect_timeout"),
        ("inngest+http://a:1", "connect_timeout"),
    ],
)
@pytest.mark.parametrize("wait", [7.5, timedelta(minutes=5)])
def test_how_long_to_wait_is_the_adapters_own_argument(
    url: str, argument: str | None, wait: Duration, recorded: None
) -> None:
    assert made(url, wait).named == ({argument: wait} if argument else {})


def test_files_of_options_are_read(configuration: Path, recorded: None) -> None:
    assert made(f"kafka://a:1/runs?config={configuration}").named == {
        "topic": "runs",
        "config": {"sasl.username": "beluga", "sasl.password": f"{SECRET}=x"},
    }
    assert made(f"nats://a:1?credentials={configuration}").named == {"credentials": configuration}


@pytest.mark.parametrize(
    ("url", "kind"), [("memory:", MemoryStore), ("sqlite:///r.db", SqliteStore), ("dapr:s", DaprStore)]
)
def test_the_store_is_that_of_the_kind(url: str, kind: type) -> None:
    assert type(stores.open(url)) is kind


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_table_fits_the_adapters(kind: StoreKind) -> None:
    module, _, name = kind.adapter.partition(":")
    adapter = getattr(import_module(module), name)
    parameters = inspect.signature(adapter).parameters

    assert adapter.name == kind.name
    assert {option.name for option in kind.options} <= set(parameters)
    assert not kind.wait or kind.wait in parameters
    assert isinstance(stores.open(kind.example).capabilities.durable, bool)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("memory:runs", "nothing follows the colon; write it like memory:"),
        ("sqlite:runs.db", "a path follows three slashes; write it like sqlite:///path/to/file.db"),
        ("sqlite://runs.db", "a path follows three slashes"),
        ("sqlite:///", "a path follows three slashes"),
        ("sqlite:///runs.db?mode=ro", "there is no option 'mode': this kind has none"),
        ("dapr:", "the name of a component follows the colon; write it like dapr:statestore"),
        ("dapr://statestore", "the name of a component"),
        ("kafka:localhost:9092", "two slashes belong after the scheme; write it like kafka://localhost:9092/beluga-"),
        ("kafka://", "the host is missing"),
        ("kafka:///runs", "the host is missing"),
        ("kafka://a:1,/runs", "the host is missing"),
        ("kafka://a/runs", "the port of 'a' is missing"),
        ("kafka://a:70000/runs", "'a:70000' is not host:port"),
        ("kafka://a:0/runs", "'a:0' is not host:port"),
        ("kafka://a:b/runs", "'a:b' is not host:port"),
        ("kafka://a:1/runs/more", "the topic may hold letters and digits of ASCII"),
        ("kafka://a:1?partition=-1", "the option 'partition' must be a whole number from 0 to 2147483647"),
        ("kafka://a:1?partition=", "the option 'partition' must be a whole number from 0 to 2147483647"),
        ("kafka://a:1?partition=2147483648", "the option 'partition' must be a whole number from 0 to 2147483647"),
        ("kafka://a:1?replicas=0", "the option 'replicas' must be a whole number from 1 to 2147483647"),
        ("kafka://a:1?replicas=2147483648", "the option 'replicas' must be a whole number from 1 to 2147483647"),
        ("kafka://a:1?max_cached_bytes=0", "the option 'max_cached_bytes' must be a whole number from 1 on"),
        ("kafka://a:1?replicas=1&replicas=2", "the option 'replicas' is given twice"),
        ("kafka://a:1?acks=1", "no option 'acks': there are partition, replicas, config, max_cached_bytes"),
        ("kafka://a:1?config=/nowhere", "the option 'config' must be the path of a file, and '/nowhere' is none"),
        ("kafka://a:1?replicas", "what follows the '?' is not name=value&name=value"),
        ("kafka://a:1?", "what follows the '?' is not name=value&name=value"),
        ("nats://a/runs", "the port of 'a' is missing; write it like nats://localhost:4222/beluga_workflows"),
        ("nats://a:1/b?replicas=2147483648", "the option 'replicas' must be a whole number from 1 to 2147483647"),
        ("nats://u:p@a:1,u:p@b:2/b", "user and password stand once, before the first host"),
        ("nats://a:1,u:p@b:2/b", "user and password stand once, before the first host"),
        ("nats://token@a:1,token@b:2/b", "user and password stand once, before the first host"),
        ("nats://a:1/b?partition=1", "no option 'partition': there are replicas, credentials"),
        ("nats://a:1/b%20c", "the bucket may hold"),
        ("nats://a:1/b.c", "a bucket of NATS is named with letters, digits, '_' and '-', not 'b.c'"),
        ("nats://me:p%77@a:1/b", "user and password must not have '/', '?', '#', '%'"),
        ("inngest+http:localhost", "two slashes belong after the scheme; write it like inngest+http://localhost:8288"),
        ("inngest+http://a:1,b:2", "one server answers for this store"),
        ("inngest+https://a:1?key=1", "there is no option 'key': this kind has none"),
    ],
)
def test_a_url_of_another_form_is_refused_with_the_right_one(url: str, words: str) -> None:
    assert words in refusal(url)


@pytest.mark.parametrize(
    "url", ["", "memory", "redis://localhost", "inngest://a:1", "inngest:", "sqlite3:///a", "NATS://a:1"]
)
def test_an_unknown_kind_is_refused_with_those_there_are(url: str) -> None:
    with pytest.raises(UnknownProviderError) as caught:
        stores.open(url)

    assert str(caught.value).startswith(f"unknown store '{url}'; known: ")
    assert [kind.name for kind in KINDS if kind.form not in str(caught.value)] == []


@pytest.mark.parametrize(
    "url",
    [
        f"nats://me:{SECRET}@host/runs",
        f"nats://me:{SECRET}@a:1/runs/more",
        f"nats://me:{SECRET}@a:1/runs?replicas=none",
        f"nats://me:{SECRET}@a:1/runs?pass={SECRET}",
        f"nats://me:{SECRET}@a:1/runs?{SECRET}",
        f"nats://me:a/{SECRET}@b/{SECRET}@host/runs",
        f"nats://me:{SECRET}@a:1,me:{SECRET}@b:2/runs",
        f"nats://me:{SECRET}?x=1@host/runs",
        f"nats://me:{SECRET}#x@host/runs",
        f"nats://me:{SECRET}\n@host/runs",
        f"nats:me:{SECRET}@host",
        f"kafka://me:{SECRET}@a:1/runs",
        f"kafka://a:1/runs?sasl.password={SECRET}",
        f"inngest+http://{SECRET}@a:1",
        f"postgres://me:{SECRET}@host/db",
        f"me:{SECRET}@host:4222",
        f"sqlite://me:{SECRET}@host/db",
        f"dapr://me:{SECRET}@host",
        f"memory://me:{SECRET}@host",
    ],
)
def test_no_text_of_an_error_has_a_password(url: str) -> None:
    assert SECRET not in refusal(url)


def test_a_file_of_properties_that_cannot_be_read_is_told_by_its_line(configuration: Path) -> None:
    configuration.write_text(f"a=1\n{SECRET}\n", encoding="utf-8")
    assert refusal(f"kafka://a:1?config={configuration}").endswith("kafka.properties, line 2: write name=value")

    configuration.write_text(f"={SECRET}\n", encoding="utf-8")
    assert refusal(f"kafka://a:1?config={configuration}").endswith("line 1: write name=value")

    configuration.write_bytes(b"a=\xff")
    assert refusal(f"kafka://a:1?config={configuration}").endswith("cannot be read: it is not UTF-8")


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [
        ("dapr:statestore", "holdfast.stores.dapr", "dapr"),
        ("kafka://a:1", "confluent_kafka", "kafka"),
        ("nats://a:1", "nats", "nats"),
        ("inngest+http://a:1", "requests", "inngest"),
    ],
)
def test_a_missing_extra_is_told_with_the_command_that_installs_it(
    url: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith((f"holdfast.stores.{extra}", f"{package}."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(
        StoreError, match=rf"^{extra} stores need an extra: pip install 'holdfast\[{extra}\]' \("
    ) as caught:
        stores.open(url)
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_what_is_missing_of_our_own_is_no_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "holdfast.stores.memory", None)

    with pytest.raises(ModuleNotFoundError):
        stores.open("memory:")


def test_the_kinds_are_these() -> None:
    assert stores.names() == ["dapr", "inngest", "kafka", "memory", "nats", "sqlite"]


@pytest.fixture
def own_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_factories", dict(registry._factories))  # noqa: SLF001 - registering is for good


def test_a_kind_of_your_own_is_opened_like_the_others(own_kinds: None) -> None:
    asked: list[tuple[str, Duration | None]] = []

    def make(url: str, wait: Duration | None) -> StateStore:
        asked.append((url, wait))
        return MemoryStore(max_batch=7)

    stores.register("redis", make)

    assert stores.open("redis://localhost/0?db=1", wait=3).capabilities.max_batch == 7
    assert asked == [("redis://localhost/0?db=1", 3)]
    assert stores.names() == ["dapr", "inngest", "kafka", "memory", "nats", "redis", "sqlite"]
    assert ", redis:" in refusal("postgres:")
    stores.register("memory", make)
    assert stores.open("memory:").capabilities.max_batch == 7
    assert len(stores.names()) == 7


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        ("kafka://a:1,[::1]:2/runs", [("a", 1), ("::1", 2)]),
        ("nats://me:pw@a:1/runs?replicas=1", [("a", 1)]),
        ("inngest+https://example.org/x", [("example.org", None)]),
        ("sqlite:////var/runs.db", []),
        ("dapr:statestore", []),
        ("memory:", []),
        ("redis://a:1", []),
    ],
)
def test_the_servers_of_a_url_are_known(url: str, servers: list[tuple[str, int | None]]) -> None:
    assert registry.servers(url) == servers


async def test_what_is_opened_keeps_documents(tmp_path: Path) -> None:
    for url in ("memory:", f"sqlite:///{tmp_path}/runs.db"):
        store = stores.open(url, wait=0)
        await store.open()
        await store.write([Write("a", b"1", ANY)])
        assert (await store.read(["a"]))["a"].value == b"1"
        await store.close()
